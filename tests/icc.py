"""Small ICC profiles (ICC.1:2001-04) for CMYK and grayscale images. Pillow cannot make such profiles."""

import struct
from itertools import product

_PAPER = (255, 128, 128)
"""White in CIELAB with 8 bits per value: lightness, then the two colour axes. The zero of the axes is 128."""


def of_inks(*inks: tuple[int, int, int]) -> bytes:
    """Return a CMYK profile. `inks` are the CIELAB colours of single inks at full strength.

    Inks are mixed by adding their differences from white.
    """
    corners = bytearray()
    for amounts in product((0, 1), repeat=len(inks)):
        printed = [ink for ink, amount in zip(inks, amounts, strict=True) if amount]
        colour = [paper + sum(ink[at] - paper for ink in printed) for at, paper in enumerate(_PAPER)]
        # Black has no colour, so its colour axes are zero.
        corners += bytes(colour if colour[0] > 0 else (0, 128, 128))
    identity_matrix = struct.pack(">9i", *(65536 * (at % 4 == 0) for at in range(9)))
    ramp = bytes(range(256))
    lut = struct.pack(">4s4x4B", b"mft1", len(inks), 3, 2, 0) + identity_matrix + len(inks) * ramp + corners + 3 * ramp
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lut})


def of_linear_grays() -> bytes:
    """Return a grayscale profile whose values are proportional to the light."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": struct.pack(">4s4xI", b"curv", 0)})


def _profile(device: bytes, colours: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    d50 = struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    name = b"test\0"
    tags |= {
        b"desc": struct.pack(">4s4xI", b"desc", len(name)) + name + bytes(78),
        b"cprt": b"text" + bytes(4) + name,
        b"wtpt": b"XYZ " + bytes(4) + d50,
    }
    directory, data = struct.pack(">I", len(tags)), b""
    for tag, content in tags.items():
        directory += struct.pack(">4sII", tag, 132 + 12 * len(tags) + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x12s48x",
        132 + 12 * len(tags) + len(data),
        0x02400000,
        device,
        colours,
        connection,
        b"acsp",
        d50,
    )
    return header + directory + data
