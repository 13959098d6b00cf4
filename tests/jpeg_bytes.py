"""JPEGs with changed bytes, for files that Pillow cannot write."""

import struct

_START = 2


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def behind_start(content: bytes, *segments: bytes) -> bytes:
    """Return the JPEG with `segments` inserted after its start marker."""
    return content[:_START] + b"".join(segments) + content[_START:]


def without(content: bytes, marker: int) -> bytes:
    """Return the JPEG without the first segment that has this marker. The segment must be before the first scan."""
    place = _START
    while content[place + 1] != marker:
        place = _end(content, place)
    return content[:place] + content[_end(content, place) :]


def first_scan(content: bytes) -> int:
    place = _START
    while content[place + 1] != 0xDA:
        place = _end(content, place)
    return place


def exif(*entries: tuple[int, int, bytes], order: str = "<") -> bytes:
    """Return a TIFF block whose first directory has these entries: tag, type and value."""
    header = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}L", 8)
    end = 8 + 2 + 12 * len(entries) + 4
    directory, values = struct.pack(f"{order}H", len(entries)), b""
    for tag, kind, value in entries:
        count = len(value) // {2: 1, 3: 2, 4: 4}[kind]
        place = struct.pack(f"{order}L", end + len(values)) if len(value) > 4 else value.ljust(4, b"\0")
        values += value if len(value) > 4 else b""
        directory += struct.pack(f"{order}HHL", tag, kind, count) + place
    return header + directory + bytes(4) + values


def _end(content: bytes, place: int) -> int:
    return place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
