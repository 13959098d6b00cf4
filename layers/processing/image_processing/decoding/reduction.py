"""Reduction of a large image to the working size, which is enough for thumbnails and captions."""

from collections.abc import Callable, Iterator

from PIL import Image

from image_pipeline.models import ThumbnailSize

# The side of BLIP's square input, in pixels.
_CAPTION_SIDE = 384
_PIXELS_PER_STRIP = 1_000_000


def working_size(largest_thumbnail: int) -> tuple[int, int]:
    """Return the smallest size of a reduced image: its longer and its shorter side, in pixels.

    Both are nearly twice as long as the use of the image needs. So a second reduction shows no aliasing
    (docs/decisions.md). For a largest thumbnail of 512 pixels they are 960 and 720.
    """
    for_caption = _CAPTION_SIDE * 15 // 8
    return max(largest_thumbnail * 15 // 8, for_caption), max(largest_thumbnail * 45 // 32, for_caption)


WORKING_SIZE = working_size(max(size.pixels for size in ThumbnailSize))

# A function that takes a strip and the number of its top row, and returns the strip in a mode that can be reduced.
Convert = Callable[[Image.Image, int], Image.Image]


def factors(width: int, height: int) -> tuple[int, int]:
    """Return how many pixels become one, across and down.

    The two factors may differ, because a panorama may be large on one side only.
    """
    across, down = WORKING_SIZE if width >= height else WORKING_SIZE[::-1]
    return max(1, width // across), max(1, height // down)


def reduced(image: Image.Image, convert: Convert, full_size: tuple[int, int], scale: int = 1) -> Image.Image:
    """Reduce an image to about WORKING_SIZE.

    `image` was decoded at 1/`scale` of its `full_size`. `convert` is called for one strip at a time, to save memory.
    """
    across, down = factors(*image.size)
    pieces = ((top // down, convert(strip, top).reduce((across, down))) for top, strip in strips(image, down))
    _, first = next(pieces)
    small = Image.new(first.mode, (-(-image.width // across), -(-image.height // down)))
    small.paste(first)
    for top, piece in pieces:
        small.paste(piece, (0, top))
    # If a side is not a multiple of the factor, its last pixel covers less than the others. Resizing corrects that.
    width, height = full_size[0] / (scale * across), full_size[1] / (scale * down)
    if width.is_integer() and height.is_integer():
        return small
    whole = (max(1, int(width)), max(1, int(height)))
    return small.resize(whole, Image.Resampling.BICUBIC, (0, 0, width, height))


def strips(image: Image.Image, multiple: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Yield the number of the top row of each strip, and the strip.

    The height of each strip, except for the last, is a multiple of `multiple`.
    """
    height = max(1, _PIXELS_PER_STRIP // (image.width * multiple)) * multiple
    for top in range(0, image.height, height):
        yield top, image.crop((0, top, image.width, min(top + height, image.height)))
