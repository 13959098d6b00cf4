"""Small ICC profiles (ICC.1:2001-04) for CMYK and grayscale images. Pillow cannot make such profiles."""

import struct
from itertools import product

from tools.press_profile import profile

_NAME = b"test\0"
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
    return profile(b"prtr", b"CMYK", b"Lab ", _NAME, _NAME, {b"A2B0": lut})


def of_linear_grays() -> bytes:
    """Return a grayscale profile whose values are proportional to the light."""
    return profile(b"mntr", b"GRAY", b"XYZ ", _NAME, _NAME, {b"kTRC": struct.pack(">4s4xI", b"curv", 0)})
