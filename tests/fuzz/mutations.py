"""Random changes to files and events. The same seed gives the same changes."""

import copy
import random
import re
import struct
import zlib
from itertools import pairwise
from typing import Any

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Markers after the first scan of a JPEG: tables, further scans and the end.
_LATER_SEGMENT = re.compile(rb"\xff[\xc4\xd9-\xdd]")
# Fields that API Gateway sets to null if the request does not have them.
_NULLABLE = ("headers", "multiValueHeaders", "queryStringParameters", "multiValueQueryStringParameters", "body")
_NUMBERS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1")


def damaged(content: bytes, dice: random.Random) -> bytes:
    """Return `content` with one to sixteen random changes.

    A change overwrites bytes, flips a bit, or deletes, inserts or repeats a piece. It may also cut off the end.
    """
    result = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        place, length = dice.randrange(len(result) + 1), dice.choice((1, 2, 4, 30))
        match dice.randrange(8):
            case 0 | 1:
                result[place : place + 1] = dice.randbytes(1)
            case 2 if place < len(result):
                result[place] ^= 1 << dice.randrange(8)
            case 3:
                del result[place : place + length]
            case 4:
                result[place:place] = dice.randbytes(length)
            case 5:
                result[place : place + 4] = dice.choice(_NUMBERS)
            case 6:
                start = dice.randrange(len(result) + 1)
                result[place:place] = result[start : start + 4 * length]
            case 7 if dice.random() < 0.2:
                del result[place:]
    return bytes(result)


def rearranged(content: bytes, other: bytes, dice: random.Random) -> bytes:
    """Return a JPEG or PNG with one to six random changes to its segments or chunks.

    A change moves, repeats, deletes, cuts or damages a part, or changes its length. It may also insert a part of
    `other`, which may have another format.
    """
    parts, strange = _parts(content), _parts(other)
    for _ in range(dice.choice((1, 1, 2, 3, 6))):
        place = dice.randrange(len(parts))
        match dice.randrange(7):
            case 0:
                parts.insert(dice.randrange(len(parts) + 1), parts.pop(place))
            case 1:
                parts[place:place] = [parts[place]] * dice.choice((1, 2, 40))
            case 2 if len(parts) > 1:
                del parts[place]
            case 3:
                parts[place] = parts[place][: dice.randrange(len(parts[place]) + 1)]
            case 4:
                parts[place] = _with_another_length(parts[place], dice)
            case 5:
                parts.insert(place, dice.choice(strange))
            case 6:
                parts[place] = damaged(parts[place], dice)
    return b"".join(parts)


def _parts(content: bytes) -> list[bytes]:
    """Return the signature of a file, and then its segments (JPEG) or chunks (PNG)."""
    if content.startswith(_SIGNATURE):
        places, place = [0, 8], 8
        while place + 12 <= len(content):
            place += 12 + int.from_bytes(content[place : place + 4], "big")
            places.append(place)
    else:
        places, place = [0, 2], 2
        while content[place : place + 1] == b"\xff" and content[place : place + 2] != b"\xff\xda":
            place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
            places.append(place)
        places += [found.start() for found in _LATER_SEGMENT.finditer(content, place + 2)]
    return [content[begin:end] for begin, end in pairwise([*places, len(content)])]


def _with_another_length(part: bytes, dice: random.Random) -> bytes:
    """Change the length field of a segment or chunk. In half of the cases, also change the length of its content."""
    place, size = (2, 2) if part[:1] == b"\xff" else (0, 4)
    change = dice.choice((-300, -1, 1, 7, 300))
    length = max(0, int.from_bytes(part[place : place + size], "big") + change) & ((1 << 8 * size) - 1)
    resized = part[:place] + length.to_bytes(size, "big") + part[place + size :]
    if dice.random() < 0.5:
        return resized
    return resized + dice.randbytes(change) if change > 0 else resized[:change]


def damaged_event(event: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """Return an API Gateway event with one to three random changes that a client can cause."""
    result = copy.deepcopy(event)
    for _ in range(dice.choice((1, 1, 2, 3))):
        match dice.randrange(5):
            case 0:
                result[dice.choice(_NULLABLE)] = None
            case 1:
                result["isBase64Encoded"] = not result["isBase64Encoded"]
            case 2 if result["body"]:
                result["body"] = _damaged_text(result["body"], dice)
            case _:
                texts = result[dice.choice(("headers", "pathParameters", "queryStringParameters"))]
                if texts:
                    name = dice.choice(list(texts))
                    texts[name] = _damaged_text(texts[name], dice)
                    if texts is result["headers"] and dice.random() < 0.5:
                        texts[_damaged_text(name, dice)] = texts.pop(name)
    return result


def _damaged_text(text: str, dice: random.Random) -> str:
    return damaged(text.encode(), dice).decode(dice.choice(("latin-1", "utf-8")), errors="replace")


def with_right_checksums(content: bytes) -> bytes:
    """Return a PNG with correct checksums, so that a decoder reads its chunks. Return other files unchanged."""
    if not content.startswith(_SIGNATURE):
        return content
    result, place = [_SIGNATURE], len(_SIGNATURE)
    while place + 12 <= len(content):
        end = place + 12 + int.from_bytes(content[place : place + 4], "big")
        if end > len(content):
            break
        body = content[place + 4 : end - 4]
        result += [content[place : place + 4], body, struct.pack(">I", zlib.crc32(body))]
        place = end
    return b"".join(result) + content[place:]
