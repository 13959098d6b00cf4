"""Reduction of a large image to the size that is enough for its thumbnails and its caption."""

from collections.abc import Callable, Iterator

from PIL import Image

_PIXELS_PER_STRIP = 1_000_000
# Smaller thumbnails than this are made from the same decoded pixels as a thumbnail with this side.
_SHARED_SIDE = 512

# The longer and the shorter side of an image, in pixels.
Sides = tuple[int, int]

# No thumbnail needs more. Twice these sides are 44 megapixels, which take 177 MB, and as much again while they are
# turned or get other colours.
_MAX_LEAST = (3840, 2880)

# A function that takes a strip and the number of its top row, and returns the strip in a mode that can be reduced.
Convert = Callable[[Image.Image, int], Image.Image]


def least_sides(thumbnail_side: int, caption_side: int = 0) -> Sides:
    """Return the smallest sides of an image that is large enough for a thumbnail and for the square caption input.

    They are nearly twice as long as the thumbnail and the input need. So a second reduction shows no aliasing
    (docs/decisions.md). For a thumbnail of 512 pixels they are 960 x 720, which is enough for a caption side of 384.
    For one of more than 2,048 pixels they are less than twice as long, to save memory.
    """
    side = max(thumbnail_side, _SHARED_SIDE)
    for_caption = caption_side * 15 // 8
    longer, shorter = _MAX_LEAST
    return max(min(side * 15 // 8, longer), for_caption), max(min(side * 45 // 32, shorter), for_caption)


def factors(width: int, height: int, least: Sides) -> tuple[int, int]:
    """Return how many pixels become one, horizontally and vertically. At least the sides `least` remain.

    The two factors may differ, because a panorama may be large on one side only.
    """
    across, down = least if width >= height else least[::-1]
    return max(1, width // across), max(1, height // down)


def reduced_if_large(image: Image.Image, least: Sides) -> Image.Image:
    """Return the image, reduced if it is at least twice as large as `least`.

    This keeps the other thumbnails fast if a larger thumbnail size, or a model with a larger input, is added.
    """
    both = factors(*image.size, least)
    return image if both == (1, 1) else image.reduce(both)


def reduced(
    image: Image.Image, convert: Convert, least: Sides, full_size: tuple[int, int], scale: int = 1
) -> Image.Image:
    """Reduce an image to less than twice the sides `least`.

    `image` was decoded at 1/`scale` of its `full_size`. `convert` is called for one strip at a time, to save memory.
    """
    across, down = factors(*image.size, least)
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
