"""Image records and statistics.

One table: an image is `IMAGE#<id>`. The statistics are spread over the shards `STATS#<n>`, each with a partition key of
its own, because a partition takes 1,000 writes per second. One transaction writes an upload's outcome and its count.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from heapq import merge
from itertools import chain, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal
from zlib import crc32

from image_pipeline import claims, clients, settings, table
from image_pipeline.claims import Claim
from image_pipeline.errors import ImageNotFoundError
from image_pipeline.models import CaptionModel, ImageMetadata, ImageRecord, Statistics, ThumbnailSize
from image_pipeline.threads import ThreadPool

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

LISTING_SHARDS = 4
STATISTICS_SHARDS = 8
FAILURE_RETENTION = timedelta(days=7)
_LISTING_INDEX = "listing"


@dataclass(frozen=True)
class Page:
    """A stretch of the listing; `has_more` tells whether older images follow it."""

    records: list[ImageRecord]
    has_more: bool


def save(record: ImageRecord, key: str | None = None) -> None:
    """Store a finished image and count it, both or neither; `key` is the Idempotency-Key that it came with.

    Raises StorageError when it is not known to be stored.
    """
    item = {
        "status": "success",
        "listing": f"LIST#{crc32(record.image_id.encode()) % LISTING_SHARDS}",
        "listed_at": listing_position(record),
        **_to_attributes(record),
    }
    counts = {"success": 1, "total_processing_time": record.time_taken}
    _commit(Claim(record.image_id, record.attempt, key), item, counts, "success")


def save_failure(mine: Claim, outcome: Literal["damaged", "failure"]) -> None:
    """Remember for a week that an upload failed, and count it, both or neither; "damaged" is the file's own fault.

    Raises StorageError when it is not known to be stored, or when the upload is known to have succeeded.
    """
    expiry = datetime.now(UTC) + FAILURE_RETENTION
    item = {"status": "failure", "attempt": mine.attempt, "expires_at": int(expiry.timestamp())}
    _commit(mine, item, {"failure": 1}, outcome)


def get(image_id: str) -> ImageRecord:
    """Return a finished image. Raises ImageNotFoundError."""
    item = table.find(claims.image_key(image_id))
    if item is None or item["status"] != "success":
        raise ImageNotFoundError
    return _from_attributes(item)


def newest(limit: int, before: str | None = None) -> Page:
    """Return up to `limit` finished images, newest first, from after the listing position `before`.

    Asks all shards at the same time. At most one of them is asked again: two pages of a shard are more than `limit`.
    """
    # Twice an even share: a shard is rarely asked again, and few items are read that are not shown.
    page_size = 2 * (limit // LISTING_SHARDS + 1)
    # Make the client before the threads start: making one is not thread-safe.
    clients.dynamodb()
    with ThreadPool(LISTING_SHARDS, thread_name_prefix="listing") as pool:
        shards = list(pool.map(lambda shard: _query_listing(shard, page_size, before), range(LISTING_SHARDS)))
    items = list(islice(merge(*shards, key=itemgetter("listed_at"), reverse=True), limit + 1))
    return Page([_from_attributes(item) for item in items[:limit]], has_more=len(items) > limit)


def listing_position(record: ImageRecord) -> str:
    """Return where a record stands in the listing; these strings sort by age."""
    return f"{record.processed_at.isoformat(timespec='microseconds')}#{record.image_id}"


def statistics() -> Statistics:
    """Return the sum over all shards. Raises StorageError."""
    shards = table.find_all([_statistics_key(shard) for shard in range(STATISTICS_SHARDS)])
    return Statistics(
        success=sum(int(shard.get("success", 0)) for shard in shards),
        failure=sum(int(shard.get("failure", 0)) for shard in shards),
        total_processing_time=sum((shard.get("total_processing_time", Decimal(0)) for shard in shards), Decimal(0)),
    )


def _commit(mine: Claim, item: Mapping[str, Any], counts: Mapping[str, Any], outcome: str) -> None:
    """Write an upload's outcome, add `counts` to a statistics shard and settle its claim, in one transaction."""
    key = claims.image_key(mine.image_id)
    image: TransactWriteItemTypeDef = {
        "Put": {
            "TableName": settings.table_name(),
            "Item": table.serialize({**key, **item}),
            "ConditionExpression": "attribute_not_exists(pk) OR (attempt = :attempt AND #status = :processing)",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": table.serialize({":attempt": mine.attempt, ":processing": "processing"}),
        }
    }
    count: TransactWriteItemTypeDef = {
        "Update": {
            "TableName": settings.table_name(),
            "Key": table.serialize(_statistics_key(random.randrange(STATISTICS_SHARDS))),  # noqa: S311
            "UpdateExpression": "ADD " + ", ".join(f"{name} :{name}" for name in counts),
            "ExpressionAttributeValues": table.serialize({f":{name}": value for name, value in counts.items()}),
        }
    }

    def is_stored() -> bool:
        stored = table.find(key)
        return stored is not None and (stored["attempt"], stored["status"]) == (mine.attempt, item["status"])

    table.write([image, count, *claims.settle(mine, outcome)], is_stored)


def _statistics_key(shard: int) -> dict[str, str]:
    return {"pk": f"STATS#{shard}", "sk": "STATS"}


def _query_listing(shard: int, page_size: int, before: str | None) -> Iterator[dict[str, Any]]:
    """Query one shard; return an iterator of its items, newest first, that queries again when a page is used up."""
    condition, values = "listing = :listing", {":listing": f"LIST#{shard}"}
    if before is not None:
        condition, values = f"{condition} AND listed_at < :before", values | {":before": before}
    response = table.query(condition, values, IndexName=_LISTING_INDEX, ScanIndexForward=False, Limit=page_size)

    def older() -> Iterator[dict[str, Any]]:
        if "LastEvaluatedKey" in response:
            yield from _query_listing(shard, page_size, table.deserialize(response["LastEvaluatedKey"])["listed_at"])

    return chain((table.deserialize(item) for item in response["Items"]), older())


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
