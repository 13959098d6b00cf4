"""The sizes of thumbnails that this stack makes of new images."""

from image_pipeline import settings
from image_pipeline.models import ThumbnailSize


def sides() -> dict[ThumbnailSize, int]:
    """Return each size, and the side in pixels of the square that its thumbnails fit in."""
    large = settings.large_thumbnail()
    return {size: size.pixels or large for size in ThumbnailSize if size.pixels or large}
