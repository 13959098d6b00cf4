"""Which files are accepted. The format is detected only from the content."""

from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from image_pipeline.models import ImageFormat
from tests.contract.client import Client, fetch
from tests.contract.examples import UNSUPPORTED
from tests.contract.forms import END, part
from tests.contract.refusals import DAMAGED, refusal
from tests.pictures import OTHER_FORMATS, RED_LEFT_OF_BLUE, encode, opened, scene_png
from tools.demo_model.scenes import draw


def posted_as(api: Client, content: bytes, name: str, media_type: str | None) -> Any:
    return api.post_form(part(content, f'name="file"; filename="{name}"', media_type) + END)


@pytest.mark.usefixtures("not_counted")
@pytest.mark.parametrize("image_format", OTHER_FORMATS)
@pytest.mark.parametrize(("name", "media_type"), [("picture.jpg", "image/jpeg"), ("picture.png", "image/png")])
def test_another_format_is_unsupported_whatever_its_name(
    api: Client, image_format: str, name: str, media_type: str
) -> None:
    content = encode(draw(RED_LEFT_OF_BLUE), image_format)
    assert refusal(posted_as(api, content, name, media_type)) == (415, UNSUPPORTED["error"])


NO_IMAGES = {
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "HTML": b"<!DOCTYPE html><html></html>",
    "text": b"some text",
    "ZIP": b"PK\x03\x04",
    "a zero byte": b"\0",
    "a PNG after a line break": b"\n" + scene_png(),
    "a PNG without its first byte": scene_png()[1:],
    "a PNG with line breaks converted": b"\x89PNG\n\x1a\n" + scene_png()[8:],
    "two bytes of a JPEG signature": b"\xff\xd8",
    "half a PNG signature": b"\x89PNG",
}


@pytest.mark.usefixtures("not_counted")
@pytest.mark.parametrize("content", NO_IMAGES.values(), ids=NO_IMAGES)
def test_a_file_that_is_not_an_image_is_unsupported(api: Client, content: bytes) -> None:
    assert refusal(posted_as(api, content, "picture.png", "image/png")) == (415, UNSUPPORTED["error"])


@pytest.mark.parametrize(
    ("image_format", "name", "media_type"),
    [
        (ImageFormat.JPEG, "a.png", "image/png"),
        (ImageFormat.PNG, "a.jpg", "image/jpeg"),
        (ImageFormat.JPEG, "A.JPG", "application/octet-stream"),
        (ImageFormat.PNG, "A.PNG", None),
        (ImageFormat.JPEG, "no extension", None),
        (ImageFormat.PNG, "a.gif", "image/gif"),
        (ImageFormat.JPEG, "a.html", "text/html"),
    ],
)
def test_the_content_decides_the_format(
    api: Client, image_format: ImageFormat, name: str, media_type: str | None
) -> None:
    response = posted_as(api, encode(draw(RED_LEFT_OF_BLUE), image_format), name, media_type)
    assert response.status_code == 200
    data = response.json()["data"]
    assert (data["original_name"], data["metadata"]["format"]) == (name, image_format)
    for size, url in data["thumbnails"].items():
        assert f"{data['image_id']}/thumbnails/{size}.{image_format.thumbnail}?" in url
        fetched = fetch(url)
        assert fetched.headers["Content-Type"] == image_format.media_type
        assert opened(fetched.content).format == image_format


def gray(image: Image.Image) -> Image.Image:
    return image.convert("L")


def sixteen_bits(image: Image.Image) -> Image.Image:
    return gray(image).convert("I").point(lambda value: value * 257).convert("I;16")


FRAMES = {"save_all": True, "append_images": [Image.new("RGB", (240, 200))]}


@pytest.mark.parametrize(
    ("image_format", "convert", "options"),
    [
        pytest.param("JPEG", gray, {}, id="JPEG grey"),
        pytest.param("JPEG", lambda image: image, {"progressive": True}, id="JPEG progressive"),
        pytest.param("MPO", lambda image: image, FRAMES, id="JPEG MPO"),
        pytest.param("PNG", lambda image: image.convert("1"), {}, id="PNG 1 bit"),
        pytest.param("PNG", gray, {}, id="PNG grey"),
        pytest.param("PNG", lambda image: image.convert("LA"), {}, id="PNG grey alpha"),
        pytest.param("PNG", sixteen_bits, {}, id="PNG 16 bits"),
        pytest.param("PNG", lambda image: image.quantize(16), {}, id="PNG palette"),
        pytest.param("PNG", lambda image: image.quantize(16), {"transparency": 255}, id="PNG palette alpha"),
        pytest.param("PNG", lambda image: image.convert("RGBA"), {}, id="PNG alpha"),
        pytest.param("PNG", lambda image: image, FRAMES, id="PNG animated"),
    ],
)
def test_every_kind_of_jpeg_and_png_is_processed(
    api: Client, image_format: str, convert: Callable[[Image.Image], Image.Image], options: dict[str, object]
) -> None:
    scene = draw(RED_LEFT_OF_BLUE)
    data = api.uploaded(encode(convert(scene), image_format, **options), "scene")
    metadata = data["metadata"]
    assert metadata["format"] == ("PNG" if image_format == "PNG" else "JPEG")
    assert (metadata["width"], metadata["height"]) == scene.size
    thumbnails = {size: opened(fetch(url).content) for size, url in data["thumbnails"].items()}
    assert (thumbnails["small"].size, thumbnails["medium"].size) == ((128, 107), scene.size)
    for thumbnail in thumbnails.values():
        for ours, original in zip(brightness(thumbnail), brightness(scene), strict=True):
            assert abs(ours - original) < 20


@pytest.mark.parametrize(
    ("inks", "printed"),
    [
        ((255, 0, 0, 0), (0, 160, 228)),
        ((0, 255, 255, 0), (228, 31, 37)),
        ((255, 0, 255, 0), (0, 152, 71)),
        ((0, 0, 0, 0), (255, 255, 255)),
    ],
)
def test_inks_without_a_profile_look_as_a_press_prints_them(
    api: Client, inks: tuple[int, ...], printed: tuple[int, ...]
) -> None:
    data = api.uploaded(encode(Image.new("CMYK", (240, 200), inks), "JPEG", quality=95), "inks.jpg")
    for url in data["thumbnails"].values():
        colour = opened(fetch(url).content).getpixel((50, 50))
        assert isinstance(colour, tuple)
        assert all(abs(ours - right) <= 6 for ours, right in zip(colour, printed, strict=True))


def brightness(image: Image.Image) -> bytes:
    """Return the mean brightness of 6 x 5 fields. Dithering and palettes change these means only a little."""
    return image.convert("RGB").convert("L").resize((6, 5), Image.Resampling.BOX).tobytes()


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("kept", [0.01, 0.34, 0.5, 0.9])
def test_a_truncated_image_is_refused_and_counted_as_a_failure(api: Client, image_format: str, kept: float) -> None:
    before = api.statistics()
    content = encode(draw(RED_LEFT_OF_BLUE), image_format)
    assert refusal(api.upload(content[: round(len(content) * kept)], "part")) == (400, DAMAGED)
    assert api.statistics() == before | {"failure": before["failure"] + 1}


@pytest.mark.parametrize("image_format", ImageFormat)
def test_a_signature_followed_by_nonsense_is_a_damaged_image(api: Client, image_format: ImageFormat) -> None:
    assert refusal(api.upload(image_format.signature + b"nonsense" * 100, "nonsense")) == (400, DAMAGED)
