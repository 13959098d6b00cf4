"""Cursors of the list. A cursor is a listing position as base64url text."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from image_pipeline.errors import InvalidRequestError

# A time in UTC with microseconds, and an image id: see keys.listing_position.
_POSITION = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00#[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}", re.ASCII
)


def encode(position: str) -> str:
    """Return the cursor of a listing position. It needs no escaping in a URL."""
    return urlsafe_b64encode(position.encode()).rstrip(b"=").decode()


def decode(cursor: str) -> str:
    """Return the listing position of a cursor. Raises InvalidRequestError unless `encode` can make this cursor."""
    try:
        position = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode()
    except ValueError:
        raise _invalid() from None
    # urlsafe_b64decode ignores characters that are not base64, and unused bits.
    if not _POSITION.fullmatch(position) or encode(position) != cursor:
        raise _invalid()
    return position


def _invalid() -> InvalidRequestError:
    return InvalidRequestError("Invalid cursor. Please use the 'next' URL of the previous page as it is.")
