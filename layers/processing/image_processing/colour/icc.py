"""ICC profiles made from primaries and a tone curve (ICC.1:2022)."""

import struct
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

# x and y of white, red, green and blue, in units of 1/100,000.
Chromaticities = Sequence[int]
SRGB_PRIMARIES: Chromaticities = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
DISPLAY_P3_PRIMARIES: Chromaticities = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
_D50 = np.array((0.9642, 1, 0.8249))
# The Bradford matrix, from XYZ to the responses of the cones in the eye (ICC.1:2022, annex E).
_CONES = np.array(((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296)))


def power_curve(exponent: float) -> bytes:
    """Return the tag of a tone curve: light is the encoded value to the power of `exponent`."""
    return _parametric_curve(0, exponent)


def srgb_curve() -> bytes:
    """Return the tag of the tone curve of sRGB (IEC 61966-2-1)."""
    return _parametric_curve(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def gray_profile(curve: bytes) -> bytes:
    """Return a profile for gray images. `curve` is a tag such as srgb_curve()."""
    return _profile(b"GRAY", {b"kTRC": curve})


def rgb_profile(primaries: Chromaticities, curve: bytes) -> bytes:
    """Return a profile for RGB images. Raises ValueError if no colours have these primaries."""
    red, green, blue = (_xyz(*colorant) for colorant in _colorants(primaries).T)
    colorants = {b"rXYZ": red, b"gXYZ": green, b"bXYZ": blue}
    return _profile(b"RGB ", colorants | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def _colorants(primaries: Chromaticities) -> npt.NDArray[np.float64]:
    """Return the XYZ values of red, green and blue as columns, adapted to a white of D50."""
    x, y = np.reshape(primaries, (4, 2)).T / 100_000
    try:
        with np.errstate(divide="raise", invalid="raise", over="raise"):
            colours = np.array((x / y, np.ones(4), (1 - x - y) / y))
            white, mixed = colours[:, 0], colours[:, 1:]
            mixed = mixed * np.linalg.solve(mixed, white)
            adaptation = np.linalg.inv(_CONES) @ np.diag((_CONES @ _D50) / (_CONES @ white)) @ _CONES
            return np.asarray(adaptation @ mixed)
    except (FloatingPointError, np.linalg.LinAlgError) as error:
        raise ValueError(f"{primaries} are not possible as primaries") from error


def _profile(colour_space: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    tags = {b"wtpt": _xyz(*_D50), **tags}
    start = 128 + 4 + 12 * len(tags)
    directory, data = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        directory += struct.pack(">4sII", name, start + len(data), len(tag))
        data += tag
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x12s48x",
        start + len(data),
        0x04400000,
        b"mntr",
        colour_space,
        b"XYZ ",
        b"acsp",
        _xyz(*_D50)[8:],
    )
    return header + directory + data


def _xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + _fixed_point(*values)


def _parametric_curve(function: int, *parameters: float) -> bytes:
    return struct.pack(">4s4xH2x", b"para", function) + _fixed_point(*parameters)


def _fixed_point(*values: float) -> bytes:
    try:
        return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))
    except struct.error as error:
        raise ValueError(f"{values} do not fit a profile") from error
