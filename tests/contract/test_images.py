"""What becomes of an image: its metadata, its thumbnails, its caption."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.contract.client import Client, fetch
from tests.pictures import RED_LEFT_OF_BLUE, encode, in_srgb, opened, scene_png
from tools.demo_scenes import draw

PHOTOS = Path(__file__).parent.parent / "photos"
CAPTION = RED_LEFT_OF_BLUE.caption
ORIENTATION, DATE_TIME, EXIF_IFD, DATE_TIME_ORIGINAL = 0x0112, 0x0132, 0x8769, 0x9003


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
    data = api.uploaded(content, name)
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


@pytest.mark.parametrize(
    ("image_format", "name"), [("JPEG", "a.png"), ("PNG", "a.jpg"), ("JPEG", "a"), ("PNG", "a.GIF")]
)
def test_the_content_decides_on_the_format(api: Client, image_format: str, name: str) -> None:
    data = api.uploaded(encode(draw(RED_LEFT_OF_BLUE), image_format), name)
    assert data["metadata"]["format"] == image_format
    extension = {"JPEG": "jpg", "PNG": "png"}[image_format]
    assert f"/thumbnails/small.{extension}?" in data["thumbnails"]["small"]


@pytest.mark.parametrize(
    ("image_format", "convert", "options"),
    [
        ("JPEG", lambda image: image.convert("L"), {}),
        ("JPEG", lambda image: image.convert("CMYK"), {}),
        ("JPEG", lambda image: image, {"progressive": True}),
        ("PNG", lambda image: image.convert("1"), {}),
        ("PNG", lambda image: image.convert("L"), {}),
        ("PNG", lambda image: image.convert("LA"), {}),
        ("PNG", lambda image: image.convert("I;16"), {}),
        ("PNG", lambda image: image.convert("P"), {}),
        ("PNG", lambda image: image.convert("P"), {"transparency": 0}),
        ("PNG", lambda image: image.convert("RGBA"), {}),
    ],
    ids=[
        "grey",
        "cmyk",
        "progressive",
        "1 bit",
        "8 bits",
        "grey alpha",
        "16 bits",
        "palette",
        "palette alpha",
        "alpha",
    ],
)
def test_every_kind_of_jpeg_and_png_goes_through(
    api: Client, image_format: str, convert: Callable[[Image.Image], Image.Image], options: dict[str, object]
) -> None:
    data = api.uploaded(encode(convert(draw(RED_LEFT_OF_BLUE)), image_format, **options), "scene")
    assert (data["metadata"]["format"], data["metadata"]["width"]) == (image_format, 240)
    assert opened(fetch(data["thumbnails"]["small"]).content).size == (128, 107)


def test_a_thumbnail_is_never_enlarged(api: Client) -> None:
    data = api.uploaded(encode(Image.new("RGB", (3, 500))), "narrow.png")
    assert opened(fetch(data["thumbnails"]["small"]).content).size == (1, 128)
    assert opened(fetch(data["thumbnails"]["medium"]).content).size == (3, 500)


def test_dates_are_those_of_the_photograph(api: Client) -> None:
    exif = Image.Exif()
    exif[DATE_TIME] = "2021:06:07 08:09:10"
    exif.get_ifd(EXIF_IFD)[DATE_TIME_ORIGINAL] = "2020:01:02 03:04:05"
    metadata = api.uploaded(encode(draw(RED_LEFT_OF_BLUE), "JPEG", exif=exif), "dated.jpg")["metadata"]
    assert metadata["created_at"] == "2020-01-02 03:04:05"
    assert metadata["modified_at"] == "2021-06-07 08:09:10"


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_a_damaged_image_is_refused_and_counted(api: Client, image_format: str) -> None:
    before = api.statistics()
    content = encode(draw(RED_LEFT_OF_BLUE), image_format)
    response = api.upload(content[: len(content) // 3], "third")
    message = "The image is damaged or incomplete and cannot be decoded. Please send the whole file again."
    assert (response.status_code, response.json()) == (400, {"current_status": "failure", "error": message})
    assert api.statistics() == before | {"failure": before["failure"] + 1}


@pytest.mark.usefixtures("demo_model")
def test_a_scene_is_captioned(api: Client) -> None:
    assert api.uploaded(scene_png(), "scene.png")["caption"] == CAPTION


@pytest.mark.usefixtures("demo_model")
@pytest.mark.parametrize(("orientation", "turn"), [(3, 180), (6, 90), (8, 270)])
def test_a_scene_turned_by_exif_is_captioned_upright(api: Client, orientation: int, turn: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    turned = draw(RED_LEFT_OF_BLUE).rotate(turn, expand=True)
    data = api.uploaded(encode(turned, "JPEG", quality=95, exif=exif), "turned.jpg")
    assert data["caption"] == CAPTION
    assert (data["metadata"]["width"], data["metadata"]["height"]) == (240, 200)
    assert opened(fetch(data["thumbnails"]["small"]).content).size == (128, 107)


@pytest.mark.usefixtures("demo_model")
def test_a_transparent_png_is_captioned_over_white(api: Client) -> None:
    scene = draw(RED_LEFT_OF_BLUE).convert("RGBA")
    for y in range(scene.height):
        for x in range(scene.width):
            if scene.getpixel((x, y)) == (255, 255, 255, 255):
                scene.putpixel((x, y), (0, 0, 0, 0))
    data = api.uploaded(encode(scene), "transparent.png")
    assert data["caption"] == CAPTION
    assert opened(fetch(data["thumbnails"]["medium"]).content).getpixel((0, 0))[3] == 0  # type: ignore[index]  # RGBA


@pytest.mark.usefixtures("demo_model")
def test_colours_are_not_swapped(api: Client) -> None:
    swapped = Image.merge("RGB", draw(RED_LEFT_OF_BLUE).split()[::-1])
    caption = api.uploaded(encode(swapped), "swapped.png")["caption"]
    assert caption.startswith("a large blue circle left of a small")
    assert "red circle" not in caption
