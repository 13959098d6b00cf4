"""Random damage to bytes, the same for the same seed."""

import random
import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
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
