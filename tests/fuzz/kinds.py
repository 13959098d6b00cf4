"""Small files for the fuzz tests. Together they have everything that the pipeline reads from a JPEG or PNG."""

import struct
import zlib
from typing import Any

from PIL import Image, ImageCms

from image_processing.colour import icc
from tests.icc import of_inks, of_linear_grays
from tests.jpeg_bytes import exif
from tests.pictures import encode
from tests.png_bytes import chunk, flat, icc_profile, png

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
_P3 = icc.rgb_profile(icc.DISPLAY_P3_PRIMARIES, icc.srgb_curve())
_EXIF = b"Exif\0\0" + exif((0x0112, 3, struct.pack("<H", 6)), (0x0132, 2, b"2021:05:06 07:08:09\0"))
_PRIMARIES = struct.pack(">8I", *icc.DISPLAY_P3_PRIMARIES)


def _jpegs() -> list[bytes]:
    picture = Image.radial_gradient("L").resize((96, 64))
    colour = Image.merge("RGB", (picture, picture.transpose(Image.Transpose.ROTATE_180), picture))
    options: list[dict[str, Any]] = [
        {"exif": _EXIF, "icc_profile": _P3},
        {"progressive": True, "icc_profile": _SRGB},
        {"progressive": True, "subsampling": 0},
        {"restart_marker_blocks": 2, "comment": b"a comment"},
    ]
    inks = of_inks((123, 197, 180), (255, 128, 128), (255, 128, 128), (0, 128, 128))
    return [
        *(encode(colour, "JPEG", **option) for option in options),
        encode(picture, "JPEG", icc_profile=of_linear_grays()),
        encode(colour.convert("CMYK"), "JPEG"),
        encode(colour.convert("CMYK"), "JPEG", icc_profile=inks, progressive=True),
        encode(colour, "MPO", save_all=True, append_images=[colour]),
    ]


def _pngs() -> list[bytes]:
    date = chunk(b"zTXt", b"Creation Time\0\0" + zlib.compress(b"2021:05:06 07:08:09"))
    time = chunk(b"tIME", struct.pack(">H5B", 2021, 5, 6, 7, 8, 9))
    measured = chunk(b"gAMA", struct.pack(">I", 100_000)) + chunk(b"cHRM", _PRIMARIES)
    return [
        png(flat(1, 2, 3), icc_profile(_P3), chunk(b"eXIf", _EXIF[6:]), date, time),
        png(flat(1, 2, 3, 4), chunk(b"cICP", bytes((12, 13, 0, 1))), chunk(b"sRGB", b"\0")),
        png(flat(1, 2, 3, bits=16), measured, chunk(b"tRNS", struct.pack(">3H", 1, 2, 3))),
        png(flat(9, bits=16), icc_profile(of_linear_grays()), chunk(b"tRNS", b"\0\x09")),
        encode(Image.linear_gradient("L").convert("P"), transparency=bytes(range(256))),
    ]


KINDS = [*_jpegs(), *_pngs()]
