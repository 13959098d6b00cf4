"""The reader of PNG."""

from PIL import Image

from image_processing.colour import colours
from image_processing.decoding import png_pixels
from image_processing.decoding.reduction import Sides
from image_processing.files import png_structure
from image_processing.formats import File


def read(content: bytes) -> File:
    """Read the structure of a PNG. Raises UnsupportedImageError and UndecodableImageError."""
    png = png_structure.read(content)

    def decode(least: Sides) -> Image.Image:
        return colours.to_srgb(png_pixels.decode(png, least), colours.spaces_of_png(png))

    return File(png.width, png.height, decode, png.exif, png.creation_time, png.modified)
