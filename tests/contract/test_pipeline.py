"""From an upload to everything that the API then tells of it."""

from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from tests.contract.client import TIMEOUT_SECONDS, Client
from tests.pictures import RED_LEFT_OF_BLUE, encode, in_srgb, opened, scene_png
from tools import demo_scenes

PHOTOS = Path(__file__).parent.parent / "photos"
# At a deployed stack with the real model, only what does not depend on the demo model's captions holds.
DEMO_CAPTION = RED_LEFT_OF_BLUE.caption


def fetch(url: str) -> requests.Response:
    response = requests.get(url, timeout=TIMEOUT_SECONDS)
    assert response.status_code == 200
    return response


@pytest.mark.parametrize(
    ("name", "size", "small", "medium"),
    [
        ("astronaut.jpg", (512, 512), (128, 128), (512, 512)),
        ("chelsea.png", (451, 300), (128, 85), (451, 300)),
        ("coffee.jpg", (600, 400), (128, 85), (512, 341)),
        ("rocket.jpg", (640, 427), (128, 85), (512, 342)),
    ],
)
def test_a_photograph_goes_through(
    api: Client, name: str, size: tuple[int, int], small: tuple[int, int], medium: tuple[int, int]
) -> None:
    content = (PHOTOS / name).read_bytes()
    response = api.upload(content, name)
    assert response.status_code == 200
    data = response.json()["data"]
    assert data["original_name"] == name
    assert (data["metadata"]["width"], data["metadata"]["height"]) == size
    assert data["metadata"]["size_bytes"] == len(content)
    assert data["caption"]
    media_type = "image/jpeg" if name.endswith("jpg") else "image/png"
    original = in_srgb(opened(content))
    for thumbnail_size, expected in (("small", small), ("medium", medium)):
        answer = fetch(data["thumbnails"][thumbnail_size])
        assert answer.headers["Content-Type"] == media_type
        thumbnail = opened(answer.content)
        assert thumbnail.size == expected
        # It shows the photograph: the means of 4 x 4 fields are alike.
        for ours, theirs in zip(fields(thumbnail), fields(original), strict=True):
            assert abs(ours - theirs) < 12


def fields(image: Image.Image) -> bytes:
    return image.convert("RGB").resize((4, 4), Image.Resampling.BOX).tobytes()


def test_all_routes_tell_the_same_of_an_image(api: Client, uploaded: dict[str, Any]) -> None:
    def without_urls(image: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in image["data"].items() if name != "thumbnails"}

    image_id = uploaded["data"]["image_id"]
    assert without_urls(api.get(f"/api/images/{image_id}").json()["data"]) == without_urls(uploaded)
    assert without_urls(api.get("/api/images").json()["content"][image_id]) == without_urls(uploaded)


def test_the_thumbnail_route_leads_to_the_same_object(api: Client, uploaded: dict[str, Any]) -> None:
    for size, url in uploaded["data"]["thumbnails"].items():
        routed = api.get(f"/api/images/{uploaded['data']['image_id']}/thumbnails/{size}").json()["data"]
        assert fetch(routed).content == fetch(url).content


def test_a_scene_is_captioned(uploaded: dict[str, Any]) -> None:
    assert uploaded["data"]["caption"] == DEMO_CAPTION


@pytest.mark.parametrize(("orientation", "turn"), [(3, 180), (6, 90), (8, 270)])
def test_a_scene_turned_by_exif_is_captioned_upright(api: Client, orientation: int, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = demo_scenes.draw(RED_LEFT_OF_BLUE).rotate(turn, expand=True)
    data = api.upload(encode(turned, "JPEG", quality=95, exif=exif), "turned.jpg").json()["data"]
    assert data["caption"] == DEMO_CAPTION
    assert (data["metadata"]["width"], data["metadata"]["height"]) == (240, 200)
    assert opened(fetch(data["thumbnails"]["small"]).content).size == (128, 107)


def test_a_transparent_png_is_captioned_over_white(api: Client) -> None:
    scene = demo_scenes.draw(RED_LEFT_OF_BLUE).convert("RGBA")
    for y in range(scene.height):
        for x in range(scene.width):
            if scene.getpixel((x, y)) == (255, 255, 255, 255):
                scene.putpixel((x, y), (0, 0, 0, 0))
    data = api.upload(encode(scene), "transparent.png").json()["data"]
    assert data["caption"] == DEMO_CAPTION
    assert opened(fetch(data["thumbnails"]["medium"]).content).getpixel((0, 0))[3] == 0  # type: ignore[index]  # RGBA


def test_colours_are_not_swapped(api: Client) -> None:
    swapped = Image.merge("RGB", demo_scenes.draw(RED_LEFT_OF_BLUE).split()[::-1])
    caption = api.upload(encode(swapped), "swapped.png").json()["data"]["caption"]
    assert caption.startswith("a large blue circle left of a small")
    assert "red circle" not in caption


def test_pages_lead_through_all_images(api: Client, uploaded: dict[str, Any]) -> None:
    assert uploaded
    for number in range(3):
        api.upload(scene_png(), f"{number}.png")
    path, seen = "/api/images?limit=2", []
    while path:
        body = api.get(path).json()
        assert len(body["content"]) <= 2
        seen += [image["data"] for image in body["content"].values()]
        path = body.get("next", "")
    finished = [image["processed_at"] for image in seen]
    assert finished == sorted(finished, reverse=True)
    assert len({image["image_id"] for image in seen}) == len(seen)
    names = [image["original_name"] for image in seen]
    assert names.index("2.png") < names.index("1.png") < names.index("0.png")


def test_a_damaged_image_is_refused_and_counted(api: Client) -> None:
    before = api.get("/api/stats").json()["data"]
    response = api.upload(scene_png()[:200], "half.png")
    assert response.status_code == 400
    after = api.get("/api/stats").json()["data"]
    assert after == before | {"failure": before["failure"] + 1}


def test_a_refused_file_is_not_counted(api: Client) -> None:
    before = api.get("/api/stats").json()
    assert api.upload(b"plain text", "notes.txt").status_code == 415
    assert api.get("/api/stats").json() == before
