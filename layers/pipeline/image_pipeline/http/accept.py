"""The Accept header of a request: which of two media types a client prefers (RFC 9110, section 12.5.1)."""

import re

_QUALITY = re.compile(r"\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*", re.IGNORECASE | re.ASCII)


def prefers(accept: str, media_type: str, other: str) -> bool:
    """Tell whether a client wants `media_type` more than `other`. Returns False if it prefers neither."""
    return _quality(accept, media_type) > _quality(accept, other)


def _quality(accept: str, media_type: str) -> float:
    """Return the q-value of a media type in an Accept header. The most specific range wins."""
    best, quality = -1, 0.0
    kind = media_type.partition("/")[0]
    specificity = {"*/*": 0, f"{kind}/*": 1, media_type: 2}
    for item in accept.split(","):
        name, *parameters = item.split(";")
        found = specificity.get(name.strip().lower(), -1)
        if found > best:
            qualities = [float(match[1]) for match in map(_QUALITY.fullmatch, parameters) if match]
            best, quality = found, qualities[0] if qualities else 1.0
    return quality
