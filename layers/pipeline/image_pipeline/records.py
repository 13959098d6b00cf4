"""Image records and statistics in DynamoDB: the only module that talks to the table.

One table: an image is `IMAGE#<id>`, the statistics are spread over `STATS` items, because one
partition takes 1,000 writes a second. An upload's outcome and its count change in one transaction.
"""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from zlib import crc32

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError

from image_pipeline import settings
from image_pipeline.clients import dynamodb
from image_pipeline.errors import ImageNotFoundError, StorageError
from image_pipeline.models import CaptionModel, ImageMetadata, ImageRecord, Statistics, ThumbnailSize

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

LISTING_SHARDS = 4
STATISTICS_SHARDS = 8
FAILURE_RETENTION = timedelta(days=7)
_LISTING_INDEX = "listing"
_COMMIT_TRIES = 8


@dataclass(frozen=True)
class Page:
    """A stretch of the listing; `has_more` tells whether older images follow it."""

    records: list[ImageRecord]
    has_more: bool


def save(record: ImageRecord) -> None:
    """Store a finished image and count it, both or neither.

    Raises StorageError when it is not known to be stored.
    """
    item = {
        "status": "success",
        "listing": f"LIST#{crc32(record.image_id.encode()) % LISTING_SHARDS}",
        "listed_at": listing_position(record),
        **_to_attributes(record),
    }
    counts = {"success": 1, "total_processing_time": record.time_taken}
    _commit(record.image_id, record.attempt, item, counts)


def save_failure(image_id: str, attempt: str) -> None:
    """Remember for a week that an upload failed, and count it, both or neither.

    Raises StorageError when it is not known to be stored, or when the upload is known to have succeeded.
    """
    expiry = datetime.now(UTC) + FAILURE_RETENTION
    item = {"status": "failure", "attempt": attempt, "expires_at": int(expiry.timestamp())}
    _commit(image_id, attempt, item, {"failure": 1})


def get(image_id: str) -> ImageRecord:
    """Return a finished image. Raises ImageNotFoundError."""
    item = _find(image_id)
    if item is None or item["status"] != "success":
        raise ImageNotFoundError
    return _from_attributes(item)


def newest(limit: int, before: str | None = None) -> Page:
    """Return up to `limit` finished images, newest first, from after the listing position `before`."""
    # Twice an even share: a shard seldom has to be asked again, and little is read in vain.
    page_size = 2 * (limit // LISTING_SHARDS + 1)
    shards = [_query_listing(shard, page_size, before) for shard in range(LISTING_SHARDS)]
    items = list(islice(merge(*shards, key=itemgetter("listed_at"), reverse=True), limit + 1))
    return Page([_from_attributes(item) for item in items[:limit]], has_more=len(items) > limit)


def listing_position(record: ImageRecord) -> str:
    """Return where a record stands in the listing; these strings sort by age."""
    return f"{record.processed_at.isoformat(timespec='microseconds')}#{record.image_id}"


def statistics() -> Statistics:
    """Return the sum over all shards."""
    response = _call(
        "query",
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues=_serialize({":pk": "STATS"}),
        ConsistentRead=True,
    )
    shards = [_deserialize(item) for item in response["Items"]]
    return Statistics(
        success=sum(int(shard.get("success", 0)) for shard in shards),
        failure=sum(int(shard.get("failure", 0)) for shard in shards),
        total_processing_time=sum((shard.get("total_processing_time", Decimal(0)) for shard in shards), Decimal(0)),
    )


def _commit(image_id: str, attempt: str, item: Mapping[str, Any], counts: Mapping[str, Any]) -> None:
    """Write an upload's outcome and add `counts` to a statistics shard in one transaction."""
    write: Sequence[TransactWriteItemTypeDef] = [
        {
            "Put": {
                "TableName": settings.table_name(),
                "Item": _serialize({**_image_key(image_id), **item}),
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        },
        {
            "Update": {
                "TableName": settings.table_name(),
                "Key": _serialize({"pk": "STATS", "sk": f"SHARD#{random.randrange(STATISTICS_SHARDS)}"}),  # noqa: S311
                "UpdateExpression": "ADD " + ", ".join(f"{name} :{name}" for name in counts),
                "ExpressionAttributeValues": _serialize({f":{name}": value for name, value in counts.items()}),
            }
        },
    ]
    for tries in range(1, _COMMIT_TRIES + 1):
        try:
            # The token makes botocore's own retries harmless: DynamoDB applies it once.
            dynamodb().transact_write_items(TransactItems=write, ClientRequestToken=attempt)
        except (ClientError, BotoCoreError) as error:
            # The reply may be lost and the transaction applied: only the table knows.
            stored = _find(image_id)
            if stored is not None and (stored["attempt"], stored["status"]) == (attempt, item["status"]):
                return
            if not _is_conflict(error) or tries == _COMMIT_TRIES:
                raise StorageError from error
            time.sleep(random.uniform(0, 0.02 * 2**tries))  # noqa: S311
        else:
            return


def _is_conflict(error: ClientError | BotoCoreError) -> bool:
    """Tell whether a transaction lost against another one on the same statistics shard."""
    reasons = error.response.get("CancellationReasons", []) if isinstance(error, ClientError) else []
    return any(reason.get("Code") == "TransactionConflict" for reason in reasons)


def _find(image_id: str) -> dict[str, Any] | None:
    response = _call("get_item", Key=_serialize(_image_key(image_id)), ConsistentRead=True)
    return _deserialize(response["Item"]) if "Item" in response else None


def _query_listing(shard: int, page_size: int, before: str | None) -> Iterator[dict[str, Any]]:
    """Yield the items of one shard, newest first; asks for the next page when the last one is used up."""
    condition, values = "listing = :listing", {":listing": f"LIST#{shard}"}
    if before is not None:
        condition, values = f"{condition} AND listed_at < :before", values | {":before": before}
    response = _call(
        "query",
        IndexName=_LISTING_INDEX,
        KeyConditionExpression=condition,
        ExpressionAttributeValues=_serialize(values),
        ScanIndexForward=False,
        Limit=page_size,
    )
    yield from (_deserialize(item) for item in response["Items"])
    if "LastEvaluatedKey" in response:
        yield from _query_listing(shard, page_size, _deserialize(response["LastEvaluatedKey"])["listed_at"])


def _call(operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - boto3's own arguments and answers
    try:
        return getattr(dynamodb(), operation)(TableName=settings.table_name(), **arguments)
    except (ClientError, BotoCoreError) as error:
        raise StorageError from error


def _image_key(image_id: str) -> dict[str, str]:
    return {"pk": f"IMAGE#{image_id}", "sk": "IMAGE"}


def _to_attributes(record: ImageRecord) -> dict[str, Any]:
    return vars(record) | {
        "processed_at": record.processed_at.isoformat(timespec="microseconds"),
        "metadata": vars(record.metadata)
        | {
            "created_at": record.metadata.created_at.isoformat(),
            "modified_at": record.metadata.modified_at.isoformat(),
        },
        "caption_model": vars(record.caption_model),
    }


def _from_attributes(item: Mapping[str, Any]) -> ImageRecord:
    metadata = item["metadata"]
    return ImageRecord(
        image_id=item["image_id"],
        original_name=item["original_name"],
        processed_at=datetime.fromisoformat(item["processed_at"]),
        time_taken=item["time_taken"],
        metadata=ImageMetadata(
            width=int(metadata["width"]),
            height=int(metadata["height"]),
            format=metadata["format"],
            size_bytes=int(metadata["size_bytes"]),
            created_at=datetime.fromisoformat(metadata["created_at"]),
            modified_at=datetime.fromisoformat(metadata["modified_at"]),
        ),
        thumbnails={ThumbnailSize(size): key for size, key in item["thumbnails"].items()},
        caption=item["caption"],
        caption_model=CaptionModel(**item["caption_model"]),
        sha256=item["sha256"],
        attempt=item["attempt"],
    )


@cache
def _serializer() -> TypeSerializer:
    return TypeSerializer()


@cache
def _deserializer() -> TypeDeserializer:
    return TypeDeserializer()


def _serialize(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _serializer().serialize(value) for name, value in attributes.items()}


def _deserialize(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _deserializer().deserialize(value) for name, value in item.items()}
