"""The readers of the formats in models.ImageFormat: one module for each, with a function `read`."""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from image_processing.decoding.reduction import Sides
from image_processing.files.exif import Exif


@dataclass(frozen=True)
class File:
    """What is known of a file before its pixels are decoded.

    `decode` gets the smallest sides that the picture may have, and returns the picture in sRGB, in mode L, RGB or RGBA.
    It may raise UndecodableImageError, ImageTooLargeError and errors of Pillow. `created` is a date as text, and
    `modified` has year, month, day, hour, minute and second, in UTC: what the file says outside EXIF.
    """

    width: int
    height: int
    decode: Callable[[Sides], Image.Image]
    exif: Exif | None = None
    created: str | None = None
    modified: tuple[int, ...] | None = None
