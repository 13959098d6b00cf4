"""The reader of GIF: its first frame."""

from io import BytesIO

from PIL import Image

from image_pipeline.errors import UndecodableImageError
from image_processing.decoding import reduction
from image_processing.decoding.reduction import Sides
from image_processing.formats import File


def read(content: bytes) -> File:
    """Read the header of a GIF. Raises UndecodableImageError."""
    try:
        image = Image.open(BytesIO(content), formats=("GIF",))
    except OSError as error:
        raise UndecodableImageError from error

    def decode(least: Sides) -> Image.Image:
        return reduction.reduced(image, lambda strip, _: strip.convert("RGBA"), least, image.size)

    return File(image.width, image.height, decode)
