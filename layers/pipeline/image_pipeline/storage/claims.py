"""Claims: which attempt may process an upload, and how an upload with an Idempotency-Key ended.

A direct upload has an image item from the start. A worker claims this item for as long as it may run.

An upload with an Idempotency-Key has a request item. An attempt claims this item for as long as a function may run.
After that time another attempt may take the item over, for an image with another id. The transaction that stores the
image also writes the outcome to the request item. Therefore an attempt that has lost its claim stores nothing.
"""

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from image_pipeline import deadline, settings
from image_pipeline.errors import (
    ImageNotFoundError,
    RequestKeyReusedError,
    RequestRunningError,
    StorageError,
    UndecodableImageError,
)
from image_pipeline.models import SHARED
from image_pipeline.storage import keys, quotas, table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import DeleteTypeDef, TransactWriteItemTypeDef, UpdateTypeDef

# How an attempt ended: "damaged" is a fault of the file, "failure" a fault of ours.
Outcome = Literal["success", "damaged", "failure"]

# The maxReceiveCount of UploadsQueue. After this many attempts a message goes to the dead-letter queue.
MAX_ATTEMPTS = 5
KEY_RETENTION = timedelta(hours=24)
# Counted from the creation of the item. It is longer than the dead-letter queue keeps a message, and again after a
# redrive: 28 days.
REQUEST_RETENTION = timedelta(days=30)
# Lambda runs no function longer than this.
_MAX_FUNCTION_SECONDS = 900
# Longer than any attempt runs.
UNFINISHED_RETENTION = timedelta(hours=1)


@dataclass(frozen=True)
class Claim:
    """The right of one attempt to process an upload of `owner`.

    `is_finished` means that there is nothing to process: an earlier attempt has stored the image with this id.
    `is_reserved` means that the image item exists and has the id of this attempt.
    `has_failed` means that a temporary failure of the image is stored and counted.
    """

    image_id: str
    attempt: str
    idempotency_key: str | None
    is_finished: bool = False
    is_reserved: bool = False
    has_failed: bool = False
    owner: str = SHARED


def claim(owner: str, idempotency_key: str | None, sha256: str) -> Claim:
    """Claim an upload of an owner whose file and prompt have the digest `sha256`.

    Raises RequestRunningError, RequestKeyReusedError and StorageError. Raises UndecodableImageError if an earlier
    attempt ended with it.
    """
    new = Claim(str(uuid4()), str(uuid4()), idempotency_key, owner=owner)
    if idempotency_key is None:
        return new
    now = time.time()
    # A function runs no longer than the gateway waits. One second later the attempt has certainly ended.
    lease_seconds = settings.gateway_timeout_seconds() + 1
    request = {
        **keys.request(owner, idempotency_key),
        "status": "processing",
        "sha256": sha256,
        "image_id": new.image_id,
        "attempt": new.attempt,
        "lease": int((now + lease_seconds) * 1000),
        "expires_at": int(now + KEY_RETENTION.total_seconds()),
    }
    free = (
        "attribute_not_exists(pk) OR expires_at <= :now"
        " OR (#status = :processing AND sha256 = :sha256 AND lease <= :now_ms)"
    )
    values = {":now": int(now), ":now_ms": int(now * 1000), ":processing": "processing", ":sha256": sha256}
    condition = {
        "ConditionExpression": free,
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": table.serialize(values),
    }
    earlier = table.put(request, **condition)
    if earlier is None:
        return new
    _require_success(earlier, sha256)
    return Claim(earlier["image_id"], earlier["attempt"], idempotency_key, is_finished=True, owner=owner)


def image_of(owner: str, idempotency_key: str) -> str | None:
    """Return the image id of the upload with this key, finished or not, or None. Raises StorageError."""
    request = table.find(keys.request(owner, idempotency_key))
    return None if request is None or table.is_expired(request) else request["image_id"]


def reserve(claim: Claim, original_name: str) -> None:
    """Create the image item, unless the claim has one. Must happen before any thumbnail is stored.

    If the attempt dies, the item expires after an hour and its thumbnails are deleted with it. Raises ImageLimitError,
    DailyLimitError and StorageError.
    """
    if claim.is_reserved:
        return
    item = {
        **keys.image(claim.image_id),
        "status": "processing",
        "attempt": claim.attempt,
        "original_name": original_name,
        "owner": claim.owner,
        "expires_at": int(time.time() + UNFINISHED_RETENTION.total_seconds()),
    }
    _create(item, is_limited=True)


def request(owner: str, image_id: str, original_name: str, prompt: str = "", *, attempt: str | None = None) -> None:
    """Create the image item of a direct upload of an owner, before its file exists.

    An operator that brings images gives the id of an `attempt`. Then `withdraw` can delete the item, and the limits of
    the owner do not apply: the image is counted later. Raises ImageLimitError, DailyLimitError and StorageError.
    """
    item = {
        **keys.image(image_id),
        "status": "requested",
        "attempt": attempt or str(uuid4()),
        "original_name": original_name,
        "owner": owner,
        "caption_prompt": prompt,
        "expires_at": int(time.time() + REQUEST_RETENTION.total_seconds()),
    }
    _create(item, is_limited=attempt is None)


def renew(image_id: str, attempt: str) -> table.Item:
    """Give the item of a direct upload that waits for its file its whole lifetime again, and another attempt.

    Return the item as it is then. Its status tells whether it still waits. Raises StorageError if there is no item.
    """
    item = table.update(
        keys.image(image_id),
        "SET attempt = :attempt, expires_at = :expires_at",
        ConditionExpression="#status = :requested",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues=table.serialize(
            {
                ":attempt": attempt,
                ":expires_at": int(time.time() + REQUEST_RETENTION.total_seconds()),
                ":requested": "requested",
            }
        ),
    )
    if item is None:
        raise StorageError
    return item


def withdraw(image_id: str, attempt: str) -> None:
    """Delete the image item that `request` or `renew` wrote in this attempt, unless a file has arrived since.

    May be repeated. Raises StorageError.
    """
    key = keys.image(image_id)
    delete: DeleteTypeDef = {
        "TableName": settings.table_name(),
        "Key": table.serialize(key),
        "ConditionExpression": "attempt = :attempt AND #status = :requested",
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": table.serialize({":attempt": attempt, ":requested": "requested"}),
    }

    def is_settled() -> bool:
        stored = table.find(key)
        return stored is None or (stored.get("attempt"), stored["status"]) != (attempt, "requested")

    table.write([{"Delete": delete}], is_settled)


def take(image_id: str) -> tuple[Claim, str, str]:
    """Claim a direct upload whose file has arrived. Return the claim, the original name and the prompt.

    The claim lasts until this invocation ends or releases it. Meanwhile an image that has failed temporarily stays
    "failure".

    Raises ImageNotFoundError if there is nothing to do: the image is finished, has failed for good or was deleted, or
    its item has expired and is gone. Raises RequestRunningError while another attempt runs, and StorageError.
    """
    now, attempt = time.time(), str(uuid4())
    key, names = keys.image(image_id), {"#status": "status"}
    values = {
        ":now_ms": int(now * 1000),
        ":attempt": attempt,
        # One second after Lambda ends the function, the attempt has certainly ended.
        ":lease": int((now + min(deadline.remaining(), _MAX_FUNCTION_SECONDS) + 1) * 1000),
    }
    item = table.update(
        key,
        "SET #status = :processing, attempt = :attempt, lease = :lease",
        ConditionExpression="#status = :requested OR (#status = :processing AND lease <= :now_ms)",
        ExpressionAttributeNames=names,
        ExpressionAttributeValues=table.serialize(
            values | {":requested": "requested", ":processing": "processing"},
        ),
    )
    if item is not None and is_temporary_failure(item):
        item = table.update(
            key,
            # Without `event`, the change does not publish the failure again.
            "SET attempt = :attempt, lease = :lease REMOVE #event",
            ConditionExpression="#status = :failure AND lease <= :now_ms",
            ExpressionAttributeNames=names | {"#event": "event"},
            ExpressionAttributeValues=table.serialize(values | {":failure": "failure"}),
        )
    if item is None:
        raise ImageNotFoundError
    has_failed = is_temporary_failure(item)
    # A deleted image has another attempt.
    if item.get("attempt") != attempt:
        raise RequestRunningError if has_failed or item["status"] == "processing" else ImageNotFoundError
    # Items of older versions have no owner and no prompt.
    owner = item.get("owner", SHARED)
    claim = Claim(image_id, attempt, None, is_reserved=True, has_failed=has_failed, owner=owner)
    return claim, item["original_name"], item.get("caption_prompt", "")


def release(claim: Claim) -> None:
    """End the lease of a failed attempt at a direct upload, so that the next one need not wait. Raises StorageError."""
    table.update(
        keys.image(claim.image_id),
        # Without `event`, the change does not publish a temporary failure again.
        "SET lease = :now_ms REMOVE #event",
        ConditionExpression="attempt = :attempt AND attribute_exists(lease)",
        ExpressionAttributeNames={"#event": "event"},
        ExpressionAttributeValues=table.serialize({":now_ms": int(time.time() * 1000), ":attempt": claim.attempt}),
    )


def is_temporary_failure(item: table.Item) -> bool:
    """Tell whether a failed image may still succeed. Only a failure of the pipeline keeps the lease of its attempt."""
    return item["status"] == "failure" and "lease" in item


def settle(claim: Claim, outcome: Outcome) -> "list[TransactWriteItemTypeDef]":
    """Return the writes that end the claim in a transaction. Without an Idempotency-Key there are none.

    A "failure" deletes the request item, so that the client may try again. If another attempt has taken over the
    request, the transaction is cancelled.
    """
    if claim.idempotency_key is None:
        return []
    request, name = table.serialize(keys.request(claim.owner, claim.idempotency_key)), settings.table_name()
    still_claimed, names = "attempt = :attempt AND #status = :processing", {"#status": "status"}
    values = {":attempt": claim.attempt, ":processing": "processing"}
    if outcome == "failure":
        delete: DeleteTypeDef = {
            "TableName": name,
            "Key": request,
            "ConditionExpression": still_claimed,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": table.serialize(values),
        }
        return [{"Delete": delete}]
    update: UpdateTypeDef = {
        "TableName": name,
        "Key": request,
        "UpdateExpression": "SET #status = :outcome",
        "ConditionExpression": still_claimed,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": table.serialize(values | {":outcome": outcome}),
    }
    return [{"Update": update}]


def give_back(claim: Claim) -> None:
    """Undo a claim of an upload by form and its image item, so that the client may send it again at once.

    If the image item existed, the stream of the table deletes the files of the image. Raises StorageError.
    """
    delete: DeleteTypeDef = {
        "TableName": settings.table_name(),
        "Key": table.serialize(keys.image(claim.image_id)),
        "ConditionExpression": "attribute_not_exists(pk) OR (attempt = :attempt AND #status = :processing)",
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": table.serialize({":attempt": claim.attempt, ":processing": "processing"}),
    }
    key = keys.image(claim.image_id)
    if claim.idempotency_key is not None:
        key = keys.request(claim.owner, claim.idempotency_key)

    def is_stored() -> bool:
        stored = table.find(key)
        return stored is None or stored["attempt"] != claim.attempt

    table.write([{"Delete": delete}, *settle(claim, "failure")], is_stored)


def _create(item: table.Item, *, is_limited: bool) -> None:
    if is_limited and quotas.is_limited(item["owner"]):
        quotas.create(item)
    elif table.put(item, ConditionExpression="attribute_not_exists(pk)") is not None:
        raise StorageError


def _require_success(request: table.Item, sha256: str) -> None:
    """Raise the error that `claim` raises, unless the request item belongs to this file and the upload succeeded."""
    if request["sha256"] != sha256:
        raise RequestKeyReusedError
    match request["status"]:
        case "success":
            return
        case "damaged":
            raise UndecodableImageError
        case _:
            raise RequestRunningError
