"""Real photographs from upload to thumbnail."""

from pathlib import Path

import pytest
from PIL import Image

from tests.contract.client import Client, fetch
from tests.pictures import in_srgb, opened

PHOTOS = Path(__file__).parent.parent / "photos"


@pytest.mark.parametrize(
    ("name", "size", "small", "medium"),
    [
        ("astronaut.jpg", (512, 512), (128, 128), (512, 512)),
        ("chelsea.png", (451, 300), (128, 85), (451, 300)),
        ("coffee.jpg", (600, 400), (128, 85), (512, 341)),
        ("rocket.jpg", (640, 427), (128, 85), (512, 342)),
    ],
)
def test_a_photograph_is_processed(
    api: Client, name: str, size: tuple[int, int], small: tuple[int, int], medium: tuple[int, int]
) -> None:
    content = (PHOTOS / name).read_bytes()
    data = api.uploaded(content, name)
    assert data["original_name"] == name
    assert (data["metadata"]["width"], data["metadata"]["height"]) == size
    assert data["metadata"]["size_bytes"] == len(content)
    assert data["caption"]
    original = in_srgb(opened(content))
    for thumbnail_size, expected in (("small", small), ("medium", medium)):
        thumbnail = opened(fetch(data["thumbnails"][thumbnail_size]).content)
        assert thumbnail.size == expected
        # The thumbnail shows the photograph if the mean colours of 4 x 4 fields are similar.
        for ours, theirs in zip(fields(thumbnail), fields(original), strict=True):
            assert abs(ours - theirs) < 12


def fields(image: Image.Image) -> bytes:
    return image.convert("RGB").resize((4, 4), Image.Resampling.BOX).tobytes()
