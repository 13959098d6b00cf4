"""Pictures: an uploaded file, decoded once, with its metadata."""

import struct
from dataclasses import dataclass
from datetime import datetime

from PIL import Image

from image_pipeline.errors import ImageTooLargeError, UndecodableImageError, UnsupportedImageError
from image_pipeline.models import ImageFormat, ImageMetadata
from image_processing.colour import colours
from image_processing.decoding import jpeg_pixels, png_pixels
from image_processing.files import dates, jpeg_structure, png_structure
from image_processing.files.exif import Exif
from image_processing.files.jpeg_structure import Jpeg
from image_processing.files.png_structure import Png

_BACKGROUND = "white"
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
_DAMAGED = (
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
    """Pixels in sRGB, in mode L, RGB or RGBA, with EXIF orientation applied, and the metadata of the file.

    A large picture is reduced. Its width and height may be reduced by different factors, so the aspect ratio of
    `pixels` may differ from that of `metadata`.
    """

    pixels: Image.Image
    metadata: ImageMetadata


def decode(content: bytes, received_at: datetime, max_pixels: int) -> Picture:
    """Decode a JPEG or PNG. Dates that the file does not contain are set to `received_at`.

    Raises UnsupportedImageError, UndecodableImageError, and ImageTooLargeError if the image has more than `max_pixels`
    or costs too much to decode.
    """
    file = _structure(content)
    if file.width * file.height > max_pixels:
        raise ImageTooLargeError(
            f"The image has more than {max_pixels:,} pixels. Please scale it down and send it again."
        )
    try:
        if isinstance(file, Jpeg):
            pixels = colours.to_srgb(jpeg_pixels.decode(file), colours.spaces_of_jpeg(file))
        else:
            pixels = colours.to_srgb(png_pixels.decode(file), colours.spaces_of_png(file))
    except _DAMAGED as error:
        raise UndecodableImageError from error
    width, height = file.width, file.height
    orientation = file.exif.orientation if file.exif else None
    if orientation in _TRANSPOSITIONS:
        pixels = pixels.transpose(_TRANSPOSITIONS[orientation])
        if orientation >= _FIRST_SIDEWAYS:
            width, height = height, width
    created_at, modified_at = _dates(file, received_at)
    image_format: ImageFormat = "JPEG" if isinstance(file, Jpeg) else "PNG"
    return Picture(pixels, ImageMetadata(width, height, image_format, len(content), created_at, modified_at))


def flatten(picture: Picture) -> Image.Image:
    """Return the pixels in mode RGB, with white behind transparent parts."""
    if picture.pixels.mode != "RGBA":
        return picture.pixels.convert("RGB")
    background = Image.new("RGBA", picture.pixels.size, _BACKGROUND)
    return Image.alpha_composite(background, picture.pixels).convert("RGB")


def _structure(content: bytes) -> Jpeg | Png:
    """Read the structure of a file. The first bytes decide whether it is a JPEG or a PNG."""
    if content.startswith(jpeg_structure.SIGNATURE):
        return jpeg_structure.read(content)
    if content.startswith(png_structure.SIGNATURE):
        return png_structure.read(content)
    raise UnsupportedImageError


def _dates(file: Jpeg | Png, received_at: datetime) -> tuple[datetime, datetime]:
    """Return when the picture was created and last modified: the first possible date for each."""
    exif = file.exif or Exif(None, None, None, None)
    created = [exif.date_time_original, exif.date_time_digitized, exif.date_time]
    modified = dates.parse(exif.date_time, received_at)
    if isinstance(file, Png):
        created.append(file.creation_time)
        modified = modified or (dates.sane(file.modified, received_at) if file.modified else None)
    told = [date for text in created if (date := dates.parse(text, received_at))]
    created_at = told[0] if told else modified
    return created_at or received_at, modified or created_at or received_at
