"""The dominant colour of a picture."""

from datetime import UTC, datetime

import pytest
from PIL import Image

from image_processing import pictures, placeholders
from tests.pictures import encode


def dominant(content: bytes) -> str | None:
    return placeholders.dominant_color(pictures.decode(content, datetime.now(UTC), 50_000_000))


def test_the_largest_group_of_similar_colours_wins() -> None:
    # No single blue has as many pixels as red. All blues together have more.
    image = Image.new("RGB", (512, 512), "red")
    for x in range(300):
        image.paste((0, 0, 200 + x // 15), (x, 0, x + 1, 512))
    assert dominant(encode(image)) == "#0000d1"


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_every_shape_and_mode_has_one(mode: str, size: tuple[int, int]) -> None:
    assert dominant(encode(Image.new("RGB", size, "white").convert(mode))) == "#ffffff"


def test_transparent_pixels_do_not_count() -> None:
    image = Image.new("RGBA", (100, 100), (0, 255, 0, 0))
    assert dominant(encode(image)) is None
    image.paste((255, 0, 0, 255), (0, 0, 20, 100))
    assert dominant(encode(image)) == "#ff0000"
