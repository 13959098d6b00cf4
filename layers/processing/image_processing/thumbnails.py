"""Thumbnails of a picture, as JPEG or PNG bytes."""

from io import BytesIO

from PIL import Image

from image_pipeline.models import STANDARD_SIZES
from image_processing.decoding import reduction
from image_processing.pictures import Picture

_JPEG_QUALITY = 85
_PNG_LEVEL = 6
# For thumbnails larger than all standard sizes: five times as fast, and 4 % more bytes (docs/benchmarks.md).
_LARGE_PNG_LEVEL = 3


def make(picture: Picture, side: int) -> bytes:
    """Return a thumbnail in the format that ImageFormat has for the file, without metadata.

    It fits in a square of `side` pixels and keeps the aspect ratio of the metadata. A small picture is not enlarged.
    """
    width, height = picture.metadata.width, picture.metadata.height
    scale = min(1, side / max(width, height))
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Pillow's own thumbnail() uses this gap. It reduces by averaging first, which is faster and looks the same.
    pixels = reduction.reduced_if_large(picture.pixels, reduction.least_sides(side))
    small = pixels.resize(shape, Image.Resampling.LANCZOS, reducing_gap=2.0)
    small.info.clear()
    stream = BytesIO()
    if picture.format.thumbnail == "jpg":
        small.save(stream, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    else:
        is_large = side > max(STANDARD_SIZES.values())
        small.save(stream, "PNG", compress_level=_LARGE_PNG_LEVEL if is_large else _PNG_LEVEL)
    return stream.getvalue()
