"""Uploads under way: who processes which image, and what became of an Idempotency-Key.

An upload with a key has a request item besides its image's. The request is claimed for as long as a function may run;
who finds a claim that ran out takes it over with an image of its own. The outcome is written to it in the
transaction that stores the image, so an attempt that lost its claim can store nothing.
"""

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from image_pipeline import settings, table
from image_pipeline.errors import (
    RequestKeyReusedError,
    RequestRunningError,
    StorageError,
    UndecodableImageError,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import DeleteTypeDef, TransactWriteItemTypeDef, UpdateTypeDef

# An upload is over after the function's 29 s, whatever happened to it.
_LEASE = timedelta(seconds=30)
_KEY_RETENTION = timedelta(hours=24)
_UNFINISHED_RETENTION = timedelta(hours=1)
_IMAGE = "IMAGE#"


@dataclass(frozen=True)
class Claim:
    """The right to process one upload: `attempt` is this try's own id, `key` the client's Idempotency-Key."""

    image_id: str
    attempt: str
    key: str | None


def claim(key: str | None, sha256: str) -> Claim | str:
    """Claim an upload of the file with digest `sha256`; return the image's id if it is finished already.

    Raises RequestRunningError, RequestKeyReusedError, UndecodableImageError when that was the outcome before, and
    StorageError.
    """
    mine = Claim(str(uuid4()), str(uuid4()), key)
    if key is None:
        return mine
    now = time.time()
    request = {
        **_request_key(key),
        "status": "processing",
        "sha256": sha256,
        "image_id": mine.image_id,
        "attempt": mine.attempt,
        "lease": int((now + _LEASE.total_seconds()) * 1000),
        "expires_at": int(now + _KEY_RETENTION.total_seconds()),
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
    if table.put(request, lambda: _holds(mine), **condition):
        return mine
    return _outcome(key, sha256)


def reserve(mine: Claim) -> None:
    """Write the image's item before anything of it is stored: if nothing follows, its end removes what was.

    Raises StorageError.
    """
    expiry = int(time.time() + _UNFINISHED_RETENTION.total_seconds())
    item = {**image_key(mine.image_id), "status": "processing", "attempt": mine.attempt, "expires_at": expiry}

    def is_stored() -> bool:
        stored = table.find(image_key(mine.image_id))
        return stored is not None and stored["attempt"] == mine.attempt

    if not table.put(item, is_stored, ConditionExpression="attribute_not_exists(pk)"):
        raise StorageError


def settle(mine: Claim, outcome: str) -> "list[TransactWriteItemTypeDef]":
    """Return what a transaction must write so that the request has `outcome`; nothing without a key.

    With "failure", which is our fault, the request is forgotten: the client may try again. The transaction fails when
    somebody else has taken the claim over.
    """
    if mine.key is None:
        return []
    request, name = table.serialize(_request_key(mine.key)), settings.table_name()
    still_mine, names = "attempt = :attempt AND #status = :processing", {"#status": "status"}
    values = {":attempt": mine.attempt, ":processing": "processing"}
    if outcome == "failure":
        forget: DeleteTypeDef = {
            "TableName": name,
            "Key": request,
            "ConditionExpression": still_mine,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": table.serialize(values),
        }
        return [{"Delete": forget}]
    update: UpdateTypeDef = {
        "TableName": name,
        "Key": request,
        "UpdateExpression": "SET #status = :outcome",
        "ConditionExpression": still_mine,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": table.serialize(values | {":outcome": outcome}),
    }
    return [{"Update": update}]


def image_key(image_id: str) -> dict[str, str]:
    """Return the key of an image's item."""
    return {"pk": f"{_IMAGE}{image_id}", "sk": "IMAGE"}


def image_id(partition_key: str) -> str:
    """Return the id of the image whose item has this partition key."""
    return partition_key.removeprefix(_IMAGE)


def _outcome(key: str, sha256: str) -> str:
    request = table.find(_request_key(key))
    if request is None:  # forgotten since: a failure, which may be tried again
        raise RequestRunningError
    if request["sha256"] != sha256:
        raise RequestKeyReusedError
    match request["status"]:
        case "success":
            return str(request["image_id"])
        case "damaged":
            raise UndecodableImageError
        case _:
            raise RequestRunningError


def _holds(mine: Claim) -> bool:
    request = table.find(_request_key(str(mine.key)))
    return request is not None and request["attempt"] == mine.attempt


def _request_key(key: str) -> dict[str, str]:
    return {"pk": f"REQUEST#{key}", "sk": "REQUEST"}
