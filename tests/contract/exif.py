"""EXIF data for test images."""

from PIL import Image

_ORIENTATION, _DATE_TIME, _EXIF_IFD, _DATE_TIME_ORIGINAL = 0x0112, 0x0132, 0x8769, 0x9003


def exif(original: str | None = None, changed: str | None = None, orientation: int | None = None) -> Image.Exif:
    """Return EXIF data. DateTimeOriginal, DateTime and Orientation are set only if they are given."""
    tags = Image.Exif()
    if original is not None:
        tags.get_ifd(_EXIF_IFD)[_DATE_TIME_ORIGINAL] = original
    if changed is not None:
        tags[_DATE_TIME] = changed
    if orientation is not None:
        tags[_ORIENTATION] = orientation
    return tags
