"""How many images each owner has, and has uploaded today, if the stack limits them.

One item of an owner counts its images, and one for each day (in UTC) counts its uploads. An upload takes a place before
anything expensive happens: one transaction creates the image item and its place, which says that it is counted, and
raises both counts. It fails if one of them has reached its limit.

Afterwards `settle` makes the counts agree with the image item. FollowImagesFunction calls it after each change, and
make reindex for all images. A deleted image gives back its place among the images. So does an upload that has failed,
or that died and has expired. On the same day, it also gives back its upload of the day.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from image_pipeline import settings
from image_pipeline.errors import DailyLimitError, ImageLimitError, StorageError
from image_pipeline.models import SHARED
from image_pipeline.storage import keys, table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import DeleteTypeDef, PutTypeDef, TransactWriteItemTypeDef, UpdateTypeDef

COUNT_RETENTION = timedelta(days=2)


def are_counted() -> bool:
    """Tell whether the stack counts the images of owners. It does if it limits them."""
    return bool(settings.owner_max_images() or settings.owner_daily_uploads())


def is_limited(owner: str) -> bool:
    """Tell whether the images of this owner are counted. Images that all clients share are not."""
    return owner != SHARED and are_counted()


def create(item: table.Item) -> None:
    """Create an image item that belongs to a limited owner, and count it.

    Raises ImageLimitError, DailyLimitError and StorageError.
    """
    owner, now = item["owner"], datetime.now(UTC)
    day = now.date().isoformat()
    place = {**keys.place(keys.image_id(item["pk"])), "owner": owner, "day": day}
    expiry = int((now + COUNT_RETENTION).timestamp())
    writes: list[TransactWriteItemTypeDef] = [
        _put(item),
        _put(place),
        _added(keys.images_of_owner(owner), 1, below=settings.owner_max_images()),
        _added(keys.uploads_of_owner(owner, day), 1, below=settings.owner_daily_uploads(), expires_at=expiry),
    ]
    try:
        table.write(writes, lambda: table.find(table.key_of(item)) == item)
    except StorageError:
        _raise_if_full(owner, now)
        raise


def finished(owner: str, image_id: str) -> "list[TransactWriteItemTypeDef]":
    """Return the write that marks an upload as used: its day is not given back. Without limits, there is none."""
    if not is_limited(owner):
        return []
    return [
        {
            "Update": {
                "TableName": settings.table_name(),
                "Key": table.serialize(keys.place(image_id)),
                # Without `owner`, the image is not counted. An image from before the limits has no place yet.
                "UpdateExpression": "SET is_finished = :true",
                "ExpressionAttributeValues": table.serialize({":true": True}),
            }
        }
    ]


def settle(image_id: str) -> None:
    """Count an image, give its place back, or move the place to another owner, as the image item is now.

    Does not look at the limits: the image is there. May be repeated. Raises StorageError.
    """
    found = {item["sk"]: item for item in table.find_all([keys.image(image_id), keys.place(image_id)])}
    image, place = found.get(keys.image("")["sk"]), found.get(keys.place("")["sk"])
    old, new = (place or {}).get("owner"), _holder(image)
    # `finished` creates a place without an owner if there was none.
    if old == new and (new is not None or place is None):
        return
    writes = [_changed_place(image_id, place, old, new)]
    if new is not None and image is not None:
        writes += [_unchanged(image), _added(keys.images_of_owner(new), 1)]
    if old is not None and place is not None:
        writes.append(_added(keys.images_of_owner(old), -1))
        if new is None and _is_unused(image, place):
            writes.append(_added(keys.uploads_of_owner(old, place["day"]), -1))

    def is_settled() -> bool:
        now = table.find(keys.place(image_id))
        return now is None if new is None else now is not None and now.get("owner") == new

    table.write(writes, is_settled)


def _holder(image: table.Item | None) -> str | None:
    """Return the limited owner of an image that has a place, or None."""
    if image is None or image["status"] == "deleted" or table.is_expired(image):
        return None
    # The last attempt at a direct upload stores a failure before it works.
    if image["status"] == "failure" and image.get("lease", 0) <= time.time() * 1000:
        return None
    owner = str(image.get("owner", SHARED))
    return owner if is_limited(owner) else None


def _is_unused(image: table.Item | None, place: table.Item) -> bool:
    """Tell whether an upload of today has failed, died, or never got its file.

    If a client deletes an image while it is processed, the upload counts as used: the model may have run.
    """
    if place.get("day") != datetime.now(UTC).date().isoformat() or place.get("is_finished"):
        return False
    return image is None or image["status"] != "deleted" or image.get("replaced") == "requested"


def _changed_place(
    image_id: str, place: table.Item | None, old: str | None, new: str | None
) -> "TransactWriteItemTypeDef":
    """Return the write that gives a place back, or to an owner, unless it has changed since it was read."""
    guard: Any = {
        "TableName": settings.table_name(),
        "ConditionExpression": "attribute_not_exists(#owner)" if old is None else "#owner = :old",
        "ExpressionAttributeNames": {"#owner": "owner"},
    }
    if old is not None:
        guard["ExpressionAttributeValues"] = table.serialize({":old": old})
    if new is None:
        if place and not place.get("is_finished"):
            # A finished upload does not give back its day.
            guard["ConditionExpression"] += " AND attribute_not_exists(is_finished)"
        delete: DeleteTypeDef = guard | {"Key": table.serialize(keys.place(image_id))}
        return {"Delete": delete}
    moved = {**(place or keys.place(image_id)), "owner": new}
    # The first owner made the upload, so only its day counts it.
    moved.pop("day", None)
    put: PutTypeDef = guard | {"Item": table.serialize(moved)}
    return {"Put": put}


def _put(item: table.Item) -> "TransactWriteItemTypeDef":
    return {
        "Put": {
            "TableName": settings.table_name(),
            "Item": table.serialize(item),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
    }


def _added(
    key: keys.ItemKey, number: int, *, below: int = 0, expires_at: int | None = None
) -> "TransactWriteItemTypeDef":
    """Return the write that adds to a count. It fails if the count is not `below` a limit. 0 means no limit."""
    values, changes = {":number": number}, "ADD counted :number"
    if expires_at is not None:
        values[":expires_at"] = expires_at
        changes += " SET expires_at = :expires_at"
    update: UpdateTypeDef = {
        "TableName": settings.table_name(),
        "Key": table.serialize(key),
        "UpdateExpression": changes,
    }
    if below:
        values[":limit"] = below
        update["ConditionExpression"] = "attribute_not_exists(counted) OR counted < :limit"
    update["ExpressionAttributeValues"] = table.serialize(values)
    return {"Update": update}


def _unchanged(image: table.Item) -> "TransactWriteItemTypeDef":
    """Return the check that an image of a limited owner still has the state and the owner that were read."""
    values = {":attempt": image["attempt"], ":status": image["status"], ":owner": image["owner"]}
    return {
        "ConditionCheck": {
            "TableName": settings.table_name(),
            "Key": table.serialize(table.key_of(image)),
            "ConditionExpression": "attempt = :attempt AND #status = :status AND #owner = :owner",
            "ExpressionAttributeNames": {"#status": "status", "#owner": "owner"},
            "ExpressionAttributeValues": table.serialize(values),
        }
    }


def _raise_if_full(owner: str, now: datetime) -> None:
    """Raise ImageLimitError or DailyLimitError if an owner has reached a limit."""
    images, uploads = keys.images_of_owner(owner), keys.uploads_of_owner(owner, now.date().isoformat())
    counted = {item["sk"]: int(item["counted"]) for item in table.find_all([images, uploads])}
    if 0 < (limit := settings.owner_max_images()) <= counted.get(images["sk"], 0):
        raise ImageLimitError.of(limit)
    if 0 < (limit := settings.owner_daily_uploads()) <= counted.get(uploads["sk"], 0):
        midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
        raise DailyLimitError.of(limit, (midnight - now).total_seconds())
