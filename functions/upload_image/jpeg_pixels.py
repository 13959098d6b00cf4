"""The pixels of a JPEG, decoded near the size that is needed."""

from io import BytesIO

from PIL import Image, ImageChops

from functions.upload_image.jpeg_frame import Check
from functions.upload_image.jpeg_structure import END_OF_IMAGE, Jpeg
from functions.upload_image.reduction import factors, reduced
from image_pipeline.errors import UndecodableImageError

_SCALES = (1, 2, 4, 8)
# Pillow keeps the samples of a pixel in four bytes.
_BYTES_PER_PIXEL = 4
_MOST_BYTES = 350_000_000
# What libjpeg leaves where a file ends too early: the middle of each component.
_MISSING = range(126, 131)
# Pixels of any kind, before the first restart marker and after each.
_NOISE = bytes(range(1, 251)) * 4
_MORE_DATA = _NOISE + b"".join(b"\xff" + bytes((0xD0 + number,)) + _NOISE for number in range(8))


def decode(file: Jpeg) -> Image.Image:
    """Return an image in mode L, RGB or CMYK, near the working size.

    Raises UndecodableImageError if pixels are missing, and Pillow's own errors.
    """
    scale = _scale(file)
    image = _decoded(file, file.content, scale)
    if not _is_complete(file, image):
        raise UndecodableImageError
    small = reduced(image, lambda strip, _: strip, (file.width, file.height), scale)
    # Adobe stores inks upside down, and Pillow takes all inks for Adobe's (ITU-T T.872, 6.5.3).
    return ImageChops.invert(small) if small.mode == "CMYK" and not file.is_adobe else small


def _scale(file: Jpeg) -> int:
    """Return the largest scale at which the decoder still gives the working size, or a larger one to save memory."""
    if file.frame.is_lossless:
        return 1
    pixel_bytes = file.width * file.height * _BYTES_PER_PIXEL
    enough = max(scale for scale in _SCALES if scale <= min(factors(file.width, file.height)))
    return next(
        scale for scale in _SCALES if scale >= enough and file.buffered_bytes + pixel_bytes / scale**2 <= _MOST_BYTES
    )


def _decoded(file: Jpeg, content: bytes, scale: int, mode: str | None = None) -> Image.Image:
    """Decode at 1/`scale`; with a `mode` of L, without colour."""
    with Image.open(BytesIO(content), formats=("JPEG",)) as image:
        # libjpeg cannot pause within arithmetic coding: it needs the whole file at once.
        image.decodermaxblock = len(content)
        image.draft(mode, (max(1, file.width // scale), max(1, file.height // scale)))
        image.load()
    return image


def _is_complete(file: Jpeg, image: Image.Image) -> bool:
    """Tell whether no pixels are missing at the end of `image`, which libjpeg does not report to Pillow."""
    match file.check:
        case Check.NONE:
            return True
        case Check.LAST_PIXEL:
            last = image.getpixel((image.width - 1, image.height - 1))
            samples = last if isinstance(last, tuple) else (last,)
            return any(sample not in _MISSING for sample in samples) or _has_no_use_for_more(file, _SCALES[-1])
        case Check.COARSE:
            return _has_no_use_for_more(file, _SCALES[-1])
        case Check.FINE:
            # What the last scans add is a matter of brightness, and is seen at full size only.
            return _has_no_use_for_more(file, 1, "L")


def _has_no_use_for_more(file: Jpeg, scale: int, mode: str | None = None) -> bool:
    """Tell whether the image stays the same with more data behind it."""
    longer = file.content.removesuffix(END_OF_IMAGE) + _MORE_DATA + END_OF_IMAGE
    image, other = (_decoded(file, content, scale, mode) for content in (file.content, longer))
    return ImageChops.difference(image, other).getbbox(alpha_only=False) is None
