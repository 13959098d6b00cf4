"""An uploaded image decoded once, its metadata, and its thumbnails: bytes in, bytes out."""

import struct
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from PIL import Image

from functions.upload_image import colours, dates, jpeg_pixels, jpeg_structure, png_pixels, png_structure
from functions.upload_image.exif import Exif
from functions.upload_image.jpeg_structure import Jpeg
from functions.upload_image.png_structure import Png
from image_pipeline.errors import ImageTooLargeError, UndecodableImageError, UnsupportedImageError
from image_pipeline.models import ImageFormat, ImageMetadata

EXTENSIONS = {"JPEG": "jpg", "PNG": "png"}
_BACKGROUND = "white"
_JPEG_QUALITY = 85
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
# What Pillow was seen to raise on damaged files, found by fuzzing.
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
    """Upright sRGB pixels in mode L, RGB or RGBA, and the file's metadata.

    A large image is reduced, each side on its own, so the pixels may have another aspect ratio than the metadata.
    """

    pixels: Image.Image
    metadata: ImageMetadata


def decode(content: bytes, received_at: datetime, max_pixels: int) -> Picture:
    """Decode a JPEG or PNG; dates that the file does not tell are `received_at`.

    Raises UnsupportedImageError, ImageTooLargeError for more than `max_pixels` or other costs, and
    UndecodableImageError.
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


def thumbnail(picture: Picture, side: int) -> bytes:
    """Return `picture` inside a square of `side` pixels, never enlarged, in its own format and free of metadata."""
    width, height = picture.metadata.width, picture.metadata.height
    scale = min(1, side / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # The gap is that of Pillow's own thumbnails: averaging first is faster and can hardly be seen.
    small = picture.pixels.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    small.info.clear()
    stream = BytesIO()
    if picture.metadata.format == "JPEG":
        small.save(stream, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    else:
        small.save(stream, "PNG")
    return stream.getvalue()


def flattened(picture: Picture) -> Image.Image:
    """Return `picture` as RGB, transparent parts over white."""
    if picture.pixels.mode != "RGBA":
        return picture.pixels.convert("RGB")
    background = Image.new("RGBA", picture.pixels.size, _BACKGROUND)
    return Image.alpha_composite(background, picture.pixels).convert("RGB")


def _structure(content: bytes) -> Jpeg | Png:
    """Read what the file consists of; its first bytes tell the format."""
    if content.startswith(jpeg_structure.SIGNATURE):
        return jpeg_structure.read(content)
    if content.startswith(png_structure.SIGNATURE):
        return png_structure.read(content)
    raise UnsupportedImageError


def _dates(file: Jpeg | Png, received_at: datetime) -> tuple[datetime, datetime]:
    """Return when the picture was created and last modified, by the first of its dates that makes sense."""
    exif = file.exif or Exif(None, None, None, None)
    created = [exif.date_time_original, exif.date_time_digitized, exif.date_time]
    modified = dates.parse(exif.date_time, received_at)
    if isinstance(file, Png):
        created.append(file.creation_time)
        modified = modified or (dates.sane(file.modified, received_at) if file.modified else None)
    told = [date for text in created if (date := dates.parse(text, received_at))]
    created_at = told[0] if told else modified
    return created_at or received_at, modified or created_at or received_at
