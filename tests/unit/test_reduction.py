import pytest
from PIL import Image

from image_processing.decoding import reduction


def test_the_pixels_that_are_kept_follow_the_thumbnail_and_the_caption() -> None:
    assert reduction.least_sides(512) == reduction.least_sides(512, 384) == reduction.least_sides(128) == (960, 720)
    assert reduction.least_sides(1024) == (1920, 1440)
    assert reduction.least_sides(512, 768) == (1440, 1440)
    assert reduction.least_sides(2048) == reduction.least_sides(2560) == (3840, 2880)


@pytest.mark.parametrize("largest", [64, 512, 1024, 2048])
@pytest.mark.parametrize("caption_side", [96, 384, 768])
@pytest.mark.parametrize("size", [(8000, 6000), (6000, 8000), (7000, 7000), (40_000, 1000), (3000, 2900), (1, 50_000)])
def test_enough_pixels_are_left_for_the_largest_thumbnail(
    largest: int, caption_side: int, size: tuple[int, int]
) -> None:
    shrink = largest / max(size)
    factors = reduction.factors(*size, reduction.least_sides(largest, caption_side))
    for side, factor in zip(size, factors, strict=True):
        # The caption model needs a square, whatever the shape of the image.
        needed = min(side, max(1.4 * side * shrink, caption_side))
        assert side / factor >= needed


@pytest.mark.parametrize("size", [(1919, 1439), (1439, 1919), (960, 1439)])
def test_pixels_that_are_just_enough_are_used_as_they_are(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size)
    assert reduction.reduced_if_large(image, reduction.least_sides(512)) is image


def test_the_pixels_of_a_larger_thumbnail_are_reduced_for_a_smaller_one() -> None:
    image = Image.new("RGB", (2500, 1880))
    assert reduction.reduced_if_large(image, reduction.least_sides(1024)) is image
    assert reduction.reduced_if_large(image, reduction.least_sides(128)).size == (1250, 940)
