"""Claims of uploads under way, and the outcomes of Idempotency-Keys.

An upload with a key has a request item besides the image item. An attempt claims the request for as long as a function
may run. After that, another attempt may take the request over, with an image of its own. The transaction that stores
the image also writes the outcome to the request, so an attempt that lost its claim stores nothing.
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

    Raises RequestRunningError, RequestKeyReusedError, UndecodableImageError if an earlier attempt ended with it, and
    StorageError.
    """
    mine = Claim(str(uuid4()), str(uuid4()), key)
    if key is None:
        return mine
    now = time.time()
    # The function's timeout is the gateway's. A second later, the attempt that claims now has ended.
    lease_seconds = settings.gateway_timeout_seconds() + 1
    request = {
        **_request_key(key),
        "status": "processing",
        "sha256": sha256,
        "image_id": mine.image_id,
        "attempt": mine.attempt,
        "lease": int((now + lease_seconds) * 1000),
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
    earlier = table.put(request, **condition)
    return mine if earlier is None else _outcome(earlier, sha256)


def reserve(mine: Claim) -> None:
    """Create the image item before storing any thumbnail. Raises StorageError.

    If the upload dies, the item expires and its thumbnails are deleted with it.
    """
    expiry = int(time.time() + _UNFINISHED_RETENTION.total_seconds())
    item = {**image_key(mine.image_id), "status": "processing", "attempt": mine.attempt, "expires_at": expiry}

    if table.put(item, ConditionExpression="attribute_not_exists(pk)") is not None:
        raise StorageError


def settle(mine: Claim, outcome: str) -> "list[TransactWriteItemTypeDef]":
    """Return the writes that give the request its `outcome` in a transaction; none without a key.

    "failure" is our own fault: the request is forgotten, so the client may try again. The transaction fails when
    another attempt has taken the claim over.
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


def _outcome(request: table.Item, sha256: str) -> str:
    if request["sha256"] != sha256:
        raise RequestKeyReusedError
    match request["status"]:
        case "success":
            return str(request["image_id"])
        case "damaged":
            raise UndecodableImageError
        case _:
            raise RequestRunningError


def _request_key(key: str) -> dict[str, str]:
    return {"pk": f"REQUEST#{key}", "sk": "REQUEST"}
