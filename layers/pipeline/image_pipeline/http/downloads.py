"""The best file of an image to download, and the name under which a browser stores it."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from image_pipeline import settings
from image_pipeline.errors import DeadlineError, StorageError
from image_pipeline.models import MEDIA_TYPES, ImageFormat, ImageRecord
from image_pipeline.observability import logger
from image_pipeline.storage import file_store, thumbnail_store

if TYPE_CHECKING:
    from image_pipeline.http import schemas

# File systems refuse longer names.
_MAX_NAME_BYTES = 255
# RFC 6266, appendix D: clients do not agree on these characters in a quoted string. A slash would be a path.
_AMBIGUOUS = re.compile(r'[^ -~]|["%/\\]')


def find(record: ImageRecord) -> "schemas.Download | None":
    """Return the original if the stack keeps it and it is still there, and otherwise the largest thumbnail.

    S3 is only asked if the stack keeps originals. If S3 does not tell whether the original is there, return None: the
    thumbnail would look like the best file, and the rest of the image can be shown.
    """
    try:
        has_original = settings.keep_originals() and file_store.has_original(record.image_id)
    except (StorageError, DeadlineError):
        logger.exception("original not found out", image_id=record.image_id)
        return None
    if has_original:
        extensions = next((row.extensions for row in ImageFormat if row == record.metadata.format), ())
        disposition = _attachment(record.original_name, extensions)
        return {"kind": "original", "url": file_store.original_url(record.image_id, disposition)}
    # The sizes are in ascending order.
    *_, key = record.thumbnails.values()
    extensions = next(row.extensions for row in ImageFormat if key.rpartition(".")[2] in row.extensions)
    disposition = _attachment(record.original_name, extensions)
    return {"kind": "thumbnail", "url": thumbnail_store.presigned_url(key, disposition)}


def _attachment(name: str, extensions: Sequence[str]) -> str:
    """Return a Content-Disposition header in ASCII (RFC 6266). The name gets one of the extensions."""
    named = _with_extension(name, extensions)
    # Old clients read `filename`. All others read `filename*` (RFC 8187).
    return f"attachment; filename=\"{_AMBIGUOUS.sub('_', named)}\"; filename*=UTF-8''{quote(named, safe='')}"


def _with_extension(name: str, extensions: Sequence[str]) -> str:
    """Return a name with one of the extensions. Only the extension of another accepted format is replaced."""
    stem, _, extension = name.rpartition(".")
    if extension.lower() not in extensions:
        stem = stem if extension.lower() in MEDIA_TYPES else name
        # During a deployment, the format may be one that this version does not know.
        extension = next(iter(extensions), "")
    ending = f".{extension}" if extension else ""
    return (stem.encode()[: _MAX_NAME_BYTES - len(ending)].decode(errors="ignore") or "unnamed") + ending
