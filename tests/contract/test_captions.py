"""Captions of drawn scenes. Only the demo model captions them correctly."""

import pytest
from PIL import Image

from tests.contract.client import Client
from tests.contract.exif import exif
from tests.contract.refusals import refusal
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


def test_the_caption_begins_with_the_prompt(api: Client) -> None:
    data = api.upload(scene_png(), "scene.png", prompt="A small Blue", details="caption").json()["data"]
    assert data["caption"].startswith("a small blue ")
    assert data["caption_details"]["prompt"] == "A small Blue"
    plain = api.uploaded(scene_png(), "scene.png")
    assert (plain["caption"], "caption_details" in plain) == (CAPTION, False)


def test_the_caption_of_a_direct_upload_begins_with_the_prompt(api: Client) -> None:
    image_id = api.upload_directly(scene_png(), "scene.png", prompt="a small blue")
    assert api.wait(image_id)["data"]["caption"].startswith("a small blue ")


def test_the_details_of_a_caption_are_the_same_everywhere(api: Client) -> None:
    data = api.upload(scene_png(), "scene.png", details="caption").json()["data"]
    details, image_id = data["caption_details"], data["image_id"]
    assert details["model"] == "demo"
    assert details["prompt"] is None
    assert 0.5 < details["confidence"] <= 1
    assert api.get(f"/api/images/{image_id}?details=caption").json()["data"]["data"]["caption_details"] == details
    api.wait_until_listed(image_id)
    listed = api.get("/api/images?limit=100&details=caption").json()["content"]
    assert listed[image_id]["data"]["caption_details"] == details


def test_a_prompt_that_is_too_long_is_refused(api: Client) -> None:
    prompt, message = "x" * 101, "Invalid prompt. Please use at most 100 characters."
    assert refusal(api.upload(scene_png(), "scene.png", prompt=prompt)) == (400, message)
    assert refusal(api.request_upload(content_type="image/png", prompt=prompt)) == (400, message)


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
