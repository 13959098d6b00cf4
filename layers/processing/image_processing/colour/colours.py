"""Conversion to sRGB from the colour space that a file specifies."""

from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageCms

from image_processing.colour import icc
from image_processing.files.jpeg_structure import Jpeg
from image_processing.files.png_structure import GRAY, GRAY_ALPHA, Png

# The profile for CMYK images without one: offset printing on coated paper. tools/press_profile.py makes it.
PRESS_PROFILE = Path(__file__).with_name("press.icc")
# The four bytes of a cICP chunk (ITU-T H.273): primaries, tone curve, no matrix, full range. Others are ignored.
_CICP_SRGB, _CICP_DISPLAY_P3 = bytes((1, 13, 0, 1)), bytes((12, 13, 0, 1))
_UNIT = 100_000
# Programs round the gamma and the primaries of sRGB in different ways.
_SRGB_GAMMAS = range(45_000, 46_000)
_PRIMARIES_TOLERANCE = 1_000
_POSSIBLE_GAMMAS = range(_UNIT // 10, _UNIT * 10 + 1)

# An ICC profile, or None for sRGB.
Space = bytes | None


def spaces_of_jpeg(file: Jpeg) -> Iterator[Space]:
    """Yield the colour spaces that a JPEG specifies, the most important first."""
    if file.icc_profile:
        yield file.icc_profile


def spaces_of_png(file: Png) -> Iterator[Space]:
    """Yield the colour spaces that a PNG specifies, the most important chunk first (W3C PNG, 4.3)."""
    is_gray = file.colour_type in {GRAY, GRAY_ALPHA}
    if file.cicp == _CICP_SRGB:
        yield None
    elif file.cicp == _CICP_DISPLAY_P3:
        # Display P3 has the tone curve of sRGB, so grays are the same in both.
        yield None if is_gray else icc.rgb_profile(icc.DISPLAY_P3_PRIMARIES, icc.srgb_curve())
    if file.icc_profile:
        yield file.icc_profile
    if file.is_srgb:
        yield None
    yield _measured_space(file.gamma, file.chromaticities, is_gray=is_gray)


def to_srgb(image: Image.Image, spaces: Iterator[Space]) -> Image.Image:
    """Convert an image in mode L, LA, RGB, RGBA or CMYK to sRGB, in mode L, RGB or RGBA.

    Uses the first space that fits the image: a gray profile fits L and LA, an RGB profile RGB and RGBA. If none fits,
    CMYK is converted with the press profile, and other images are taken as sRGB.
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
        colours = _converted(colours, _cmyk_profile()) or colours.convert("RGB")
    if alpha:
        colours = colours.convert("RGB")
        colours.putalpha(alpha)
    return colours


def _converted(colours: Image.Image, profile: bytes) -> Image.Image | None:
    """Convert from `profile` to sRGB. Returns None if the profile is broken or does not fit the pixels."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        return ImageCms.profileToProfile(
            colours, source, _srgb(), ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB"
        )
    # The errors that broken profiles cause, found by fuzzing.
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None


def _measured_space(gamma: int | None, chromaticities: icc.Chromaticities | None, *, is_gray: bool) -> Space:
    """Return the space that the PNG chunks gAMA and cHRM specify. Either may be missing. Ignores impossible values."""
    # `None in range` is slow: Python compares None with each of the million numbers.
    if gamma is not None and gamma not in _POSSIBLE_GAMMAS:
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
    return all(
        abs(given - srgb) <= _PRIMARIES_TOLERANCE
        for given, srgb in zip(chromaticities, icc.SRGB_PRIMARIES, strict=True)
    )


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@cache
def _cmyk_profile() -> bytes:
    return PRESS_PROFILE.read_bytes()
