"""Each example of the contract: same keys in the same order, same types, same messages."""

import re
from typing import Any
from uuid import uuid4

import pytest
import requests

from tests.contract import seed
from tests.contract.client import TIMEOUT_SECONDS, Client
from tests.pictures import scene_png

PROCESSED_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
TO_THE_SECOND = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def test_upload(uploaded: dict[str, Any]) -> None:
    assert seed.shape(uploaded) == seed.shape(seed.IMAGE)
    data = uploaded["data"]
    assert PROCESSED_AT.fullmatch(data["processed_at"])
    assert TO_THE_SECOND.fullmatch(data["metadata"]["created_at"])
    assert TO_THE_SECOND.fullmatch(data["metadata"]["modified_at"])
    assert data["time_taken"] == round(data["time_taken"], 2)


def test_list(api: Client, uploaded: dict[str, Any]) -> None:
    body = api.get("/api/images").json()
    image_id = uploaded["data"]["image_id"]
    listed = {"current_status": body["current_status"], "content": {image_id: body["content"][image_id]}}
    assert body["current_status"] == "success"
    assert seed.shape(listed["content"][image_id]) == seed.shape(seed.IMAGE)
    assert list(listed) == list(seed.LIST)


def test_details(api: Client, uploaded: dict[str, Any]) -> None:
    body = api.get(f"/api/images/{uploaded['data']['image_id']}").json()
    assert body["current_status"] == "success"
    assert seed.shape(body) == seed.shape(seed.DETAILS)


def test_thumbnail(api: Client, uploaded: dict[str, Any]) -> None:
    body = api.get(f"/api/images/{uploaded['data']['image_id']}/thumbnails/small").json()
    assert body["current_status"] == "success"
    assert seed.shape(body) == seed.shape(seed.THUMBNAIL)
    assert f"{uploaded['data']['image_id']}/thumbnails/small.png" in body["data"]


def test_statistics(api: Client, uploaded: dict[str, Any]) -> None:
    assert uploaded
    body = api.get("/api/stats").json()
    assert body["current_status"] == "success"
    assert seed.shape(body) == seed.shape(seed.STATISTICS)


def test_unsupported_file(api: Client) -> None:
    response = api.upload(b"GIF89a", "picture.jpg")
    assert (response.status_code, response.json()) == (415, seed.UNSUPPORTED)


def test_unknown_image(api: Client) -> None:
    response = api.get(f"/api/images/{uuid4()}")
    assert (response.status_code, response.json()) == (404, seed.IMAGE_MISSING)


def test_invalid_thumbnail_size(api: Client, uploaded: dict[str, Any]) -> None:
    response = api.get(f"/api/images/{uploaded['data']['image_id']}/thumbnails/large")
    assert (response.status_code, response.json()) == (400, seed.INVALID_SIZE)


def test_unknown_thumbnail(api: Client) -> None:
    response = api.get(f"/api/images/{uuid4()}/thumbnails/small")
    assert (response.status_code, response.json()) == (404, seed.THUMBNAIL_MISSING)


def test_any_other_error(api: Client) -> None:
    response = api.upload(scene_png(), "scene.png", field="picture")
    assert response.status_code == 400
    assert seed.shape(response.json()) == seed.shape(seed.FAILURE)
    assert response.json()["current_status"] == "failure"


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/nothing"), ("DELETE", "/api/images"), ("GET", "/")])
def test_an_unknown_route(api: Client, method: str, path: str) -> None:
    response = requests.request(method, f"{api.url}{path}", timeout=TIMEOUT_SECONDS)
    assert response.status_code == 404
    assert response.json() == {"current_status": "failure", "error": "This route does not exist."}


@pytest.mark.parametrize("media_type", ["image/jpeg", "application/x-www-form-urlencoded", ""])
def test_an_image_outside_a_form(api: Client, media_type: str) -> None:
    response = requests.post(
        f"{api.url}/api/images", data=scene_png(), headers={"Content-Type": media_type}, timeout=TIMEOUT_SECONDS
    )
    assert response.status_code == 400
    assert response.json()["error"].startswith("The request is not multipart/form-data.")


def test_head_is_no_route(api: Client) -> None:
    assert requests.head(f"{api.url}/api/images", timeout=TIMEOUT_SECONDS).status_code == 404
