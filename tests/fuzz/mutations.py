"""Random damage to bytes, the same for the same seed."""

import copy
import random
import struct
import zlib
from typing import Any

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What API Gateway sends null for when a request has none.
_NULLABLE = ("headers", "multiValueHeaders", "queryStringParameters", "multiValueQueryStringParameters", "body")
_NUMBERS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1")


def damaged(content: bytes, dice: random.Random) -> bytes:
    """Return `content` with one to sixteen changes: bytes and bits, pieces lost, put in, doubled or cut off."""
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


def damaged_event(event: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """Return an API Gateway event with one to three changes, of those that a client can bring about."""
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
    """Return a PNG's chunks with the checksums that they should have, so that a decoder looks into them."""
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
