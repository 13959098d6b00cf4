"""Responses match the examples of the contract: same keys in the same order, same types, same messages."""

import re
from typing import Any
from uuid import uuid4

from tests.contract import examples
from tests.contract.client import Client
from tests.pictures import scene_png

PROCESSED_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
TO_THE_SECOND = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def test_upload(uploaded: dict[str, Any]) -> None:
    assert examples.shape(uploaded) == examples.shape(examples.IMAGE)
    data = uploaded["data"]
    assert PROCESSED_AT.fullmatch(data["processed_at"])
    assert TO_THE_SECOND.fullmatch(data["metadata"]["created_at"])
    assert TO_THE_SECOND.fullmatch(data["metadata"]["modified_at"])
    assert data["time_taken"] == round(data["time_taken"], 2)


def test_list(api: Client, uploaded: dict[str, Any]) -> None:
    body = api.get("/api/images").json()
    image_id = uploaded["data"]["image_id"]
    assert body["current_status"] == "success"
    assert examples.shape(body["content"][image_id]) == examples.shape(examples.IMAGE)
    assert list(body)[:2] == list(examples.LIST)


def test_details(api: Client, uploaded: dict[str, Any]) -> None:
    body = api.get(f"/api/images/{uploaded['data']['image_id']}").json()
    assert body["current_status"] == "success"
    assert examples.shape(body) == examples.shape(examples.DETAILS)


def test_thumbnail(api: Client, uploaded: dict[str, Any]) -> None:
    body = api.get(f"/api/images/{uploaded['data']['image_id']}/thumbnails/small").json()
    assert body["current_status"] == "success"
    assert examples.shape(body) == examples.shape(examples.THUMBNAIL)
    assert f"{uploaded['data']['image_id']}/thumbnails/small.png" in body["data"]


def test_statistics(api: Client, uploaded: dict[str, Any]) -> None:
    assert uploaded
    body = api.get("/api/stats").json()
    assert body["current_status"] == "success"
    assert examples.shape(body) == examples.shape(examples.STATISTICS)


def test_unsupported_file(api: Client) -> None:
    response = api.upload(b"%PDF-1.7", "picture.jpg")
    assert (response.status_code, response.json()) == (415, examples.UNSUPPORTED)


def test_unknown_image(api: Client) -> None:
    response = api.get(f"/api/images/{uuid4()}")
    assert (response.status_code, response.json()) == (404, examples.IMAGE_MISSING)


def test_invalid_thumbnail_size(api: Client, uploaded: dict[str, Any]) -> None:
    response = api.get(f"/api/images/{uploaded['data']['image_id']}/thumbnails/gigantic")
    assert (response.status_code, response.json()) == (400, examples.INVALID_SIZE)


def test_unknown_thumbnail(api: Client) -> None:
    response = api.get(f"/api/images/{uuid4()}/thumbnails/small")
    assert (response.status_code, response.json()) == (404, examples.THUMBNAIL_MISSING)


def test_any_other_error(api: Client) -> None:
    response = api.upload(scene_png(), "scene.png", field="picture")
    assert response.status_code == 400
    assert examples.shape(response.json()) == examples.shape(examples.FAILURE)
    assert response.json()["current_status"] == "failure"
