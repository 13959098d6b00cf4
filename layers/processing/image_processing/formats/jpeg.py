"""The reader of JPEG."""

from PIL import Image

from image_processing.colour import colours
from image_processing.decoding import jpeg_pixels
from image_processing.decoding.reduction import Sides
from image_processing.files import jpeg_structure
from image_processing.formats import File


def read(content: bytes) -> File:
    """Read the structure of a JPEG. Raises UnsupportedImageError, UndecodableImageError and ImageTooLargeError."""
    jpeg = jpeg_structure.read(content)

    def decode(least: Sides) -> Image.Image:
        return colours.to_srgb(jpeg_pixels.decode(jpeg, least), colours.spaces_of_jpeg(jpeg))

    return File(jpeg.width, jpeg.height, decode, jpeg.exif)
