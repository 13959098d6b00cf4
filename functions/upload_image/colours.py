"""Colours as a screen shows them: from the space that a file names, or is known to mean, to sRGB."""

from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageCms

from functions.upload_image import icc
from functions.upload_image.jpeg_structure import Jpeg
from functions.upload_image.png_structure import GRAY, GRAY_ALPHA, Png

# Of a coated sheet on an offset press, for inks without a profile: tools/press_profile.py makes it.
PRESS_PROFILE = Path(__file__).with_name("press.icc")
# Colour primaries, transfer function, no matrix, full range (ITU-T H.273). Any other cICP chunk is ignored.
_CICP_SRGB, _CICP_DISPLAY_P3 = bytes((1, 13, 0, 1)), bytes((12, 13, 0, 1))
_UNIT = 100_000
# Programs that write sRGB's gamma round it in several ways, and its primaries.
_SRGB_GAMMAS = range(45_000, 46_000)
_NEAR = 1_000
_POSSIBLE_GAMMAS = range(_UNIT // 10, _UNIT * 10 + 1)

# An ICC profile, or None for sRGB itself.
Space = bytes | None


def spaces_of_jpeg(file: Jpeg) -> Iterator[Space]:
    """Yield the colour spaces that a JPEG may be in, the likeliest first."""
    if file.icc_profile:
        yield file.icc_profile


def spaces_of_png(file: Png) -> Iterator[Space]:
    """Yield the colour spaces that a PNG may be in, in the order of precedence of its chunks (W3C PNG, 4.3)."""
    curve_of_grays = file.colour_type in {GRAY, GRAY_ALPHA}
    if file.cicp == _CICP_SRGB:
        yield None
    elif file.cicp == _CICP_DISPLAY_P3:
        # Its curve is sRGB's, so grays are the same in both.
        yield None if curve_of_grays else icc.rgb_profile(icc.DISPLAY_P3_PRIMARIES, icc.srgb_curve())
    if file.icc_profile:
        yield file.icc_profile
    if file.is_srgb:
        yield None
    yield _measured_space(file.gamma, file.chromaticities, is_gray=curve_of_grays)


def to_srgb(image: Image.Image, spaces: Iterator[Space]) -> Image.Image:
    """Convert an image in mode L, LA, RGB, RGBA or CMYK to sRGB, in mode L, RGB or RGBA.

    The first space that fits the image counts. Without one, inks are those of a press, and all else is sRGB.
    """
    alpha = image.getchannel("A") if image.mode in {"LA", "RGBA"} else None
    colours = image.convert(image.mode.removesuffix("A")) if alpha else image
    for space in spaces:
        if space is None:
            break
        if converted := _converted(colours, space):
            colours = converted
            break
    if colours.mode == "CMYK":
        colours = _converted(colours, _press_profile()) or colours.convert("RGB")
    if alpha:
        colours = colours.convert("RGB")
        colours.putalpha(alpha)
    return colours


def _converted(colours: Image.Image, profile: bytes) -> Image.Image | None:
    """Convert from `profile` to sRGB; None if it is broken or for other kinds of pixels."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        return ImageCms.profileToProfile(
            colours, source, _srgb(), ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB"
        )
    # What a profile that is not one brings out, found by fuzzing.
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None


def _measured_space(gamma: int | None, chromaticities: icc.Chromaticities | None, *, is_gray: bool) -> Space:
    """Return the space of PNG's gAMA and cHRM chunks. One is enough; one that is impossible is ignored."""
    if gamma not in _POSSIBLE_GAMMAS:
        gamma = None
    if chromaticities is None or is_gray or _are_near_srgb(chromaticities):
        if gamma is None or gamma in _SRGB_GAMMAS:
            return None
        chromaticities = icc.SRGB_PRIMARIES
    curve = icc.srgb_curve() if gamma is None else icc.power_curve(_UNIT / gamma)
    if is_gray:
        return icc.gray_profile(curve)
    try:
        return icc.rgb_profile(chromaticities, curve)
    except ValueError:
        return _measured_space(gamma, None, is_gray=is_gray)


def _are_near_srgb(chromaticities: icc.Chromaticities) -> bool:
    return all(abs(given - srgb) <= _NEAR for given, srgb in zip(chromaticities, icc.SRGB_PRIMARIES, strict=True))


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@cache
def _press_profile() -> bytes:
    return PRESS_PROFILE.read_bytes()
