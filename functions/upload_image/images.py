"""An uploaded image decoded once, its metadata, and its thumbnails: bytes in, bytes out."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from io import BytesIO

from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from image_pipeline.errors import ImageTooLargeError, UndecodableImageError, UnsupportedImageError
from image_pipeline.models import ImageFormat, ImageMetadata

EXTENSIONS = {"JPEG": "jpg", "PNG": "png"}
# Decoded images are brought near this many pixels, longer and shorter side: nearly twice the medium thumbnail
# and the caption model's input, so that shrinking once more shows no aliasing (docs/decisions.md has figures).
WORKING_SIZE = (960, 720)
_SIGNATURES: dict[bytes, ImageFormat] = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG"}
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
_PNG_TIME = struct.Struct(">H5B")
# The year of the first photograph.
_EARLIEST_YEAR = 1826
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
# How Pillow scales the samples of shallow and deep PNGs, but not the transparent colour that their tRNS chunk names.
_SAMPLE_SCALES = {"L;2": 85, "L;4": 17, "RGB;16B": 1 / 256}


@dataclass(frozen=True)
class Picture:
    """Upright sRGB pixels in mode L, RGB or RGBA, never much larger than needed, and the file's metadata."""

    pixels: Image.Image
    metadata: ImageMetadata


def decode(content: bytes, received_at: datetime, max_pixels: int) -> Picture:
    """Decode a JPEG or PNG; dates that the file does not tell are `received_at`.

    Raises UnsupportedImageError, ImageTooLargeError for more than `max_pixels`, and UndecodableImageError.
    """
    image_format = _format(content)
    try:
        with Image.open(BytesIO(content), formats=tuple(EXTENSIONS)) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise _too_many_pixels(max_pixels)
            _scale_transparency(image)
            exif = image.getexif()
            # JPEG can be decoded at 1/2, 1/4 or 1/8 for a fraction of the time.
            image.draft(None, WORKING_SIZE if width >= height else WORKING_SIZE[::-1])
            image.load()
            small = _shrink(_to_eight_bits(image), (width, height))
            pixels = _to_srgb(small, image.info.get("icc_profile"))
            orientation = exif.get(ExifTags.Base.Orientation)
            created_at = _exif_date(exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal), received_at)
            modified_at = _exif_date(exif.get(ExifTags.Base.DateTime), received_at)
    except Image.DecompressionBombError:
        raise _too_many_pixels(max_pixels) from None
    except _DAMAGED as error:
        raise UndecodableImageError from error
    if image_format == "PNG":
        modified_at = modified_at or _png_time(content, received_at)
    if orientation in _TRANSPOSITIONS:
        pixels = pixels.transpose(_TRANSPOSITIONS[orientation])
        if orientation >= _FIRST_SIDEWAYS:
            width, height = height, width
    metadata = ImageMetadata(
        width, height, image_format, len(content), created_at or received_at, modified_at or received_at
    )
    return Picture(pixels, metadata)


def thumbnail(picture: Picture, side: int) -> bytes:
    """Return `picture` inside a square of `side` pixels, never enlarged, in its own format and free of metadata."""
    small = picture.pixels.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
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


def _format(content: bytes) -> ImageFormat:
    for signature, name in _SIGNATURES.items():
        if content.startswith(signature):
            return name
    raise UnsupportedImageError


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Return `image` in mode L, RGB, RGBA or CMYK."""
    if image.mode == "I;16":
        # Only 16-bit grayscale PNGs come so; plain conversion would clip, not scale.
        gray = image.point(lambda value: value * (1 / 256)).convert("L")
        transparent = image.info.get("transparency")
        if not isinstance(transparent, int):
            return gray
        alpha = image.convert("I").point([0 if value == transparent else 255 for value in range(65536)], "L")
        return Image.merge("LA", (gray, alpha)).convert("RGBA")
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in {"L", "RGB", "CMYK"}:
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _scale_transparency(image: Image.Image) -> None:
    """Bring the transparent colour of a PNG that is not loaded yet to the 8 bits that its pixels will have."""
    if not isinstance(image, PngImagePlugin.PngImageFile) or not image.tile:
        return
    scale, colour = _SAMPLE_SCALES.get(str(image.tile[0].args), 1), image.info.get("transparency")
    if isinstance(colour, int):
        image.info["transparency"] = int(colour * scale)
    elif isinstance(colour, tuple):
        image.info["transparency"] = tuple(int(sample * scale) for sample in colour)


def _shrink(image: Image.Image, full_size: tuple[int, int]) -> Image.Image:
    """Bring `image` near the working size; it may be a part of its `full_size` already."""
    factor = min(max(image.size) // WORKING_SIZE[0], min(image.size) // WORKING_SIZE[1])
    small = image.reduce(factor) if factor > 1 else image
    # Where sides do not divide evenly, the last row or column stands for less than a whole pixel.
    scale = round(full_size[0] / small.width)
    if full_size[0] % scale or full_size[1] % scale:
        whole = (full_size[0] // scale, full_size[1] // scale)
        small = small.resize(whole, Image.Resampling.BICUBIC, (0, 0, full_size[0] / scale, full_size[1] / scale))
    return small


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert from the embedded ICC profile; without a usable one, the image is taken as sRGB."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            if "sRGB" not in ImageCms.getProfileDescription(source):
                mode = "RGBA" if image.mode == "RGBA" else "RGB"
                converted = ImageCms.profileToProfile(image, source, _srgb(), outputMode=mode)
                if converted is not None:
                    return converted
        except (ImageCms.PyCMSError, *_DAMAGED):
            pass
    return image.convert("RGB") if image.mode == "CMYK" else image


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _exif_date(text: object, received_at: datetime) -> datetime | None:
    """Parse an EXIF date, `YYYY:MM:DD HH:MM:SS`; None for a blank, broken or impossible one."""
    match = re.match(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)", text if isinstance(text, str) else "", re.ASCII)
    return _sane_date([int(part) for part in match.groups()], received_at) if match else None


def _png_time(content: bytes, received_at: datetime) -> datetime | None:
    """Return the tIME chunk, the last modification in UTC (PNG specification, 11.3.4.1)."""
    for name, data in _png_chunks(content):
        if name == b"tIME" and len(data) == _PNG_TIME.size:
            return _sane_date(list(_PNG_TIME.unpack(data)), received_at)
    return None


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    offset = 8
    while offset + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, offset)
        if name != b"IDAT":
            yield name, content[offset + 8 : offset + 8 + length]
        offset += length + 12


def _sane_date(parts: list[int], received_at: datetime) -> datetime | None:
    """Return the date unless it is impossible, before photography or in the future, as a reset clock's is."""
    try:
        date = datetime(*parts, tzinfo=received_at.tzinfo)  # type: ignore[arg-type, misc]  # six numbers
    except ValueError:
        return None
    # A camera's clock shows local time, up to 14 hours ahead of UTC.
    return date if date.year >= _EARLIEST_YEAR and date <= received_at + timedelta(hours=14) else None


def _too_many_pixels(max_pixels: int) -> ImageTooLargeError:
    return ImageTooLargeError(f"The image has more than {max_pixels:,} pixels. Please scale it down and send it again.")
