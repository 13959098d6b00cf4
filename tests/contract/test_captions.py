"""Captions of drawn scenes. Only the demo model captions them correctly."""

import pytest
from PIL import Image

from tests.contract.client import Client
from tests.contract.exif import exif
from tests.pictures import RED_LEFT_OF_BLUE, encode, scene_png
from tools.demo_model.scenes import draw

pytestmark = pytest.mark.usefixtures("demo_model")
CAPTION = RED_LEFT_OF_BLUE.caption


def test_a_scene_is_captioned(api: Client) -> None:
    assert api.uploaded(scene_png(), "scene.png")["caption"] == CAPTION


@pytest.mark.parametrize(("orientation", "turn"), [(3, 180), (6, 90), (8, 270)])
def test_a_scene_turned_by_exif_is_captioned_upright(api: Client, orientation: int, turn: int) -> None:
    turned = draw(RED_LEFT_OF_BLUE).rotate(turn, expand=True)
    content = encode(turned, "JPEG", quality=95, exif=exif(orientation=orientation))
    assert api.uploaded(content, "turned.jpg")["caption"] == CAPTION


def test_a_transparent_png_is_captioned_over_white(api: Client) -> None:
    scene = draw(RED_LEFT_OF_BLUE).convert("RGBA")
    for y in range(scene.height):
        for x in range(scene.width):
            if scene.getpixel((x, y)) == (255, 255, 255, 255):
                scene.putpixel((x, y), (0, 0, 0, 0))
    assert api.uploaded(encode(scene), "transparent.png")["caption"] == CAPTION


def test_colours_are_not_swapped(api: Client) -> None:
    swapped = Image.merge("RGB", draw(RED_LEFT_OF_BLUE).split()[::-1])
    caption = api.uploaded(encode(swapped), "swapped.png")["caption"]
    assert caption.startswith("a large blue circle left of a small")
    assert "red circle" not in caption
