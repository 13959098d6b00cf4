"""What a page shows instead of a thumbnail until the thumbnail is loaded."""

from PIL import Image

from image_processing.pictures import Picture

_SAMPLE = (64, 64)
_COLOUR_GROUPS = 8
_MIN_ALPHA = 128


def dominant_color(picture: Picture) -> str | None:
    """Return the most frequent colour as "#rrggbb", or None if nearly everything is transparent.

    A sample of the pixels is put into groups of similar colours. The mean of the largest group is returned.
    """
    sample = picture.pixels.resize(_SAMPLE, Image.Resampling.NEAREST).convert("RGBA")
    grouped = sample.quantize(_COLOUR_GROUPS, Image.Quantize.FASTOCTREE)
    palette = bytes(grouped.getpalette("RGBA") or [])
    counts = {group: count for group, count in enumerate(grouped.histogram()) if count}
    for group in sorted(counts, key=counts.__getitem__, reverse=True):
        red, green, blue, alpha = palette[4 * group : 4 * group + 4]
        if alpha >= _MIN_ALPHA:
            return f"#{red:02x}{green:02x}{blue:02x}"
    return None
