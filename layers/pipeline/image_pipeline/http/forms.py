"""The upload form: reads the file and the prompt from a multipart/form-data request, and refuses malformed forms."""

import re
from base64 import b64decode
from binascii import a2b_qp
from io import BytesIO

from multipart import MultipartError, MultipartParser, MultipartPart, parse_options_header

from image_pipeline import settings
from image_pipeline.errors import ImageTooLargeError, InvalidRequestError
from image_pipeline.http import file_names, prompts, requests
from image_pipeline.http.requests import Event
from image_pipeline.models import Upload

FIELD = "file"
PROMPT_FIELD = "prompt"
_HINT = f"Send multipart/form-data with one file in the field '{FIELD}', for example: curl -F {FIELD}=@photo.jpg"
_UNQUOTED_BOUNDARY = re.compile(r'; *boundary *= *([^\s";][^;]*)', re.IGNORECASE)
# Room for the rest of the form: boundaries, part headers, a few small fields.
_FORM_OVERHEAD = 64 * 1024


def upload(event: Event) -> Upload:
    """Return the file and the prompt of the form, with the Idempotency-Key and what `?duplicates=` asks.

    Raises InvalidRequestError and ImageTooLargeError.
    """
    idempotency_key, is_unique = requests.idempotency_key(event), requests.is_unique(event)
    boundary = _boundary(event)
    body = _body(event)
    limit = settings.max_upload_bytes()
    if len(body) > limit + _FORM_OVERHEAD:
        raise _too_large(limit)
    parts = _parts(body, boundary)
    file, prompt = _field(parts, FIELD), _field(parts, PROMPT_FIELD)
    if file is None:
        raise InvalidRequestError(f"The field '{FIELD}' is missing. {_HINT}")
    content = _content(file)
    if not content:
        raise InvalidRequestError("The uploaded file is empty. Please send a file with content.")
    if len(content) > limit:
        raise _too_large(limit)
    checked_prompt = "" if prompt is None else _prompt(prompt)
    return Upload(file_names.shown(file), content, idempotency_key, checked_prompt, is_unique)


def _boundary(event: Event) -> str:
    content_type = requests.header(event, "content-type") or ""
    media_type, options = parse_options_header(content_type)
    if media_type.lower() != "multipart/form-data":
        raise InvalidRequestError(f"The request is not multipart/form-data. {_HINT}")
    unquoted = _UNQUOTED_BOUNDARY.search(content_type)
    if unquoted and unquoted[1].rstrip() != options.get("boundary"):
        raise InvalidRequestError(
            "The boundary in the Content-Type header contains characters that need quotes. "
            f'Please send: multipart/form-data; boundary="{unquoted[1].rstrip()}"'
        )
    if not options.get("boundary"):
        raise InvalidRequestError(f"The Content-Type header has no boundary. {_HINT}")
    boundary: str = options["boundary"]
    return boundary


def _body(event: Event) -> bytes:
    encoding = (requests.header(event, "content-encoding") or "identity").strip().lower()
    if encoding != "identity":
        raise InvalidRequestError(
            f"The request body is compressed (Content-Encoding: {encoding}). "
            "Please send the form uncompressed, without a Content-Encoding header."
        )
    text: str = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return text.encode(errors="replace")
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise InvalidRequestError(f"The request body is not valid base64. {_HINT}") from None


def _parts(body: bytes, boundary: str) -> list[MultipartPart]:
    try:
        # No part is written to disk: the whole body is in memory already, and its size is limited.
        parser = MultipartParser(
            BytesIO(body),
            boundary,
            len(body),
            charset=file_names.HEADER_CHARSET,
            strict=True,
            spool_limit=len(body) + 1,
            memory_limit=len(body) + 1,
        )
        parts: list[MultipartPart] = parser.parts()
    except MultipartError as error:
        raise InvalidRequestError(f"The form is malformed: {error.args[0]}. {_HINT}") from None
    return parts


def _field(parts: list[MultipartPart], name: str) -> MultipartPart | None:
    found = [part for part in parts if part.name == name]
    if len(found) > 1:
        raise InvalidRequestError(f"The field '{name}' came {len(found)} times. {_HINT}")
    return found[0] if found else None


def _prompt(part: MultipartPart) -> str:
    try:
        return prompts.checked(_content(part).decode())
    except UnicodeDecodeError:
        raise InvalidRequestError(
            f"The field '{PROMPT_FIELD}' is not text in UTF-8. Please send it as UTF-8."
        ) from None


def _content(part: MultipartPart) -> bytes:
    """Return the content of a part. Decodes its Content-Transfer-Encoding (RFC 2045)."""
    content: bytes = part.raw
    encoding = (part.headers["Content-Transfer-Encoding"] or "binary").strip().lower()
    if encoding in {"7bit", "8bit", "binary"}:
        return content
    if encoding == "quoted-printable":
        return a2b_qp(content)
    if encoding != "base64":
        raise InvalidRequestError(
            f"The Content-Transfer-Encoding '{encoding}' is not supported. Please send the field without an encoding."
        )
    try:
        return b64decode(b"".join(content.split()), validate=True)
    except ValueError:
        raise InvalidRequestError(
            f"The field '{part.name}' is not valid base64, although its Content-Transfer-Encoding is base64. "
            "Please send it without an encoding."
        ) from None


def _too_large(limit: int) -> ImageTooLargeError:
    return ImageTooLargeError(
        f"The file is larger than {limit:,} bytes. Please send it with POST /api/uploads, which takes larger files."
    )
