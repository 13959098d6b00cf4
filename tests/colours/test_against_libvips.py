"""Compares the colours of thumbnails with those of libvips, which many image services use.

libvips uses the profile of a PNG, but not its cICP, sRGB, gAMA and cHRM chunks. tests/unit/test_colours.py computes the
colours for these chunks.
"""

import struct
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import numpy.typing as npt
import pytest
import pyvips
from PIL import Image, ImageCms

from image_processing import pictures, thumbnails
from image_processing.colour import icc
from image_processing.files.png_structure import GRAY, GRAY_ALPHA, PALETTE, RGB, RGB_ALPHA
from tests.icc import of_inks, of_linear_grays
from tests.pictures import encode
from tests.png_bytes import chunk, icc_profile, png

NOW = datetime(2025, 3, 16, tzinfo=UTC)
MEAN_DIFFERENCE = 2
ADOBE = icc.rgb_profile((31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000), icc.power_curve(2.2))
WIDE = (34570, 35850, 73470, 26530, 11400, 82600, 15700, 1200)
GRAYS = icc.gray_profile(icc.power_curve(1.8))
INKS = of_inks((158, 91, 78), (123, 203, 122), (229, 122, 221), (41, 128, 128))
# Those that do not fit the pixels of a file must be ignored.
PROFILES = {
    "none": None,
    "sRGB of Pillow": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "sRGB": icc.rgb_profile(icc.SRGB_PRIMARIES, icc.srgb_curve()),
    "linear sRGB": icc.rgb_profile(icc.SRGB_PRIMARIES, icc.power_curve(1)),
    "Display P3": icc.rgb_profile(icc.DISPLAY_P3_PRIMARIES, icc.srgb_curve()),
    "Adobe RGB": ADOBE,
    "wide gamut": icc.rgb_profile(WIDE, icc.power_curve(1.8)),
    "linear gray": of_linear_grays(),
    "gray with gamma 1.8": GRAYS,
    "gray with gamma 2.2": icc.gray_profile(icc.power_curve(2.2)),
    "inks": INKS,
}
# The bit depths and the number of samples per pixel of each colour type (W3C PNG, 11.2.1).
COLOUR_TYPES = {
    GRAY: ((1, 2, 4, 8, 16), 1),
    RGB: ((8, 16), 3),
    PALETTE: ((1, 2, 4, 8), 1),
    GRAY_ALPHA: ((8, 16), 2),
    RGB_ALPHA: ((8, 16), 4),
}
PNGS = [
    (colour_type, bits, has_trns)
    for colour_type, (depths, _) in COLOUR_TYPES.items()
    for bits in depths
    for has_trns in ((False, True) if colour_type in {GRAY, RGB, PALETTE} else (False,))
]


def picture(width: int, height: int) -> Image.Image:
    """Return soft gradients with saturated patches in them."""
    gradient, circle = Image.linear_gradient("L"), Image.radial_gradient("L")
    soft = Image.merge("RGB", (gradient, circle, gradient.transpose(Image.Transpose.ROTATE_90))).resize((width, height))
    for number, patch in enumerate(("red", "lime", "blue", "cyan", "magenta", "yellow", "black", "white")):
        soft.paste(patch, (number * width // 8, height // 3, number * width // 8 + width // 16, height // 2))
    return soft


def random_png(colour_type: int, bits: int, *chunks: bytes, has_trns: bool, is_interlaced: bool) -> bytes:
    """Return a small PNG of random pixels.

    A tRNS chunk gives half the colours of a palette an alpha. Without a palette, it makes one colour transparent.
    """
    random, channels = np.random.default_rng(bits), COLOUR_TYPES[colour_type][1]
    samples = random.integers(0, 1 << bits, (12, 20, channels)).astype(np.uint16 if bits > 8 else np.uint8)
    if colour_type == PALETTE:
        chunks = (*chunks, chunk(b"PLTE", random.bytes(3 << bits)))
    if has_trns:
        one = struct.pack(f">{channels}H", *samples[3, 5].tolist())
        chunks = (*chunks, chunk(b"tRNS", random.bytes(1 << bits - 1) if colour_type == PALETTE else one))
    return png(samples, *chunks, bits=bits, colour_type=colour_type, is_interlaced=is_interlaced)


def differences(content: bytes) -> npt.NDArray[np.int_]:
    """Return how far each sample of our medium thumbnail, in RGB or RGBA, is from that of libvips."""
    ours = Image.open(BytesIO(thumbnails.make(pictures.decode(content, NOW, 50_000_000), 512)))
    theirs = pyvips.Image.thumbnail_buffer(content, 512, height=512, size="down", output_profile="srgb")
    samples = theirs.colourspace("srgb").cast("uchar").numpy()
    expected = Image.fromarray(np.squeeze(samples))
    assert ours.size == expected.size
    mode = "RGBA" if "A" in ours.getbands() + expected.getbands() else "RGB"
    found: npt.NDArray[np.int_] = np.asarray(ours.convert(mode), int) - np.asarray(expected.convert(mode), int)
    return np.abs(found)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize(("colour_type", "bits", "has_trns"), PNGS)
def test_each_kind_of_png_with_each_profile(
    *, colour_type: int, bits: int, has_trns: bool, profile: bytes | None
) -> None:
    chunks = [icc_profile(profile)] if profile else []
    for is_interlaced in (False, True):
        content = random_png(colour_type, bits, *chunks, has_trns=has_trns, is_interlaced=is_interlaced)
        found = differences(content)
        assert found[..., 3:].max(initial=0) <= 1
        # libvips converts all 16 bits. We convert only 8 bits, so some dark samples differ more.
        assert found.max() <= (15 if bits == 16 else 2)
        assert found.mean() <= 1


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_each_kind_of_jpeg_with_each_profile(mode: str, profile: bytes | None) -> None:
    content = encode(picture(320, 200).convert(mode), "JPEG", quality=95, subsampling=0, icc_profile=profile)
    assert differences(content).mean() <= MEAN_DIFFERENCE


@pytest.mark.parametrize("size", [(1500, 1000), (2400, 1600)])
@pytest.mark.parametrize(
    ("image_format", "mode", "profile"),
    [
        ("JPEG", "L", GRAYS),
        ("JPEG", "RGB", ADOBE),
        ("PNG", "L", GRAYS),
        ("PNG", "LA", GRAYS),
        ("PNG", "RGB", ADOBE),
        ("PNG", "RGBA", ADOBE),
    ],
)
def test_large_images(image_format: str, mode: str, profile: bytes, size: tuple[int, int]) -> None:
    image = picture(*size).convert(mode)
    if "A" in mode:
        image.putalpha(Image.linear_gradient("L").resize(size).point(lambda value: max(value, 32)))
    options = {"quality": 95, "subsampling": 0} if image_format == "JPEG" else {}
    assert differences(encode(image, image_format, icc_profile=profile, **options)).mean() <= MEAN_DIFFERENCE


@pytest.mark.parametrize("progressive", [False, True])
def test_inks_with_a_profile(*, progressive: bool) -> None:
    content = encode(picture(900, 600).convert("CMYK"), "JPEG", quality=95, icc_profile=INKS, progressive=progressive)
    assert differences(content).mean() <= MEAN_DIFFERENCE


@pytest.mark.parametrize("profile", [None, ADOBE, GRAYS])
def test_inks_without_a_profile_that_fits_are_near_another_press(profile: bytes | None) -> None:
    # libvips has its own press profile, for another paper and other inks.
    content = encode(picture(900, 600).convert("CMYK"), "JPEG", quality=95, icc_profile=profile)
    assert differences(content).mean() <= 12
