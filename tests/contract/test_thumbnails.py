"""Thumbnails: their sizes, transparency and metadata, and the route that returns their URLs."""

from typing import Any
from uuid import uuid4

import pytest
import requests
from PIL import Image, ImageCms

from image_pipeline.models import STANDARD_SIZES, any_of
from tests.contract.client import TIMEOUT_SECONDS, Client, fetch
from tests.contract.described import described
from tests.contract.examples import THUMBNAIL_MISSING
from tests.contract.exif import exif
from tests.contract.refusals import refusal
from tests.pictures import encode, opened, scene_png

Size = tuple[int, int]


@pytest.mark.parametrize(
    ("size", "small", "medium"),
    [
        ((1, 1), (1, 1), (1, 1)),
        ((100, 50), (100, 50), (100, 50)),
        ((128, 128), (128, 128), (128, 128)),
        ((3, 500), (1, 128), (3, 500)),
        ((512, 256), (128, 64), (512, 256)),
        ((1024, 2048), (64, 128), (256, 512)),
        ((4096, 2), (128, 1), (512, 1)),
    ],
    ids=str,
)
@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_a_thumbnail_keeps_the_ratio_and_is_never_enlarged(
    api: Client, image_format: str, size: Size, small: Size, medium: Size
) -> None:
    thumbnails = api.uploaded(encode(Image.new("RGB", size), image_format), "plain")["thumbnails"]
    assert list(thumbnails) == [*STANDARD_SIZES]
    assert opened(fetch(thumbnails["small"]).content).size == small
    assert opened(fetch(thumbnails["medium"]).content).size == medium


def test_transparency_is_kept(api: Client) -> None:
    image = Image.new("RGBA", (64, 64), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (32, 0, 64, 64))
    thumbnail = opened(fetch(api.uploaded(encode(image), "half.png")["thumbnails"]["medium"]).content)
    assert (thumbnail.getpixel((8, 8)), thumbnail.getpixel((56, 8))[3]) == ((255, 0, 0, 255), 0)  # type: ignore[index]  # RGBA


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_metadata_is_not_copied_to_thumbnails(api: Client, image_format: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    tags = exif("2020:01:02 03:04:05", "2021:06:07 08:09:10")
    content = encode(Image.new("RGB", (64, 64)), image_format, exif=tags, icc_profile=profile)
    assert {"exif", "icc_profile"} <= set(opened(content).info)
    for url in api.uploaded(content, "tagged")["thumbnails"].values():
        thumbnail = opened(fetch(url).content)
        assert not {"exif", "icc_profile"} & set(thumbnail.info)
        assert not thumbnail.getexif()


@pytest.mark.parametrize("size", STANDARD_SIZES)
def test_the_route_leads_to_the_same_object(api: Client, uploaded: dict[str, Any], size: str) -> None:
    image = uploaded["data"]
    response = api.get(f"/api/images/{image['image_id']}/thumbnails/{size}")
    assert response.status_code == 200
    assert f"{image['image_id']}/thumbnails/{size}.png" in response.json()["data"]
    assert fetch(response.json()["data"]).content == fetch(image["thumbnails"][size]).content


@pytest.mark.parametrize("size", ["gigantic", "Small", "SMALL", "128", "small.jpg", "smal", "%20small", "small%20"])
def test_an_invalid_size_is_refused_whether_or_not_the_image_exists(
    api: Client, uploaded: dict[str, Any], size: str
) -> None:
    sizes = any_of(f"'{size}'" for size in api.choices("ThumbnailSize"))
    for image_id in (uploaded["data"]["image_id"], uuid4(), "x"):
        response = api.get(f"/api/images/{image_id}/thumbnails/{size}")
        assert refusal(response) == (400, f"Invalid input size. Please use {sizes}.")


@pytest.mark.parametrize("size", STANDARD_SIZES)
def test_an_unknown_image_has_no_thumbnail(api: Client, size: str) -> None:
    assert refusal(api.get(f"/api/images/{uuid4()}/thumbnails/{size}")) == (404, THUMBNAIL_MISSING["error"])


@pytest.mark.parametrize(("query", "accept"), [("", "image/*,*/*;q=0.8"), ("?redirect=1", "*/*")])
def test_the_thumbnail_route_leads_a_page_to_the_file(api: Client, query: str, accept: str) -> None:
    data = api.uploaded(scene_png(), "scene.png")
    url = f"{api.url}/api/images/{data['image_id']}/thumbnails/small{query}"
    fetched = requests.get(url, headers={"Accept": accept}, timeout=TIMEOUT_SECONDS)
    (redirect,) = fetched.history
    described(redirect, api.url)
    assert redirect.status_code == requests.codes.found
    assert fetched.headers["Content-Type"] == "image/png"
    assert fetched.content == fetch(data["thumbnails"]["small"]).content
