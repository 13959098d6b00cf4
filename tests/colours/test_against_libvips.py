"""Compares the colours of thumbnails with those of libvips, which many image services use.

The tests leave out kinds of images for which libvips is wrong.
"""

from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms

from image_processing import pictures, thumbnails
from image_processing.colour import icc
from tests.icc import of_inks, of_linear_grays
from tests.pictures import encode

NOW = datetime(2025, 3, 16, tzinfo=UTC)
MEAN_DIFFERENCE = 2
ADOBE = (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
WIDE = (34570, 35850, 73470, 26530, 11400, 82600, 15700, 1200)
INKS = of_inks((158, 91, 78), (123, 203, 122), (229, 122, 221), (41, 128, 128))
RGB_PROFILES = {
    "none": None,
    "sRGB of Pillow": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "sRGB": icc.rgb_profile(icc.SRGB_PRIMARIES, icc.srgb_curve()),
    "linear sRGB": icc.rgb_profile(icc.SRGB_PRIMARIES, icc.power_curve(1)),
    "Display P3": icc.rgb_profile(icc.DISPLAY_P3_PRIMARIES, icc.srgb_curve()),
    "Adobe RGB": icc.rgb_profile(ADOBE, icc.power_curve(2.2)),
    "wide gamut": icc.rgb_profile(WIDE, icc.power_curve(1.8)),
}
GRAY_PROFILES = {
    "none": None,
    "linear": of_linear_grays(),
    "1.8": icc.gray_profile(icc.power_curve(1.8)),
    "2.2": icc.gray_profile(icc.power_curve(2.2)),
}


def picture(width: int, height: int) -> Image.Image:
    """Return soft gradients with saturated patches in them."""
    gradient, circle = Image.linear_gradient("L"), Image.radial_gradient("L")
    soft = Image.merge("RGB", (gradient, circle, gradient.transpose(Image.Transpose.ROTATE_90))).resize((width, height))
    for number, patch in enumerate(("red", "lime", "blue", "cyan", "magenta", "yellow", "black", "white")):
        soft.paste(patch, (number * width // 8, height // 3, number * width // 8 + width // 16, height // 2))
    return soft


def difference(content: bytes) -> float:
    """Return the mean difference between our medium thumbnail and that of libvips, from 0 to 255."""
    ours = Image.open(BytesIO(thumbnails.make(pictures.decode(content, NOW, 50_000_000), 512)))
    theirs = pyvips.Image.thumbnail_buffer(content, 512, height=512, size="down", output_profile="srgb")
    samples = theirs.colourspace("srgb").cast("uchar").numpy()
    expected = Image.fromarray(np.squeeze(samples))
    assert ours.size == expected.size
    mode = "RGBA" if "A" in ours.getbands() else "RGB"
    return float(np.abs(np.asarray(ours.convert(mode), int) - np.asarray(expected.convert(mode), int)).mean())


@pytest.mark.parametrize("size", [(320, 200), (1500, 1000), (2400, 1600)])
@pytest.mark.parametrize("name", RGB_PROFILES)
@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_colours(image_format: str, name: str, size: tuple[int, int]) -> None:
    options: dict[str, Any] = {"quality": 95, "subsampling": 0} if image_format == "JPEG" else {}
    content = encode(picture(*size), image_format, icc_profile=RGB_PROFILES[name], **options)
    assert difference(content) <= MEAN_DIFFERENCE


@pytest.mark.parametrize("name", RGB_PROFILES)
def test_colours_with_alpha(name: str) -> None:
    image = picture(800, 600)
    image.putalpha(Image.linear_gradient("L").resize(image.size).point(lambda value: max(value, 32)))
    assert difference(encode(image, icc_profile=RGB_PROFILES[name])) <= MEAN_DIFFERENCE


@pytest.mark.parametrize("name", GRAY_PROFILES)
@pytest.mark.parametrize(("image_format", "mode"), [("JPEG", "L"), ("PNG", "L"), ("PNG", "LA")])
def test_grays(image_format: str, mode: str, name: str) -> None:
    image = Image.linear_gradient("L").resize((900, 600)).convert(mode)
    assert difference(encode(image, image_format, icc_profile=GRAY_PROFILES[name])) <= MEAN_DIFFERENCE


@pytest.mark.parametrize("progressive", [False, True])
def test_inks_with_a_profile(*, progressive: bool) -> None:
    content = encode(picture(900, 600).convert("CMYK"), "JPEG", quality=95, icc_profile=INKS, progressive=progressive)
    assert difference(content) <= MEAN_DIFFERENCE


def test_inks_without_a_profile_are_near_another_press() -> None:
    # libvips has its own press profile, for another paper and other inks.
    assert difference(encode(picture(900, 600).convert("CMYK"), "JPEG", quality=95)) <= 12
