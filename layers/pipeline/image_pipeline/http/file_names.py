"""The file name of an upload, made safe to show."""

import re
from urllib.parse import unquote_to_bytes

from multipart import MultipartPart

# The charset for parsing part headers. Every byte is one character in it, so no header fails to decode and no byte is
# lost.
HEADER_CHARSET = "latin-1"
_QUOTED = re.compile(r'"(?:\\.|[^\\"])*"')
# A charset, a language and percent-encoded bytes (RFC 8187). The two charsets are from RFC 5987.
_EXTENDED = re.compile(
    r"; *filename\* *= *(utf-?8|iso-8859-1)'[^'; ]*'((?:%[0-9a-f]{2}|[!#$&-:<-~])+) *(?:;|$)",
    re.IGNORECASE | re.ASCII,
)
_REMOVED_CHARACTERS = re.compile(
    "[\0-\x1f\x7f-\x9f"  # control characters
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # change the direction of text
    "\u2028\u2029\ufeff]"  # line separator, paragraph separator, byte order mark
)
_SURROGATES = re.compile("[\ud800-\udfff]")
# At most 255 characters. The cut does not split an emoji sequence, or a letter from its accent, unless one of them is
# longer than 255 characters.
_FIRST_CHARACTERS = re.compile(
    ".{1,255}(?<!\u200d)(?![\u0300-\u036f\u200d\u20d0-\u20ff\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f])"
    "|.{1,255}"
)


def shown(part: MultipartPart) -> str:
    """Return the file name of a part, made safe by `cleaned`. `part` must come from a parser with HEADER_CHARSET."""
    name = _extended(part.disposition) or (part.filename or "").encode(HEADER_CHARSET).decode(errors="replace")
    return cleaned(name)


def cleaned(name: str) -> str:
    """Return a file name without its path, or "unnamed".

    Removes control characters and characters that change the direction of text. Keeps joiners, tags and unknown
    characters, because emoji and some scripts need them. Replaces lone surrogates, which are not valid in UTF-8.
    """
    name = _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", name)
    name = _REMOVED_CHARACTERS.sub("", name.replace("\\", "/").rpartition("/")[2]).strip()
    beginning = _FIRST_CHARACTERS.match(name)
    return beginning[0] if beginning else "unnamed"


def _extended(disposition: str) -> str | None:
    """Return the name from the parameter `filename*`, or None if it is missing or malformed."""
    # Quoted strings are emptied first, because an ordinary name may contain the text `filename*=`.
    found = _EXTENDED.search(_QUOTED.sub('""', disposition))
    if found is None:
        return None
    charset, name = found.groups()
    try:
        return unquote_to_bytes(name).decode(charset)
    except UnicodeDecodeError:
        return None
