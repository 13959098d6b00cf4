"""Cursors of the list: an opaque, signed listing position, so that a client can neither forge nor mend one."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

from image_pipeline import settings
from image_pipeline.errors import InvalidRequestError

_SIGNATURE_BYTES = 16


def encode(position: str) -> str:
    """Return the cursor of a listing position, safe in a URL."""
    content = position.encode()
    return urlsafe_b64encode(_signature(content) + content).rstrip(b"=").decode()


def decode(cursor: str) -> str:
    """Return the listing position of a cursor. Raises InvalidRequestError unless `encode` made it."""
    try:
        signed = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
    except ValueError:
        raise _invalid() from None
    signature, content = signed[:_SIGNATURE_BYTES], signed[_SIGNATURE_BYTES:]
    # b64decode ignores stray characters and spare bits: only the canonical spelling is accepted.
    if not hmac.compare_digest(signature, _signature(content)) or encode(content.decode()) != cursor:
        raise _invalid()
    return content.decode()


def _signature(content: bytes) -> bytes:
    return hmac.digest(settings.cursor_key(), content, "sha256")[:_SIGNATURE_BYTES]


def _invalid() -> InvalidRequestError:
    return InvalidRequestError("Invalid cursor. Please use the 'next' URL of the previous page as it is.")
