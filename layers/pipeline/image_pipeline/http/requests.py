"""The parameters of a request, read from an API Gateway event (payload version 1.0) and checked."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from image_pipeline.errors import ImageNotFoundError, InvalidRequestError, InvalidThumbnailSizeError
from image_pipeline.http import cursors
from image_pipeline.models import ThumbnailSize

Event = Mapping[str, Any]
DEFAULT_PAGE = 50
LARGEST_PAGE = 100
LONGEST_KEY = 255
# Visible ASCII without quotes. The IETF draft puts quotes around the key; they are not part of it.
KEY_PATTERN = f'"?([!#-~]{{1,{LONGEST_KEY}}})"?'


def header(event: Event, name: str) -> str | None:
    """Return the value of a header, or None. `name` is in lower case; clients may write it in any case."""
    headers: dict[str, str] = {key.lower(): value for key, value in (event.get("headers") or {}).items()}
    return headers.get(name)


def image_id(event: Event) -> str:
    """Return the image id from the path, in lower case. Raises ImageNotFoundError if it is not a UUID.

    Clients may write a UUID in any case (RFC 9562, section 4).
    """
    text: str = event["pathParameters"]["image_id"].lower()
    try:
        if str(UUID(text)) == text:
            return text
    except ValueError:
        pass
    raise ImageNotFoundError


def thumbnail_size(event: Event) -> ThumbnailSize:
    """Return the thumbnail size from the path. Raises InvalidThumbnailSizeError."""
    try:
        return ThumbnailSize(event["pathParameters"]["size"])
    except ValueError:
        raise InvalidThumbnailSizeError from None


def page_limit(event: Event) -> int:
    """Return the value of `?limit=`, or DEFAULT_PAGE. Raises InvalidRequestError."""
    text = _query(event).get("limit", str(DEFAULT_PAGE))
    if not re.fullmatch("[0-9]{1,3}", text) or not 1 <= int(text) <= LARGEST_PAGE:
        raise InvalidRequestError(f"Invalid limit. Please use a whole number from 1 to {LARGEST_PAGE}.")
    return int(text)


def page_start(event: Event) -> str | None:
    """Return the listing position from `?cursor=`, or None without a cursor. Raises InvalidRequestError."""
    cursor = _query(event).get("cursor")
    return None if cursor is None else cursors.decode(cursor)


def idempotency_key(event: Event) -> str | None:
    """Return the Idempotency-Key header without surrounding quotes, or None. Raises InvalidRequestError."""
    text = header(event, "idempotency-key")
    if text is None:
        return None
    match = re.fullmatch(KEY_PATTERN, text.strip())
    if match is None:
        raise InvalidRequestError(
            f"Invalid Idempotency-Key. Please use 1 to {LONGEST_KEY} visible ASCII characters other than quotes,"
            " such as a UUID."
        )
    return match[1]


def _query(event: Event) -> Mapping[str, str]:
    # API Gateway sends null when there is no query string.
    return event.get("queryStringParameters") or {}
