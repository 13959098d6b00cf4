"""Direct uploads: the file goes to S3, and a worker processes it."""

from typing import Any
from urllib.parse import urljoin

import pytest
import requests

from image_pipeline.http.requests import CONTENT_TYPES
from image_pipeline.models import any_of
from tests.contract.client import TIMEOUT_SECONDS, Client
from tests.contract.refusals import refusal
from tests.pictures import scene_png


def test_a_direct_upload_ends_as_an_upload_in_a_form_does(api: Client) -> None:
    content = scene_png()
    direct = api.wait(api.upload_directly(content, "scene.png"))
    form = api.upload(content, "scene.png").json()
    assert direct["image_status"] == "success"
    for name in ("original_name", "caption"):
        assert direct["data"][name] == form["data"][name]
    for name in ("width", "height", "format", "size_bytes"):
        assert direct["data"]["metadata"][name] == form["data"]["metadata"][name]
    api.wait_until_listed(direct["data"]["image_id"])


def test_the_image_can_be_asked_for_before_its_file_is_there(api: Client) -> None:
    requested = api.request_upload(filename="holiday.jpg", content_type="image/jpeg")
    assert requested.status_code == requests.codes.created
    data = requested.json()["data"]
    status_url = urljoin(requested.url, data["status_url"])
    assert status_url == f"{api.url}/api/images/{data['image_id']}"
    assert api.get(f"/api/images/{data['image_id']}").json()["data"] == {
        "image_status": "processing",
        "data": {"image_id": data["image_id"], "original_name": "holiday.jpg"},
        "error": None,
    }
    assert data["image_id"] not in api.get("/api/images?limit=100").json()["content"]
    assert api.delete(data["image_id"]).status_code == requests.codes.ok


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"%PDF-1.7", "Unsupported image file."), (scene_png()[:60], "The image is damaged or incomplete")],
)
def test_a_file_that_is_no_image_makes_the_image_fail(api: Client, content: bytes, message: str) -> None:
    failures = api.statistics()["failure"]
    image = api.wait(api.upload_directly(content, "scene.png"))
    assert image["image_status"] == "failure"
    assert image["error"].startswith(message)
    assert image["data"]["original_name"] == "scene.png"
    assert api.statistics()["failure"] == failures + 1


def test_a_file_larger_than_a_form_takes_is_processed(api: Client, noise: bytes) -> None:
    assert len(noise) > 4_500_000
    image = api.wait(api.upload_directly(noise, "noise.png"))
    assert image["image_status"] == "success"
    assert image["data"]["metadata"]["size_bytes"] == len(noise)


@pytest.mark.parametrize(
    ("changed", "content"),
    [({"key": "uploads/another"}, scene_png()), ({"Content-Type": "text/html"}, scene_png()), ({}, b"")],
    ids=["another key", "another type", "an empty file"],
)
def test_s3_takes_only_the_file_that_the_form_is_for(api: Client, changed: dict[str, str], content: bytes) -> None:
    form = api.request_upload(filename="scene.png", content_type="image/png").json()["data"]["upload"]
    refused = requests.post(
        form["url"], data=form["fields"] | changed, files={"file": content}, timeout=TIMEOUT_SECONDS
    )
    assert refused.status_code in {requests.codes.bad_request, requests.codes.forbidden}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "The field 'content_type' is missing."),
        ({"content_type": "application/pdf"}, f"Invalid content_type. Please use {any_of(CONTENT_TYPES)}."),
        ({"content_type": "image/png", "filename": 7}, "Invalid filename. Please use text."),
    ],
)
def test_a_malformed_request_is_refused(api: Client, body: dict[str, Any], message: str) -> None:
    status, error = refusal(api.request_upload(**body))
    assert status == 400
    assert error.startswith(message)


def test_a_form_is_no_request_for_a_direct_upload(api: Client) -> None:
    response = requests.post(f"{api.url}/api/uploads", files={"file": ("a.png", scene_png())}, timeout=TIMEOUT_SECONDS)
    status, error = refusal(response)
    assert status == 400
    assert error.startswith("The request body is not JSON.")


@pytest.mark.parametrize("seconds", ["x", "-1", "21"])
def test_an_invalid_wait_is_refused(api: Client, uploaded: dict[str, Any], seconds: str) -> None:
    status, error = refusal(api.get(f"/api/images/{uploaded['data']['image_id']}?wait={seconds}"))
    assert status == 400
    assert error.startswith("Invalid wait.")
