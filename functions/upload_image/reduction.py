"""A large image brought near the size that thumbnails and caption need, a strip at a time."""

from collections.abc import Callable, Iterator

from PIL import Image

# Each side is brought near this size, the longer and the shorter one: nearly twice the medium thumbnail and the
# caption model's input, so that shrinking once more shows no aliasing (docs/decisions.md has figures).
WORKING_SIZE = (960, 720)
_PIXELS_PER_STRIP = 1_000_000

# Takes a strip and its top row; returns it in a mode that can be reduced.
Convert = Callable[[Image.Image, int], Image.Image]


def factors(width: int, height: int) -> tuple[int, int]:
    """Return how many pixels become one across and down. Each side counts on its own: panoramas are large too."""
    across, down = WORKING_SIZE if width >= height else WORKING_SIZE[::-1]
    return max(1, width // across), max(1, height // down)


def reduced(image: Image.Image, convert: Convert, full_size: tuple[int, int], scale: int = 1) -> Image.Image:
    """Bring an image, which was decoded at 1/`scale` of its `full_size`, near WORKING_SIZE.

    Only one strip of it is held in memory as `convert` returns it.
    """
    across, down = factors(*image.size)
    pieces = ((top // down, convert(strip, top).reduce((across, down))) for top, strip in strips(image, down))
    _, first = next(pieces)
    small = Image.new(first.mode, (-(-image.width // across), -(-image.height // down)))
    small.paste(first)
    for top, piece in pieces:
        small.paste(piece, (0, top))
    # Where sides do not divide evenly, the last column or row stands for less than a whole pixel.
    width, height = full_size[0] / (scale * across), full_size[1] / (scale * down)
    if width.is_integer() and height.is_integer():
        return small
    whole = (max(1, int(width)), max(1, int(height)))
    return small.resize(whole, Image.Resampling.BICUBIC, (0, 0, width, height))


def strips(image: Image.Image, multiple: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Yield the top row of each strip and the strip, whose height is a multiple of `multiple` except for the last."""
    height = max(1, _PIXELS_PER_STRIP // (image.width * multiple)) * multiple
    for top in range(0, image.height, height):
        yield top, image.crop((0, top, image.width, min(top + height, image.height)))
