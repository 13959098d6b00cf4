"""The EXIF tags that the pipeline uses (CIPA DC-008, TIFF 6.0). No count or offset in the file is trusted."""

import struct
from dataclasses import dataclass

_ORIENTATION, _DATE_TIME, _EXIF_DIRECTORY = 0x0112, 0x0132, 0x8769
_DATE_TIME_ORIGINAL, _DATE_TIME_DIGITIZED = 0x9003, 0x9004
_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_ASCII = 2
# The TIFF types BYTE, SHORT and LONG, and their format characters in struct.
_WHOLE_NUMBERS = {1: "B", 3: "H", 4: "L"}
# An entry contains a value of up to four bytes, or the offset of a longer value.
_INLINE_BYTES = 4
# Only dates are read as text. A date has 20 characters.
_MAX_TEXT_CHARACTERS = 64

# The type, the number of values, and the value or its offset.
_Entry = tuple[int, int, bytes]


@dataclass(frozen=True)
class Exif:
    """The values of the tags. A value is None if the tag is missing or has a wrong type."""

    orientation: int | None
    date_time: str | None
    date_time_original: str | None
    date_time_digitized: str | None


def read(block: bytes) -> Exif | None:
    """Read a TIFF block, the content of an EXIF segment or chunk.

    Returns None if the header is wrong or the first directory is empty.
    """
    order = _BYTE_ORDERS.get(block[:4])
    if order is None:
        return None
    first = _directory(block, order, block[4:8])
    if not first:
        return None
    details = _directory(block, order, first[_EXIF_DIRECTORY][2]) if _EXIF_DIRECTORY in first else {}
    return Exif(
        orientation=_whole_number(order, first.get(_ORIENTATION)),
        date_time=_text(block, order, first.get(_DATE_TIME)),
        date_time_original=_text(block, order, details.get(_DATE_TIME_ORIGINAL)),
        date_time_digitized=_text(block, order, details.get(_DATE_TIME_DIGITIZED)),
    )


def _directory(block: bytes, order: str, offset: bytes) -> dict[int, _Entry]:
    """Return the entries of the directory at `offset`, by tag. Leaves out entries beyond the end of the block."""
    start = _offset(order, offset)
    if start + 2 > len(block):
        return {}
    (number,) = struct.unpack_from(f"{order}H", block, start)
    entry = struct.Struct(f"{order}HHL4s")
    entries = block[start + 2 : start + 2 + number * entry.size]
    whole = entries[: len(entries) // entry.size * entry.size]
    return {tag: (kind, count, value) for tag, kind, count, value in entry.iter_unpack(whole)}


def _whole_number(order: str, entry: _Entry | None) -> int | None:
    if entry is None or entry[0] not in _WHOLE_NUMBERS or entry[1] != 1:
        return None
    kind, _, value = entry
    (number,) = struct.unpack_from(f"{order}{_WHOLE_NUMBERS[kind]}", value)
    return int(number)


def _text(block: bytes, order: str, entry: _Entry | None) -> str | None:
    if entry is None or entry[0] != _ASCII:
        return None
    _, count, value = entry
    if count > _INLINE_BYTES:
        start = _offset(order, value)
        value = block[start : start + min(count, _MAX_TEXT_CHARACTERS)]
    return value.partition(b"\0")[0].decode("latin-1")


def _offset(order: str, value: bytes) -> int:
    return int.from_bytes(value, "little" if order == "<" else "big")
