"""The keys of all items in the table, the listing index, and the objects in the bucket.

The partition keys of lists, search entries and statistics contain the owner, so no read touches the partitions of
another owner. The keys of images that all clients share have none.
"""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID
from zlib import crc32

from image_pipeline.models import SHARED, ImageRecord, ThumbnailSize

LISTING_SHARDS = range(4)
STATISTICS_SHARDS = range(8)
_IMAGE = "IMAGE#"
WORDS = "WORDS#"
_OF_OWNERS = re.compile("(?:HASH|TERM|WORDS|REQUEST|STATS|OWNER)#(?:([0-9a-f]{32})#)?")
# With marks, so that two such keys stay different.
_LIKE_OWNED = re.compile("#*[0-9a-f]{32}#")
_UPLOADS = "uploads/"
_ORIGINALS = "originals/"

ItemKey = dict[str, str]

# DynamoDB refuses longer partition keys.
MAX_BYTES = 2048


def image(image_id: str) -> ItemKey:
    """Return the key of an image item."""
    return {"pk": f"{_IMAGE}{image_id}", "sk": "IMAGE"}


def image_id(partition_key: str) -> str:
    """Return the image id that the partition key of an image item contains."""
    return partition_key.removeprefix(_IMAGE)


def is_image_id(text: str) -> bool:
    """Tell whether a text is an id as we make them: a UUID in lower case, with hyphens."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def inventory(image_id: str) -> ItemKey:
    """Return the key of the item that names the entries of an image in the search index."""
    return {"pk": f"{_IMAGE}{image_id}", "sk": "TERMS"}


def term(owner: str, term: str, position: str) -> ItemKey:
    """Return the key of an entry of the search index. `position` is the listing position of the image."""
    return {"pk": f"TERM#{_of(owner)}{term}", "sk": position}


def word(owner: str, term: str) -> ItemKey:
    """Return the key of a term in the vocabulary."""
    return {"pk": words(owner, term), "sk": term}


def words(owner: str, term: str) -> str:
    """Return the partition key of the terms with the same first letter. Terms with digits have partitions of their own.

    Names of files have very many different numbers. They do not get in the way of words.
    """
    return f"{WORDS}{_of(owner)}{term[0]}{'0' if any(map(str.isnumeric, term)) else ''}"


def request(owner: str, idempotency_key: str) -> ItemKey:
    """Return the key of a request item. A shared key that looks like an owner and a key gets a mark in front."""
    mark = "#" if not owner and _LIKE_OWNED.match(idempotency_key) else ""
    return {"pk": f"REQUEST#{_of(owner)}{mark}{idempotency_key}", "sk": "REQUEST"}


def file_hash(owner: str, file: str) -> ItemKey:
    """Return the key of the item that names the image whose file and prompt have the digest `file`."""
    return {"pk": f"HASH#{_of(owner)}{file}", "sk": "HASH"}


def statistics(owner: str, shard: int) -> ItemKey:
    """Return the key of the statistics item of a shard."""
    return {"pk": f"STATS#{_of(owner)}{shard}", "sk": "STATS"}


def place(image_id: str) -> ItemKey:
    """Return the key of the item that says for which owner an image is counted."""
    return {"pk": f"{_IMAGE}{image_id}", "sk": "PLACE"}


def images_of_owner(owner: str) -> ItemKey:
    """Return the key of the item that counts the images of an owner."""
    return {"pk": f"OWNER#{owner}#", "sk": "TOTAL"}


def uploads_of_owner(owner: str, day: str) -> ItemKey:
    """Return the key of the item that counts the uploads of an owner on a day, such as 2025-03-16."""
    return {"pk": f"OWNER#{owner}#", "sk": day}


def waits(window: int) -> ItemKey:
    """Return the key of the item that counts the requests that wait in a window of time."""
    return {"pk": f"WAITS#{window}", "sk": "WAITS"}


def listing(owner: str, shard: int) -> str:
    """Return the partition key of a shard in the listing index."""
    return f"LIST#{_of(owner)}{shard}"


def listing_shard(image_id: str) -> int:
    """Return the shard of the listing index that an image belongs to."""
    return crc32(image_id.encode()) % len(LISTING_SHARDS)


def listing_position(record: ImageRecord) -> str:
    """Return the sort key of an image in the listing index. The sort keys of newer images are greater."""
    return f"{record.processed_at.isoformat(timespec='microseconds')}#{record.image_id}"


def uploaded_file(image_id: str) -> str:
    """Return the S3 key of the file of a direct upload."""
    return f"{_UPLOADS}{image_id}"


def original(image_id: str) -> str:
    """Return the S3 key of the uploaded file of a processed image, if it is kept."""
    return f"{_ORIGINALS}{image_id}"


def image_of_file(key: str) -> str | None:
    """Return the image id in the S3 key of an uploaded file, or None for any other key."""
    image_id = key.removeprefix(_UPLOADS)
    return image_id if key.startswith(_UPLOADS) and is_image_id(image_id) else None


def image_of_object(key: str) -> str | None:
    """Return the image id in the S3 key of a thumbnail, an uploaded file or a kept file. Return None for other keys."""
    first, _, rest = key.partition("/")
    image_id = rest if f"{first}/" in {_UPLOADS, _ORIGINALS} else first
    return image_id if is_image_id(image_id) else None


def owner(item: Mapping[str, Any]) -> str | None:
    """Return the owner of a stored item, or None if it is of nobody, such as a count of waiting requests."""
    if item["pk"].startswith(_IMAGE):
        # Items of older versions have no owner.
        return str(item.get("owner", SHARED))
    found = _OF_OWNERS.match(item["pk"])
    return found and (found[1] or SHARED)


def _of(owner: str) -> str:
    return f"{owner}#" if owner else ""


def thumbnail(image_id: str, size: ThumbnailSize, extension: str) -> str:
    """Return the S3 key of a thumbnail."""
    return f"{image_id}/thumbnails/{size}.{extension}"
