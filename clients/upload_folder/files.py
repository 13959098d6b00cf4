"""The files to upload."""

from collections.abc import Iterator
from pathlib import Path

from image_pipeline.models import MEDIA_TYPES


def media_type(file: Path) -> str | None:
    """Return the media type of a picture by the extension of its name, or None for another file."""
    return MEDIA_TYPES.get(file.suffix.lower().removeprefix("."))


def pictures(folder: Path) -> Iterator[Path]:
    """Yield the pictures in a folder and its subfolders, in alphabetical order."""
    return (file for file in sorted(folder.rglob("*")) if media_type(file) and file.is_file())
