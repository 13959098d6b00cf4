"""Decoding of a JPEG to about the size that is needed."""

from io import BytesIO

from PIL import Image, ImageChops

from image_pipeline.errors import UndecodableImageError
from image_processing.decoding.reduction import Sides, factors, reduced
from image_processing.files.jpeg_frame import Check
from image_processing.files.jpeg_structure import END_OF_IMAGE, Jpeg

_SCALES = (1, 2, 4, 8)
# Pillow stores each pixel in four bytes.
_BYTES_PER_PIXEL = 4
_MAX_BYTES = 350_000_000
# libjpeg fills missing pixels with about the middle value of each component.
_FILL_VALUES = range(126, 131)
# Random pixel data, before the first restart marker and after each of them.
_NOISE = bytes(range(1, 251)) * 4
_MORE_DATA = _NOISE + b"".join(b"\xff" + bytes((0xD0 + number,)) + _NOISE for number in range(8))


def decode(file: Jpeg, least: Sides) -> Image.Image:
    """Return the pixels in mode L, RGB or CMYK, reduced to about `least`.

    Raises UndecodableImageError if pixels are missing, and errors of Pillow.
    """
    scale = _scale(file, least)
    image = _decoded(file, file.content, scale)
    if not _is_complete(file, image):
        raise UndecodableImageError
    small = reduced(image, lambda strip, _: strip, least, (file.width, file.height), scale)
    # Adobe stores inverted inks. Pillow inverts the inks of every file (ITU-T T.872, 6.5.3).
    return ImageChops.invert(small) if small.mode == "CMYK" and not file.is_adobe else small


def _scale(file: Jpeg, least: Sides) -> int:
    """Return the largest divisor of the size that keeps `least`, or a larger divisor if memory is short."""
    if file.frame.is_lossless:
        return 1
    pixel_bytes = file.width * file.height * _BYTES_PER_PIXEL
    enough = max(scale for scale in _SCALES if scale <= min(factors(file.width, file.height, least)))
    return next(
        scale for scale in _SCALES if scale >= enough and file.buffered_bytes + pixel_bytes / scale**2 <= _MAX_BYTES
    )


def _decoded(file: Jpeg, content: bytes, scale: int, mode: str | None = None) -> Image.Image:
    """Decode at 1/`scale`. With mode "L", decode without colour."""
    with Image.open(BytesIO(content), formats=("JPEG",)) as image:
        # libjpeg cannot pause within arithmetic coding, so it needs the whole file at once.
        image.decodermaxblock = len(content)
        image.draft(mode, (max(1, file.width // scale), max(1, file.height // scale)))
        image.load()
    return image


def _is_complete(file: Jpeg, image: Image.Image) -> bool:
    """Tell whether all pixels are there. Pillow does not learn from libjpeg that pixels are missing."""
    match file.check:
        case Check.NONE:
            return True
        case Check.LAST_PIXEL:
            last = image.getpixel((image.width - 1, image.height - 1))
            samples = last if isinstance(last, tuple) else (last,)
            return any(sample not in _FILL_VALUES for sample in samples) or _ignores_further_data(file, _SCALES[-1])
        case Check.COARSE:
            return _ignores_further_data(file, _SCALES[-1])
        case Check.FINE:
            # The last scans refine the brightness. The difference only shows at full size.
            return _ignores_further_data(file, 1, "L")


def _ignores_further_data(file: Jpeg, scale: int, mode: str | None = None) -> bool:
    """Tell whether random data after the image data leaves the image unchanged.

    If pixels are missing, libjpeg decodes them from the random data, and the image changes.
    """
    longer = file.content.removesuffix(END_OF_IMAGE) + _MORE_DATA + END_OF_IMAGE
    image, other = (_decoded(file, content, scale, mode) for content in (file.content, longer))
    return ImageChops.difference(image, other).getbbox(alpha_only=False) is None
