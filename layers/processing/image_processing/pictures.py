"""Pictures: an uploaded file, decoded once, with its metadata."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module

from PIL import Image

from image_pipeline.errors import ImageTooLargeError, UndecodableImageError, UnsupportedImageError
from image_pipeline.models import ImageFormat, ImageMetadata
from image_processing.decoding import reduction
from image_processing.decoding.reduction import Sides
from image_processing.files import dates
from image_processing.files.exif import Exif
from image_processing.formats import File

_READERS: dict[ImageFormat, Callable[[bytes], File]] = {
    row: import_module(f"image_processing.formats.{row.lower()}").read for row in ImageFormat
}

_BACKGROUND = "white"
# Enough for the medium thumbnail.
_LEAST = reduction.least_sides(0)
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FIRST_SIDEWAYS = 5
# The errors that Pillow raises on damaged files, found by fuzzing.
_PILLOW_ERRORS = (
    AssertionError,
    EOFError,
    IndexError,
    KeyError,
    OSError,
    OverflowError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True)
class Picture:
    """Pixels in sRGB, in mode L, RGB or RGBA, with EXIF orientation applied, and the format and metadata of the file.

    A large picture is reduced. Its width and height may be reduced by different factors, so the aspect ratio of
    `pixels` may differ from that of `metadata`.
    """

    pixels: Image.Image
    format: ImageFormat
    metadata: ImageMetadata


def decode(
    content: bytes,
    received_at: datetime,
    max_pixels: int,
    least: Sides = _LEAST,
    *,
    advice: str = "Please scale it down and send it again.",
) -> Picture:
    """Decode a file. A large picture is reduced, but keeps at least the sides `least`.

    The first bytes decide the format. Dates that the file does not contain are set to `received_at`.

    Raises UnsupportedImageError, UndecodableImageError, and ImageTooLargeError if the image has more than `max_pixels`
    or costs too much to decode. `advice` is for a client whose image has too many pixels.
    """
    image_format = next((row for row in ImageFormat if content.startswith(row.signature)), None)
    if image_format is None:
        raise UnsupportedImageError
    file = _READERS[image_format](content)
    if file.width * file.height > max_pixels:
        raise ImageTooLargeError(f"The image has more than {max_pixels:,} pixels. {advice}")
    try:
        pixels = file.decode(least)
    except _PILLOW_ERRORS as error:
        raise UndecodableImageError from error
    width, height = file.width, file.height
    orientation = file.exif.orientation if file.exif else None
    if orientation in _TRANSPOSITIONS:
        pixels = pixels.transpose(_TRANSPOSITIONS[orientation])
        if orientation >= _FIRST_SIDEWAYS:
            width, height = height, width
    created_at, modified_at = _dates(file, received_at)
    metadata = ImageMetadata(width, height, image_format, len(content), created_at, modified_at)
    return Picture(pixels, image_format, metadata)


def flatten(picture: Picture, caption_side: int = 0) -> Image.Image:
    """Return pixels in RGB for a caption model with an input of `caption_side`, with white behind transparent parts."""
    pixels = reduction.reduced_if_large(picture.pixels, reduction.least_sides(0, caption_side))
    if pixels.mode != "RGBA":
        return pixels.convert("RGB")
    background = Image.new("RGBA", pixels.size, _BACKGROUND)
    return Image.alpha_composite(background, pixels).convert("RGB")


def _dates(file: File, received_at: datetime) -> tuple[datetime, datetime]:
    """Return when the picture was created and last modified: the first possible date for each."""
    exif = file.exif or Exif(None, None, None, None)
    created = [exif.date_time_original, exif.date_time_digitized, exif.date_time, file.created]
    modified = dates.parse(exif.date_time, received_at)
    modified = modified or (dates.plausible(file.modified, received_at) if file.modified else None)
    told = [date for text in created if (date := dates.parse(text, received_at))]
    created_at = told[0] if told else modified
    return created_at or received_at, modified or created_at or received_at
