"""Finished images, failed uploads, the list, and the statistics, each of one owner.

Who asks for an image of another owner is told that there is none. The owner None means any owner. Only work that no
client asks for uses it.

The statistics are spread over several items, because one DynamoDB partition takes 1,000 writes per second. One
transaction stores the outcome of an upload and counts it.
"""

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from heapq import merge
from itertools import chain, islice, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from image_pipeline import deadline, settings
from image_pipeline.errors import ATTEMPTS_FAILED, UNEXPECTED, ImageNotFoundError, RefusedError, StorageError
from image_pipeline.models import (
    SHARED,
    CaptionModel,
    ImageMetadata,
    ImageRecord,
    Statistics,
    ThumbnailSize,
    UnfinishedImage,
)
from image_pipeline.storage import claims, clients, hashes, keys, quotas, table, waits
from image_pipeline.storage.claims import Claim, Outcome
from image_pipeline.threads import ThreadPool

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef, UpdateTypeDef

FAILURE_RETENTION = timedelta(days=7)
# How often a deletion is tried while others change the image.
_DELETION_TRIES = 3
_CHECKS_AT_ONCE = 8
_LISTING_INDEX = "listing"
# A caption is never there in the first second, so the first pause of a waiting request is longer (docs/decisions.md).
_FIRST_PAUSE_SECONDS = 1.0
_PAUSE_SECONDS = 0.25
# A read may begin this much later than planned, and still end before the deadline.
_DELAY_SECONDS = 0.5


@dataclass(frozen=True)
class Page:
    """One page of the list. The next page begins after the listing position `end`. The last page has none."""

    records: list[ImageRecord]
    end: str | None


def save(claim: Claim, record: ImageRecord, *, is_unique: bool = False) -> ImageRecord:
    """Store a finished image and count it in one transaction. Return it.

    With `is_unique`, return another image of the owner with the same file and prompt instead, if there is one. Then
    nothing is stored. Raises StorageError unless all is known to be done.
    """
    item = {
        "status": "success",
        **_published("ImageProcessed", claim.owner),
        "listing": keys.listing(claim.owner, keys.listing_shard(record.image_id)),
        "listed_at": keys.listing_position(record),
        **_to_attributes(record),
    }
    if days := settings.retention_days():
        item["expires_at"] = int((record.processed_at + timedelta(days=days)).timestamp())
    counts = {"success": 1, "total_processing_time": record.time_taken}
    if claim.has_failed:
        counts["failure"] = -1
    if not settings.finds_duplicates():
        _commit(claim, item, counts, "success")
        return record
    gone, tried = None, set[str | None]()
    while True:
        try:
            added = hashes.added(claim.owner, record.digest, record.image_id, item.get("expires_at"), gone)
            _commit(claim, item, counts, "success", [added])
        except StorageError:
            # The named image may have been deleted since, with its hash or without. Then there is another try.
            named = hashes.image_of(claim.owner, record.digest)
            if named in tried or named == record.image_id:
                raise
            tried.add(named)
            other = _finished(claim.owner, named) if named else None
            if other is None:
                gone = named
                continue
            if is_unique:
                return other
            _commit(claim, item, counts, "success")
        return record


def fail(claim: Claim, outcome: Literal["damaged", "failure"], original_name: str, message: str) -> None:
    """Store for a week that an upload failed and why, and count it, in one transaction. `message` is for clients.

    A temporary failure is replaced, and not counted again. Raises StorageError if this did not happen or is uncertain,
    for example if another attempt has stored the image.
    """
    expiry = datetime.now(UTC) + FAILURE_RETENTION
    item = {
        "status": "failure",
        **_published("ImageFailed", claim.owner),
        "original_name": original_name,
        "error": message,
        "expires_at": int(expiry.timestamp()),
    }
    _commit(claim, item, {} if claim.has_failed else {"failure": 1}, outcome)


def fail_temporarily(claim: Claim) -> Claim:
    """Store that all attempts of a direct upload failed, and count it, in one transaction. Return the claim after it.

    The last attempt does this before it works, because a crash runs no code. The item keeps its lease and its expiry,
    and a later success replaces the failure. Raises StorageError if this did not happen or is uncertain.
    """
    values = {":error": ATTEMPTS_FAILED, ":event": "ImageFailed", ":empty": "", ":failure": "failure"}
    names = {"#status": "status", "#event": "event", "#error": "error", "#owner": "owner"}
    failure: TransactWriteItemTypeDef = {
        "Update": {
            "TableName": settings.table_name(),
            "Key": table.serialize(keys.image(claim.image_id)),
            # With the original name, these are the attributes of an event.
            "UpdateExpression": (
                "SET #status = :failure, #event = :event, #error = :error, caption = :empty, #owner = :owner"
            ),
            "ConditionExpression": "attempt = :attempt AND #status = :processing",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": table.serialize(
                values | {":attempt": claim.attempt, ":processing": "processing", ":owner": claim.owner}
            ),
        }
    }
    table.write([failure, *count(claim.owner, {"failure": 1})], lambda: _is_stored(claim, "failure", is_temporary=True))
    return replace(claim, has_failed=True)


def get(owner: str | None, image_id: str) -> ImageRecord:
    """Return a finished image. Raises ImageNotFoundError and StorageError."""
    item = _current(owner, image_id)
    if item["status"] != "success":
        raise ImageNotFoundError
    return _from_attributes(item)


def find_equal(owner: str, file: str) -> ImageRecord | None:
    """Return the finished image of an owner with the digest `file` of file and prompt, or None. Raises StorageError."""
    named = hashes.image_of(owner, file)
    return None if named is None else _finished(owner, named)


def find_known(owner: str, files: Sequence[str]) -> dict[str, str]:
    """Return the ids of finished images of an owner by digest of file and prompt, in the order of the digests `files`.

    Takes at most 100 digests, each once. Raises StorageError.
    """
    named = hashes.images_of(owner, files) if files else {}
    images = find_all(owner, list(named.values()))
    return {file: named[file] for file in files if file in named and isinstance(images.get(named[file]), ImageRecord)}


def remember(image_id: str) -> None:
    """Store which file an image has, unless another image with the file is remembered and exists. May be repeated.

    For images that were stored without a hash: before Duplicates=find, or while an equal image existed. Does nothing if
    the image is not finished. Raises StorageError.
    """
    item = table.find(keys.image(image_id))
    if item is None or not exists(item):
        return
    # Items of older versions have no owner.
    owner = item.get("owner", SHARED)
    writes = remembered(owner, item)
    if not writes:
        return
    # The image may be deleted or get another owner meanwhile.
    unchanged: TransactWriteItemTypeDef = {
        "ConditionCheck": {
            "TableName": settings.table_name(),
            "Key": table.serialize(keys.image(image_id)),
            "ConditionExpression": f"attempt = :attempt AND {_is_owned(owner)}",
            "ExpressionAttributeNames": {"#owner": "owner"},
            "ExpressionAttributeValues": table.serialize({":attempt": item["attempt"], ":owner": owner}),
        }
    }
    table.write([unchanged, *writes], lambda: not remembered(owner, item))


def remembered(owner: str, item: table.Item) -> "list[TransactWriteItemTypeDef]":
    """Return the write after which an owner has the file of the image with this item.

    There is none if the image is not finished, or if the file is known. Raises StorageError.
    """
    file = hashes.file_of(item)
    if file is None:
        return []
    named = hashes.image_of(owner, file)
    if named is not None and _finished(owner, named):
        return []
    return [hashes.added(owner, file, keys.image_id(item["pk"]), item.get("expires_at"), named)]


def find(owner: str | None, image_id: str) -> ImageRecord | UnfinishedImage:
    """Return an image in any state. Raises ImageNotFoundError and StorageError."""
    return _in_its_state(_current(owner, image_id))


def find_all(owner: str, image_ids: Sequence[str]) -> dict[str, ImageRecord | UnfinishedImage]:
    """Return the images that exist, in any state, by id and in the order of the ids. Raises StorageError.

    Takes at most 100 ids, each once.
    """
    if not image_ids:
        return {}
    items = table.find_all([keys.image(image_id) for image_id in image_ids])
    found = {keys.image_id(item["pk"]): item for item in items if exists(item) and _belongs(item, owner)}
    return {image_id: _in_its_state(found[image_id]) for image_id in image_ids if image_id in found}


def check(owner: str, image_ids: Sequence[str]) -> dict[str, ImageRecord | UnfinishedImage]:
    """Return the same as `find_all`, for ids that a client names: an image of somebody else takes as long as none."""
    if owner == SHARED:
        return find_all(owner, image_ids)
    clients.dynamodb()
    with ThreadPool(_CHECKS_AT_ONCE, thread_name_prefix="check") as pool:
        items = list(pool.map(lambda image_id: table.find_owned(keys.image(image_id), owner), image_ids))
    found = {image_id: item for image_id, item in zip(image_ids, items, strict=True) if item and exists(item)}
    return {image_id: _in_its_state(item) for image_id, item in found.items()}


def wait(owner: str, image_id: str, seconds: float) -> ImageRecord | UnfinishedImage:
    """Return an image as soon as it is finished or has failed, or in its current state after `seconds`.

    It does not wait if too many requests wait already. Raises ImageNotFoundError and StorageError.
    """
    end = time.monotonic() + min(seconds, deadline.remaining() - clients.MAX_CALL_SECONDS - _DELAY_SECONDS)
    place = waits.Place()
    for pause in pauses():
        image = find(owner, image_id)
        left = end - time.monotonic()
        if is_settled(image) or left <= 0 or not place.keep(min(pause, left)):
            break
        # Counting took time too.
        left = end - time.monotonic()
        if left <= 0:
            break
        time.sleep(min(pause, left))
    return image


def is_settled(image: ImageRecord | UnfinishedImage) -> bool:
    """Tell whether an image is finished or has failed."""
    return isinstance(image, ImageRecord) or image.error is not None


def pauses() -> Iterator[float]:
    """Yield the seconds between the reads of a waiting request. There is no end."""
    return chain([_FIRST_PAUSE_SECONDS], repeat(_PAUSE_SECONDS))


def replace_caption(record: ImageRecord, caption: str, confidence: Decimal, model: CaptionModel) -> None:
    """Store a new caption of a finished image. Does nothing if the image or its caption has changed meanwhile.

    Raises StorageError.
    """
    # Items of older versions lack what the event needs.
    published = {":event": "ImageProcessed", ":empty": "", ":shared": SHARED}
    new = {":caption": caption, ":confidence": confidence, ":model": vars(model)}
    old = {":success": "success", ":old": vars(record.caption_model)}
    table.update(
        keys.image(record.image_id),
        "SET caption = :caption, caption_confidence = :confidence, caption_model = :model,"
        " #event = :event, #error = :empty, #owner = if_not_exists(#owner, :shared)",
        ConditionExpression="#status = :success AND caption_model = :old",
        ExpressionAttributeNames={"#status": "status", "#event": "event", "#error": "error", "#owner": "owner"},
        ExpressionAttributeValues=table.serialize(new | old | published),
    )


def delete(owner: str, image_id: str) -> None:
    """Delete an image in any state. Raises ImageNotFoundError and StorageError.

    An item without content stays until no attempt can be running any more. The stream of the table has two events: now
    and when this item expires. Both times the files of the image are deleted, so none that a late attempt has stored
    is left.
    """
    bury(owner, _current(owner, image_id))


def bury(owner: str, item: table.Item) -> None:
    """Delete the image of an item as `delete` does, even one that has expired but that DynamoDB has not removed yet.

    Raises ImageNotFoundError if it is deleted or belongs to somebody else meanwhile, and StorageError.
    """
    for tries in range(1, _DELETION_TRIES + 1):
        try:
            _bury(owner, item)
        except RefusedError:
            raise
        except StorageError:
            stored = table.find(table.key_of(item))
            if stored is None or stored["status"] == "deleted" or not _belongs(stored, owner):
                raise ImageNotFoundError from None
            if tries == _DELETION_TRIES:
                raise
            # An attempt may have finished the image, or another upload may have taken over its hash.
            item = stored
        else:
            return


def newest(owner: str, limit: int, before: str | None = None) -> Page:
    """Return up to `limit` finished images of an owner, newest first.

    `before` is the listing position of the previous page's end.

    All shards are queried at the same time. At most one shard is queried twice, because two query results of one
    shard hold more than `limit` images. Raises StorageError.
    """
    # Twice the average share of a shard: a second query is rare, and few items are read without being needed.
    page_size = 2 * (limit // len(keys.LISTING_SHARDS) + 1)
    # Make the client before the threads start, because boto3 cannot make clients in several threads at once.
    clients.dynamodb()
    with ThreadPool(len(keys.LISTING_SHARDS), thread_name_prefix="listing") as pool:
        shards = list(
            pool.map(lambda shard: _query_listing(keys.listing(owner, shard), page_size, before), keys.LISTING_SHARDS)
        )
    items = list(islice(merge(*shards, key=itemgetter("listed_at"), reverse=True), limit + 1))
    end = items[limit - 1]["listed_at"] if len(items) > limit else None
    return Page([_from_attributes(item) for item in items[:limit]], end)


def statistics(owner: str) -> Statistics:
    """Return the sums over all statistics items of an owner. Raises StorageError."""
    shards = table.find_all([keys.statistics(owner, shard) for shard in keys.STATISTICS_SHARDS])
    return Statistics(
        success=sum(int(shard.get("success", 0)) for shard in shards),
        failure=sum(int(shard.get("failure", 0)) for shard in shards),
        total_processing_time=sum((shard.get("total_processing_time", Decimal(0)) for shard in shards), Decimal(0)),
    )


def _current(owner: str | None, image_id: str) -> table.Item:
    """Return the image item.

    Raises ImageNotFoundError if there is none, if it was deleted or has expired, or if it belongs to somebody else.
    """
    key = keys.image(image_id)
    item = table.find_owned(key, owner) if owner else table.find(key)
    if item is None or not exists(item) or not _belongs(item, owner):
        raise ImageNotFoundError
    return item


def exists(item: table.Item) -> bool:
    """Tell whether a stored image was not deleted and has not expired."""
    return bool(item["status"] != "deleted" and not table.is_expired(item))


def _belongs(item: table.Item, owner: str | None) -> bool:
    """Tell whether an image is of this owner. Items of older versions belong to all clients."""
    return owner is None or item.get("owner", SHARED) == owner


def _in_its_state(item: table.Item) -> ImageRecord | UnfinishedImage:
    """Return the image that an image item describes."""
    if item["status"] == "success":
        return _from_attributes(item)
    # Items of older versions have no name and no error.
    name, is_failed = item.get("original_name", "unnamed"), item["status"] == "failure"
    error = item.get("error", UNEXPECTED) if is_failed else None
    return UnfinishedImage(keys.image_id(item["pk"]), name, error, is_temporary=claims.is_temporary_failure(item))


def _finished(owner: str, image_id: str) -> ImageRecord | None:
    try:
        return get(owner, image_id)
    except ImageNotFoundError:
        return None


def _bury(owner: str, item: table.Item) -> None:
    """Replace an image item by one without content. Raises StorageError if that fails, or if the item has changed."""
    key = table.key_of(item)
    deleted = {
        **key,
        "status": "deleted",
        "replaced": item["status"],
        **_published("ImageDeleted", owner),
        "attempt": str(uuid4()),
        "expires_at": int(time.time() + claims.UNFINISHED_RETENTION.total_seconds()),
    }
    condition: Any = {
        "ConditionExpression": f"attempt = :attempt AND #status = :status AND {_is_owned(owner)}",
        "ExpressionAttributeNames": {"#status": "status", "#owner": "owner"},
        "ExpressionAttributeValues": table.serialize(
            {":attempt": item["attempt"], ":status": item["status"], ":owner": owner}
        ),
    }
    if settings.finds_duplicates() and (hash_removed := hashes.removed(owner, item)):
        put: Any = {"TableName": settings.table_name(), "Item": table.serialize(deleted), **condition}
        table.write([{"Put": put}, *hash_removed], lambda: table.find(key) == deleted)
    elif table.put(deleted, **condition) is not None:
        raise StorageError


def _is_owned(owner: str) -> str:
    """Return the condition that an image item has the owner `:owner`. Shared items of older versions have none."""
    return "(#owner = :owner OR attribute_not_exists(#owner))" if owner == SHARED else "#owner = :owner"


def _commit(
    claim: Claim,
    item: Mapping[str, Any],
    counts: Mapping[str, Any],
    outcome: Outcome,
    others: "Sequence[TransactWriteItemTypeDef]" = (),
) -> None:
    """Write the image item and `others`, add `counts` to a statistics item and settle the claim, in one transaction."""
    condition = "attempt = :attempt AND #status = :status"
    if not claim.is_reserved:
        # A failed attempt may have no image item. A deleted image has one, so it does not come back.
        condition = f"attribute_not_exists(pk) OR ({condition})"
    image: TransactWriteItemTypeDef = {
        "Put": {
            "TableName": settings.table_name(),
            "Item": table.serialize({**keys.image(claim.image_id), **item, "attempt": claim.attempt}),
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": table.serialize(
                {":attempt": claim.attempt, ":status": "failure" if claim.has_failed else "processing"}
            ),
        }
    }
    writes = [image, *count(claim.owner, counts), *claims.settle(claim, outcome), *others]
    if outcome == "success":
        writes += quotas.finished(claim.owner, claim.image_id)
    table.write(writes, lambda: _is_stored(claim, item["status"], is_temporary=False))


def count(owner: str, counts: Mapping[str, Any]) -> "list[TransactWriteItemTypeDef]":
    """Return the write that adds `counts` to a statistics item, or none if there are no counts."""
    if not counts:
        return []
    # Environments that are restored from the same snapshot would get the same numbers from `random`.
    shard = secrets.choice(keys.STATISTICS_SHARDS)
    update: UpdateTypeDef = {
        "TableName": settings.table_name(),
        "Key": table.serialize(keys.statistics(owner, shard)),
        "UpdateExpression": "ADD " + ", ".join(f"{name} :{name}" for name in counts),
        "ExpressionAttributeValues": table.serialize({f":{name}": value for name, value in counts.items()}),
    }
    return [{"Update": update}]


def _is_stored(claim: Claim, status: str, *, is_temporary: bool) -> bool:
    """Read whether the item has this state from this attempt. One attempt may store a temporary and a final failure."""
    stored = table.find(keys.image(claim.image_id))
    if stored is None or (stored["attempt"], stored["status"]) != (claim.attempt, status):
        return False
    return claims.is_temporary_failure(stored) == is_temporary


def _query_listing(listing: str, page_size: int, before: str | None) -> Iterator[dict[str, Any]]:
    """Query one shard of the list.

    Return an iterator over its items, newest first. It queries again after the last item of a result.
    """
    condition, values = "listing = :listing", {":listing": listing, ":now": int(time.time())}
    if before is not None:
        condition, values = f"{condition} AND listed_at < :before", values | {":before": before}
    response = table.query(
        condition,
        values,
        FilterExpression="attribute_not_exists(expires_at) OR expires_at > :now",
        IndexName=_LISTING_INDEX,
        ScanIndexForward=False,
        Limit=page_size,
    )

    def older() -> Iterator[dict[str, Any]]:
        if "LastEvaluatedKey" in response:
            yield from _query_listing(listing, page_size, table.deserialize(response["LastEvaluatedKey"])["listed_at"])

    return chain((table.deserialize(item) for item in response["Items"]), older())


def _published(event: str, owner: str) -> dict[str, str]:
    """Return the attributes from which EventsPipe makes an event (options/events.yaml).

    The caller overwrites the values that it has. Each item with an event has all attributes, because AWS does not
    document the event if one is missing.
    """
    return {"event": event, "owner": owner, "original_name": "", "caption": "", "error": ""}


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
        # An older image lacks a new size. During a deployment, an image may have a size that this version lacks.
        thumbnails={size: item["thumbnails"][size] for size in ThumbnailSize if size in item["thumbnails"]},
        caption=item["caption"],
        caption_model=CaptionModel(**item["caption_model"]),
        # Items of older versions lack the next three attributes, and the last one.
        caption_prompt=item.get("caption_prompt", ""),
        caption_confidence=item.get("caption_confidence"),
        dominant_color=item.get("dominant_color"),
        sha256=item["sha256"],
        owner=item.get("owner", SHARED),
    )
