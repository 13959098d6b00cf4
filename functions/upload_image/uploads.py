"""The uploaded file, read strictly from a multipart/form-data event."""

import unicodedata
from base64 import b64decode
from dataclasses import dataclass
from io import BytesIO

from multipart import MultipartError, MultipartParser, MultipartPart, parse_options_header

from image_pipeline import settings
from image_pipeline.errors import ImageTooLargeError, InvalidRequestError
from image_pipeline.requests import Event

FIELD = "file"
_HINT = f"Send multipart/form-data with one file in the field '{FIELD}', for example: curl -F {FIELD}=@photo.jpg"
_LONGEST_NAME = 255
# What multipart/form-data adds around the file: boundaries, part headers, a few small fields.
_FORM_OVERHEAD = 64 * 1024


@dataclass(frozen=True)
class Upload:
    """A file as it was sent; the name is only for show, never a path."""

    original_name: str
    content: bytes


def from_event(event: Event) -> Upload:
    """Return the one file of the form. Raises InvalidRequestError and ImageTooLargeError."""
    boundary = _boundary(event)
    body = _body(event)
    limit = settings.max_upload_bytes()
    if len(body) > limit + _FORM_OVERHEAD:
        raise _too_large(limit)
    files = [part for part in _parts(body, boundary) if part.name == FIELD]
    if not files:
        raise InvalidRequestError(f"The field '{FIELD}' is missing. {_HINT}")
    if len(files) > 1:
        raise InvalidRequestError(f"The field '{FIELD}' came {len(files)} times. {_HINT}")
    part = files[0]
    if not part.filename:
        raise InvalidRequestError(f"The field '{FIELD}' is not a file. {_HINT}")
    if not part.size:
        raise InvalidRequestError("The uploaded file is empty.")
    if part.size > limit:
        raise _too_large(limit)
    return Upload(_displayable(part.filename), part.raw)


def _boundary(event: Event) -> str:
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    media_type, options = parse_options_header(headers.get("content-type") or "")
    if media_type.lower() != "multipart/form-data":
        raise InvalidRequestError(f"The request is not multipart/form-data. {_HINT}")
    if not options.get("boundary"):
        raise InvalidRequestError(f"The Content-Type header has no boundary. {_HINT}")
    boundary: str = options["boundary"]
    return boundary


def _body(event: Event) -> bytes:
    text: str = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return text.encode()
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise InvalidRequestError("The request body is not valid base64.") from None


def _parts(body: bytes, boundary: str) -> list[MultipartPart]:
    try:
        # Everything stays in memory: the body is there already, and is bounded.
        parser = MultipartParser(
            BytesIO(body), boundary, len(body), strict=True, spool_limit=len(body) + 1, memory_limit=len(body) + 1
        )
        parts: list[MultipartPart] = parser.parts()
    except MultipartError as error:
        raise InvalidRequestError(f"The form is malformed: {error.args[0]}. {_HINT}") from None
    return parts


def _displayable(filename: str) -> str:
    """Return the last part of a client's path without control and text direction characters."""
    name = filename.replace("\\", "/").rpartition("/")[2]
    name = "".join(character for character in name if not unicodedata.category(character).startswith("C"))
    return name.strip()[:_LONGEST_NAME] or "unnamed"


def _too_large(limit: int) -> ImageTooLargeError:
    return ImageTooLargeError(
        f"The file is larger than {limit:,} bytes. Please send a smaller or more strongly compressed image."
    )
