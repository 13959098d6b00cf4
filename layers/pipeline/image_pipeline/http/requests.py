"""The parameters of a request, read from an API Gateway event (payload version 1.0) and checked."""

import json
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard, get_args

from image_pipeline import settings, thumbnail_sizes
from image_pipeline.errors import ImageNotFoundError, InvalidRequestError, InvalidThumbnailSizeError
from image_pipeline.http import accept, cursors, file_names, prompts
from image_pipeline.models import Detail, ImageFormat, ThumbnailSize, any_of
from image_pipeline.storage import keys

Event = Mapping[str, Any]
DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 100
MAX_KEY_CHARACTERS = 255
MAX_SEARCH_CHARACTERS = 200
# API Gateway waits 29 s for a response.
MAX_WAIT_SECONDS = 20
CONTENT_TYPES = [row.media_type for row in ImageFormat]
# DynamoDB reads at most this many items at once.
MAX_IMAGE_IDS = 100
UNKNOWN_TYPE = "application/octet-stream"
# The types that browsers and systems give to files, and the type of the form. The worker detects the format itself.
FORM_TYPES = {
    **{media_type: media_type for media_type in CONTENT_TYPES},
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    UNKNOWN_TYPE: UNKNOWN_TYPE,
    "": UNKNOWN_TYPE,
}
MAX_DIGESTS = 100
# Longer than a file name and a prompt of the allowed lengths, with all characters escaped, and than MAX_IMAGE_IDS ids
# with MAX_DIGESTS digests.
_MAX_JSON_BYTES = 20_000
_UPLOAD_HINT = 'Send for example: {"filename": "photo.jpg", "content_type": "image/jpeg"}'
DIGEST_PATTERN = "[0-9A-Fa-f]{64}"
_DIGEST_HINT = "Please use 64 hexadecimal digits."
_IDS_HINT = 'Send for example: {"image_ids": ["b480bcff-7fff-45b2-93cf-7a534fe39821"]}'
# Visible ASCII without quotes. The IETF draft puts quotes around the key; they are not part of it.
KEY_PATTERN = f'"?([!#-~]{{1,{MAX_KEY_CHARACTERS}}})"?'


def header(event: Event, name: str) -> str | None:
    """Return the value of a header, or None. `name` is in lower case; clients may write it in any case."""
    headers: dict[str, str] = {key.lower(): value for key, value in (event.get("headers") or {}).items()}
    return headers.get(name)


def image_id(event: Event) -> str:
    """Return the image id from the path, in lower case. Raises ImageNotFoundError if it is not a UUID.

    Clients may write a UUID in any case (RFC 9562, section 4).
    """
    text: str = event["pathParameters"]["image_id"].lower()
    if not keys.is_image_id(text):
        raise ImageNotFoundError
    return text


def thumbnail_size(event: Event) -> ThumbnailSize:
    """Return the thumbnail size from the path. Raises InvalidThumbnailSizeError if the stack has no such size."""
    sizes = thumbnail_sizes.sides()
    for size in sizes:
        if size == event["pathParameters"]["size"]:
            return size
    raise InvalidThumbnailSizeError.expecting(sizes)


def page_limit(event: Event) -> int:
    """Return the value of `?limit=`, or DEFAULT_PAGE_SIZE. Raises InvalidRequestError."""
    text = _query(event).get("limit", str(DEFAULT_PAGE_SIZE))
    if not re.fullmatch("[0-9]{1,3}", text) or not 1 <= int(text) <= MAX_PAGE_SIZE:
        raise InvalidRequestError(f"Invalid limit. Please use a whole number from 1 to {MAX_PAGE_SIZE}.")
    return int(text)


def page_start(event: Event) -> str | None:
    """Return the listing position from `?cursor=`, or None without a cursor. Raises InvalidRequestError."""
    cursor = _query(event).get("cursor")
    return None if cursor is None else cursors.decode(cursor)


def search_words(event: Event) -> str:
    """Return the value of `?q=`, or an empty text without it. Raises InvalidRequestError if it is too long."""
    words = _query(event).get("q", "")
    if len(words) > MAX_SEARCH_CHARACTERS:
        raise InvalidRequestError(f"Invalid q. Please use at most {MAX_SEARCH_CHARACTERS} characters.")
    return words


def idempotency_key(event: Event) -> str | None:
    """Return the Idempotency-Key header without surrounding quotes, or None. Raises InvalidRequestError."""
    text = header(event, "idempotency-key")
    if text is None:
        return None
    match = re.fullmatch(KEY_PATTERN, text.strip())
    if match is None:
        raise InvalidRequestError(
            f"Invalid Idempotency-Key. Please use 1 to {MAX_KEY_CHARACTERS} visible ASCII characters other than quotes,"
            " such as a UUID."
        )
    return match[1]


def wait_seconds(event: Event) -> float:
    """Return the value of `?wait=` in seconds, or 0 without it. Raises InvalidRequestError."""
    text = _query(event).get("wait", "0")
    if not re.fullmatch(r"[0-9]{1,2}", text) or int(text) > MAX_WAIT_SECONDS:
        raise InvalidRequestError(f"Invalid wait. Please use a whole number of seconds from 0 to {MAX_WAIT_SECONDS}.")
    return int(text)


def details(event: Event, *, can_download: bool = False) -> Sequence[Detail]:
    """Return the names in `?details=`, which are separated by commas. Raises InvalidRequestError.

    Only one route has downloads. A size of thumbnails that the stack does not make is unknown.
    """
    text = _query(event).get("details")
    if text is None:
        return []
    unknown = set(ThumbnailSize) - thumbnail_sizes.sides().keys()
    possible = [each for each in get_args(Detail) if each not in unknown and (can_download or each != "download")]
    wanted = [detail for detail in possible if detail in text.split(",")]
    if len(wanted) != len(text.split(",")):
        raise InvalidRequestError(f"Invalid details. Please use {', '.join(possible)}, or {','.join(possible)}.")
    return wanted


def is_unique(event: Event) -> bool:
    """Tell whether `?duplicates=return` asks for the known image of an equal file. Raises InvalidRequestError."""
    duplicates = _query(event).get("duplicates")
    if duplicates not in {None, "keep", "return"}:
        raise InvalidRequestError(
            "Invalid duplicates. Please use duplicates=return or duplicates=keep, or leave it out."
        )
    if duplicates == "return":
        _require_hashes("duplicates=return")
    return duplicates == "return"


def _require_hashes(asked: str) -> None:
    """Refuse a question about equal files if the table does not remember files."""
    if not settings.finds_duplicates():
        raise InvalidRequestError(
            f"This API does not know which files it has. Please leave out {asked}, or ask its operator to set the "
            "parameter Duplicates to find."
        )


def wants_redirect(event: Event, media_type: str) -> bool:
    """Tell whether the client wants the file itself, of this media type, and not a JSON body with its URL.

    `?redirect=1` and `?redirect=0` decide. Without them, the Accept header decides. The Accept header of an `<img>`
    prefers images. Raises InvalidRequestError for another value.
    """
    redirect = _query(event).get("redirect")
    if redirect not in {None, "0", "1"}:
        raise InvalidRequestError("Invalid redirect. Please use redirect=1 or redirect=0, or leave it out.")
    if redirect is None:
        return accept.prefers(header(event, "accept") or "", media_type, "application/json")
    return redirect == "1"


@dataclass(frozen=True)
class FileToUpload:
    """The file of a direct upload. `content_type` is that of the form. `sha256` is None if it is not told."""

    original_name: str
    content_type: str
    prompt: str
    sha256: str | None


def file_to_upload(event: Event) -> FileToUpload:
    """Return what the JSON body of a direct upload tells about the file. Raises InvalidRequestError."""
    match _json_body(event, _UPLOAD_HINT):
        case {"content_type": str(content_type), **others} if form_type := _form_type(content_type):
            name, prompt = others.get("filename", ""), others.get("prompt", "")
        case {"content_type": _}:
            raise InvalidRequestError(f"Invalid content_type. Please use {any_of(CONTENT_TYPES)}.")
        case _:
            raise InvalidRequestError(f"The field 'content_type' is missing. {_UPLOAD_HINT}")
    if not isinstance(name, str):
        raise InvalidRequestError("Invalid filename. Please use text.")
    if not isinstance(prompt, str):
        raise InvalidRequestError("Invalid prompt. Please use text.")
    sha256 = _digest(others["sha256"]) if "sha256" in others else None
    return FileToUpload(file_names.cleaned(name), form_type, prompts.checked(prompt), sha256)


def _digest(sent: object) -> str:
    """Return a digest in lower case. Raises InvalidRequestError."""
    if not _is_digest(sent):
        raise InvalidRequestError(f"Invalid sha256. {_DIGEST_HINT}")
    _require_hashes("sha256")
    return sent.lower()


def _is_digest(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and re.fullmatch(DIGEST_PATTERN, value) is not None


def _form_type(content_type: str) -> str | None:
    """Return the type of the form for a media type in any case, with or without parameters. None for other types."""
    return FORM_TYPES.get(content_type.partition(";")[0].strip().lower())


def images_to_check(event: Event) -> tuple[list[str], list[str] | None]:
    """Return the image ids and the digests of files from the JSON body of a check, in lower case and each once.

    The digests are None if the client does not ask for files. Raises InvalidRequestError.
    """
    match _json_body(event, _IDS_HINT):
        case {"image_ids": sent, "sha256": files}:
            return _image_ids(sent), _digests(files)
        case {"image_ids": sent}:
            return _image_ids(sent), None
        case {"sha256": files}:
            return [], _digests(files)
        case _:
            raise InvalidRequestError(f"The field 'image_ids' is missing. {_IDS_HINT}")


def _image_ids(sent: object) -> list[str]:
    if not isinstance(sent, list) or not all(isinstance(each, str) for each in sent):
        raise InvalidRequestError(f"Invalid image_ids. Please use a list of ids as texts. {_IDS_HINT}")
    wanted = list(dict.fromkeys(each.lower() for each in sent))
    if not 1 <= len(wanted) <= MAX_IMAGE_IDS:
        raise InvalidRequestError(f"Invalid image_ids. Please use 1 to {MAX_IMAGE_IDS} ids.")
    if not all(keys.is_image_id(each) for each in wanted):
        raise InvalidRequestError(f"Invalid image_ids. Please use UUIDs with hyphens. {_IDS_HINT}")
    return wanted


def _digests(sent: object) -> list[str]:
    if not isinstance(sent, list) or not all(map(_is_digest, sent)):
        raise InvalidRequestError(f"Invalid sha256. Please use a list of digests as texts. {_DIGEST_HINT}")
    wanted = list(dict.fromkeys(each.lower() for each in sent))
    if not 1 <= len(wanted) <= MAX_DIGESTS:
        raise InvalidRequestError(f"Invalid sha256. Please use 1 to {MAX_DIGESTS} digests.")
    _require_hashes("sha256")
    return wanted


def _json_body(event: Event, advice: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return the parsed JSON body. Raises InvalidRequestError, whose message ends with `advice`."""
    body = event.get("body") or ""
    # Before it is parsed: 6 MB of brackets take a second of CPU time, and half the memory of the function.
    if len(body.encode(errors="replace")) > _MAX_JSON_BYTES:
        raise InvalidRequestError(f"The request body has more than {_MAX_JSON_BYTES:,} bytes. {advice}")
    try:
        return json.loads(b64decode(body) if event.get("isBase64Encoded") else body)
    except (ValueError, RecursionError):
        raise InvalidRequestError(f"The request body is not JSON. {advice}") from None


def _query(event: Event) -> Mapping[str, str]:
    # API Gateway sends null when there is no query string.
    return event.get("queryStringParameters") or {}
