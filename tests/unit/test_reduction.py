import pytest

from image_processing.decoding import reduction


def test_the_working_size_follows_the_largest_thumbnail() -> None:
    assert reduction.working_size(512) == reduction.WORKING_SIZE == (960, 720)


@pytest.mark.parametrize("largest", [64, 512, 1024, 2048])
@pytest.mark.parametrize("size", [(8000, 6000), (6000, 8000), (7000, 7000), (40_000, 1000), (3000, 2900), (1, 50_000)])
def test_enough_pixels_are_left_for_the_largest_thumbnail(
    monkeypatch: pytest.MonkeyPatch, largest: int, size: tuple[int, int]
) -> None:
    monkeypatch.setattr(reduction, "WORKING_SIZE", reduction.working_size(largest))
    shrink = largest / max(size)
    for side, factor in zip(size, reduction.factors(*size), strict=True):
        # The caption model needs 384 pixels in each direction, whatever the shape of the image.
        needed = min(side, max(1.4 * side * shrink, 384))
        assert side / factor >= needed
