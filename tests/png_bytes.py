"""PNGs made from single chunks, for files that Pillow cannot write."""

import struct
import zlib

import numpy as np
import numpy.typing as npt

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
# The first row and column of each pass of an interlaced image, and the steps from row to row and from column to column.
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def chunk(kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(
    samples: npt.NDArray[np.generic],
    *ancillary: bytes,
    behind: bytes = b"",
    bits: int = 0,
    colour_type: int | None = None,
    is_interlaced: bool = False,
) -> bytes:
    """Return a PNG. The samples are in an array of shape (height, width, channels), of type uint8 or uint16.

    `bits` is the bit depth, by default that of the array. `colour_type` is only needed for a palette.
    `ancillary` chunks come before the pixels, and `behind` comes after them. An interlaced image is at least 5 x 5.
    """
    height, width, channels = samples.shape
    bits = bits or 8 * samples.itemsize
    colour_type = _COLOUR_TYPES[channels] if colour_type is None else colour_type
    header = struct.pack(">2I5B", width, height, bits, colour_type, 0, 0, is_interlaced)
    passes = [samples[top::down, left::across] for top, left, down, across in _PASSES] if is_interlaced else [samples]
    data = zlib.compress(b"".join(_rows(part, bits) for part in passes))
    chunks = (chunk(b"IHDR", header), *ancillary, chunk(b"IDAT", data), behind, chunk(b"IEND", b""))
    return SIGNATURE + b"".join(chunks)


def _rows(samples: npt.NDArray[np.generic], bits: int) -> bytes:
    """Return rows of samples, each after the number of its filter, which is 0 for none."""
    rows = samples.astype(samples.dtype.newbyteorder(">")).reshape(len(samples), -1).view(np.uint8)
    if bits < 8:
        rows = np.packbits(np.unpackbits(rows[:, :, None], axis=2)[:, :, -bits:].reshape(len(rows), -1), axis=1)
    return np.pad(rows, ((0, 0), (1, 0))).tobytes()


def flat(*samples: int, bits: int = 8) -> npt.NDArray[np.generic]:
    """Return the samples of a 32 x 24 image in one colour."""
    return np.full((24, 32, len(samples)), samples, f"u{bits // 8}")


def icc_profile(content: bytes) -> bytes:
    return chunk(b"iCCP", b"a profile\0\0" + zlib.compress(content))
