"""The details of one image, invalid ids, and the headers of all responses."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from image_pipeline.models import STANDARD_SIZES
from tests.contract.client import Client, fetch
from tests.contract.examples import IMAGE_MISSING, THUMBNAIL_MISSING
from tests.contract.refusals import refusal
from tests.pictures import opened, scene_png

# Wrong spellings of the id of an existing image. %7B and %7D are braces.
SPELLINGS: dict[str, Callable[[str], str]] = {
    "in braces": "%7B{}%7D".format,
    "without hyphens": lambda image_id: image_id.replace("-", ""),
    "as a URN": "urn:uuid:{}".format,
    "one digit short": lambda image_id: image_id[:-1],
    "one digit more": "{}0".format,
    "with a space": "{}%20".format,
}


def without_urls(image: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in image["data"].items() if name != "thumbnails"}


def test_all_routes_return_the_same_data_about_an_image(api: Client) -> None:
    image = api.upload(scene_png(), "scene.png").json()
    image_id = image["data"]["image_id"]
    details = api.get(f"/api/images/{image_id}").json()["data"]
    api.wait_until_listed(image_id)
    listed = api.get("/api/images?limit=100").json()["content"][image_id]
    for other in (details, listed):
        assert (other["image_status"], other["error"]) == ("success", None)
        assert without_urls(other) == without_urls(image)
        assert list(other["data"]["thumbnails"]) == [*STANDARD_SIZES]


@pytest.mark.parametrize("spelled", [str.upper, str.title, str.swapcase])
def test_the_case_of_an_id_does_not_matter(
    api: Client, uploaded: dict[str, Any], spelled: Callable[[str], str]
) -> None:
    image_id = uploaded["data"]["image_id"]
    response = api.get(f"/api/images/{spelled(image_id)}")
    assert response.status_code == 200
    assert response.json()["data"]["data"]["image_id"] == image_id
    assert api.get(f"/api/images/{spelled(image_id)}/thumbnails/medium").status_code == 200


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_another_spelling_of_an_id_is_not_found(api: Client, uploaded: dict[str, Any], spelling: str) -> None:
    other = SPELLINGS[spelling](uploaded["data"]["image_id"])
    response = api.get(f"/api/images/{other}")
    assert (response.status_code, response.json()) == (404, IMAGE_MISSING)
    assert refusal(api.get(f"/api/images/{other}/thumbnails/small")) == (404, THUMBNAIL_MISSING["error"])


@pytest.mark.parametrize("image_id", ["x", "1", "null", "00000000-0000-0000-0000-000000000000", "%C3%A9"])
def test_an_unknown_or_invalid_id_is_not_found(api: Client, image_id: str) -> None:
    response = api.get(f"/api/images/{image_id}")
    assert (response.status_code, response.json()) == (404, IMAGE_MISSING)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/images", 200),
        ("/api/images?limit=1", 200),
        ("/api/images?limit=0", 400),
        ("/api/images/{image_id}", 200),
        ("/api/images/{image_id}/thumbnails/small", 200),
        ("/api/images/{image_id}/thumbnails/gigantic", 400),
        ("/api/images/{unknown}", 404),
        ("/api/images/{unknown}/thumbnails/small", 404),
        ("/api/stats", 200),
    ],
)
def test_every_response_is_json_that_is_not_cached_and_head_is_get_without_the_body(
    api: Client, uploaded: dict[str, Any], path: str, status: int
) -> None:
    path = path.format(image_id=uploaded["data"]["image_id"], unknown=uuid4())
    head, get = api.head(path), api.get(path)
    assert (get.status_code, head.status_code, head.content) == (status, status, b"")
    for response in (get, head):
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers["Cache-Control"] == "no-store"


def test_the_response_to_an_upload_is_json_that_is_not_cached(api: Client) -> None:
    response = api.upload(scene_png(), "scene.png")
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"


def test_a_download_is_stored_under_the_name_of_the_upload(api: Client) -> None:
    image_id = api.uploaded(scene_png(), "été.jpg")["image_id"]
    download = api.get(f"/api/images/{image_id}?details=download").json()["data"]["data"]["download"]
    fetched = fetch(download["url"])
    assert opened(fetched.content).format == "PNG"
    assert fetched.headers["Content-Disposition"] == (
        "attachment; filename=\"_t_.png\"; filename*=UTF-8''%C3%A9t%C3%A9.png"
    )
