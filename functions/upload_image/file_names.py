"""The file name of an uploaded part, as the API shows it."""

import re
from urllib.parse import unquote_to_bytes

from multipart import MultipartPart

# How the form's headers are decoded: every byte becomes one character, so no header fails and none loses a byte.
HEADER_CHARSET = "latin-1"
_QUOTED = re.compile(r'"(?:\\.|[^\\"])*"')
# RFC 8187: charset, language, percent-encoded bytes. The charsets are those of RFC 5987.
_EXTENDED = re.compile(
    r"; *filename\* *= *(utf-?8|iso-8859-1)'[^'; ]*'((?:%[0-9a-f]{2}|[!#$&-:<-~])+) *(?:;|$)",
    re.IGNORECASE | re.ASCII,
)
_REMOVED = re.compile(
    "[\0-\x1f\x7f-\x9f"  # control characters
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # change the direction of text
    "\u2028\u2029\ufeff]"  # line separator, paragraph separator, byte order mark
)
# At most 255 characters. The cut never splits an emoji sequence or takes an accent from its letter, unless these
# alone are longer.
_BEGINNING = re.compile(
    ".{1,255}(?<!\u200d)(?![\u0300-\u036f\u200d\u20d0-\u20ff\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f])"
    "|.{1,255}"
)


def shown(part: MultipartPart) -> str:
    """Return the last component of the name that the client sent, or "unnamed".

    `part` comes from a parser with HEADER_CHARSET. Control characters and characters that change the direction of
    text are removed. Joiners, tags and characters that this Python does not know stay: emoji and scripts need them.
    """
    name = _extended(part.disposition) or (part.filename or "").encode(HEADER_CHARSET).decode(errors="replace")
    name = _REMOVED.sub("", name.replace("\\", "/").rpartition("/")[2]).strip()
    beginning = _BEGINNING.match(name)
    return beginning[0] if beginning else "unnamed"


def _extended(disposition: str) -> str | None:
    """Return the name in the parameter `filename*`; None if it is missing or malformed."""
    # Quoted strings are emptied first: the text `filename*=` may be part of an ordinary name.
    found = _EXTENDED.search(_QUOTED.sub('""', disposition))
    if found is None:
        return None
    charset, name = found.groups()
    try:
        return unquote_to_bytes(name).decode(charset)
    except UnicodeDecodeError:
        return None
