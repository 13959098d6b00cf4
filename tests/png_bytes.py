"""PNGs made from single chunks, for files that Pillow cannot write."""

import struct
import zlib

import numpy as np
import numpy.typing as npt

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


def chunk(kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(samples: npt.NDArray[np.generic], *ancillary: bytes, behind: bytes = b"") -> bytes:
    """Return a PNG. The samples have 8 or 16 bits, in an array of shape (height, width, channels).

    `ancillary` chunks come before the pixels, and `behind` comes after them.
    """
    height, width, channels = samples.shape
    header = struct.pack(">2I5B", width, height, 8 * samples.itemsize, _COLOUR_TYPES[channels], 0, 0, 0)
    rows = samples.astype(samples.dtype.newbyteorder(">")).reshape(height, -1).view(np.uint8)
    data = zlib.compress(np.pad(rows, ((0, 0), (1, 0))).tobytes())
    chunks = (chunk(b"IHDR", header), *ancillary, chunk(b"IDAT", data), behind, chunk(b"IEND", b""))
    return SIGNATURE + b"".join(chunks)


def flat(*samples: int, bits: int = 8) -> npt.NDArray[np.generic]:
    """Return the samples of a 32 x 24 image in one colour."""
    return np.full((24, 32, len(samples)), samples, f"u{bits // 8}")


def icc_profile(content: bytes) -> bytes:
    return chunk(b"iCCP", b"a profile\0\0" + zlib.compress(content))
