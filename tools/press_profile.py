"""Make press.icc, the ICC profile for CMYK images that contain none: `python -m tools.press_profile FOGRA39L.ti3`.

FOGRA39L.ti3 is in the Debian package icc-profiles-free, with the zlib licence. It contains the measured colours of
1,617 mixtures of inks, printed with offset on coated paper (ISO 12647-2).
"""

import struct
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from image_processing.colour.colours import PRESS_PROFILE

Floats = npt.NDArray[np.float64]

_GRID = 9
_D50 = np.array((0.9642, 1, 0.8249))
_COPYRIGHT = b"Made of FOGRA39L.ti3, (c) Kai-Uwe Behrmann, zlib licence. An altered version.\0"
_NAME = b"Coated sheet from an offset press, made of FOGRA39L\0"


def press_profile(inks: Floats, xyz: Floats) -> bytes:
    """Return an ICC profile of measured colours. The amounts of four inks are 0 to 1. Bare paper comes first."""
    _, first = np.unique(inks, axis=0, return_index=True)  # some mixtures were measured twice
    measured = _lab(xyz / xyz[0])
    levels = np.linspace(0, 1, _GRID)
    grid = np.stack(np.meshgrid(*[levels] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    return _of_grid(_interpolated(inks[first], measured[first], grid))


def _lab(relative: Floats) -> Floats:
    """Return CIELAB of XYZ that is relative to white (CIE 15)."""
    root = np.where(relative > 216 / 24389, np.cbrt(relative), (24389 / 27 * relative + 16) / 116)
    x, y, z = root.T
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), axis=-1)


def _interpolated(known: Floats, values: Floats, wanted: Floats) -> Floats:
    """Interpolate with radial basis functions (the distance itself) and a linear trend."""

    def distances(points: Floats) -> Floats:
        return np.asarray(np.linalg.norm(points[:, None] - known, axis=-1))

    def trend(points: Floats) -> Floats:
        return np.hstack((np.ones((len(points), 1)), points))

    terms = trend(known)
    system = np.block([[distances(known), terms], [terms.T, np.zeros((terms.shape[1],) * 2)]])
    weights = np.linalg.solve(system, np.vstack((values, np.zeros((terms.shape[1], values.shape[1])))))
    return np.hstack((distances(wanted), trend(wanted))) @ weights


def _of_grid(lab: Floats) -> bytes:
    """Return a version 2 profile with these colours in its table. The amount of the first ink changes slowest."""
    # The encoding of CIELAB in a 16-bit table of version 2 (ICC.1:2001-04, 6.5.9).
    encoded = np.stack((lab[:, 0] * 652.8, (lab[:, 1] + 128) * 256, (lab[:, 2] + 128) * 256), axis=-1)
    colours = encoded.round().clip(0, 65535).astype(">u2").tobytes()
    identity = struct.pack(">9i", *(65536 * (at % 4 == 0) for at in range(9)))
    line = struct.pack(">2H", 0, 65535)
    table = (
        struct.pack(">4s4x4B", b"mft2", 4, 3, _GRID, 0)
        + identity
        + struct.pack(">2H", 2, 2)
        + 4 * line
        + colours
        + 3 * line
    )
    return profile(b"prtr", b"CMYK", b"Lab ", _NAME, _COPYRIGHT, {b"A2B0": table})


def profile(  # noqa: PLR0913 - the fields of the header, and the tags
    device: bytes, colours: bytes, connection: bytes, name: bytes, copyright_: bytes, tags: Mapping[bytes, bytes]
) -> bytes:
    """Return a profile of version 2 (ICC.1:2001-04), with these tags and those that each profile needs."""
    white = struct.pack(">3i", *(round(value * 65536) for value in _D50))
    tags = {
        b"desc": struct.pack(">4s4xI", b"desc", len(name)) + name + bytes(78),
        b"cprt": b"text" + bytes(4) + copyright_,
        b"wtpt": b"XYZ " + bytes(4) + white,
        **tags,
    }
    directory, data, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for kind, tag in tags.items():
        directory += struct.pack(">4sII", kind, start + len(data), len(tag))
        data += tag + bytes(-len(tag) % 4)
    header = (start + len(data), 0x02400000, device, colours, connection, b"acsp", white)
    return struct.pack(">I4xI4s4s4s12x4s28x12s48x", *header) + directory + data


def main(measurements: Path) -> None:
    """Write the profile for a file of measurements (CGATS.17), and print its size."""
    lines = measurements.read_text().partition("BEGIN_DATA\n")[2].partition("END_DATA")[0].splitlines()
    # The columns: a number, four inks in percent, XYZ, and CIELAB.
    table = np.array([line.split() for line in lines], float)
    content = press_profile(table[:, 1:5] / 100, table[:, 5:8])
    PRESS_PROFILE.write_bytes(content)
    print(f"{PRESS_PROFILE.name}: {len(content):,} bytes, made of {len(table):,} measurements")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
