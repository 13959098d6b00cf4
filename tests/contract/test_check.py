"""POST /api/images/check: which of many images exist, and how they look now."""

from uuid import uuid4

import pytest
import requests

from tests.contract.client import TIMEOUT_SECONDS, Client
from tests.contract.refusals import refusal
from tests.pictures import scene_png
from tests.presigned import without_signatures


def test_images_in_all_states_are_found_and_the_others_are_missing(api: Client) -> None:
    finished = api.uploaded(scene_png(), "scene.png")["image_id"]
    deleted = api.uploaded(scene_png(), "scene.png")["image_id"]
    assert api.delete(deleted).ok
    processing = api.request_upload(filename="holiday.jpg", content_type="image/jpeg").json()["data"]["image_id"]
    failed = api.upload_directly(scene_png()[:60], "broken.png")
    api.wait(failed)
    unknown = str(uuid4())

    response = api.check(failed, deleted, finished.upper(), unknown, processing, finished, details="caption")
    assert response.status_code == requests.codes.ok
    body = response.json()
    assert list(body) == ["current_status", "content", "missing"]
    assert body["missing"] == [deleted, unknown]
    states = {image_id: image["image_status"] for image_id, image in body["content"].items()}
    assert list(states.items()) == [(failed, "failure"), (finished, "success"), (processing, "processing")]
    for image_id, image in body["content"].items():
        alone = api.get(f"/api/images/{image_id}?details=caption").json()["data"]
        assert without_signatures(image) == without_signatures(alone)
    for url in body["content"][finished]["data"]["thumbnails"].values():
        assert requests.get(url, timeout=TIMEOUT_SECONDS).ok
    assert api.delete(processing).ok


def test_a_hundred_ids_can_be_checked_at_once(api: Client) -> None:
    image_ids = [str(uuid4()) for _ in range(101)]
    assert api.check(*image_ids[:100]).json()["missing"] == image_ids[:100]
    assert refusal(api.check(*image_ids)) == (400, "Invalid image_ids. Please use 1 to 100 ids.")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The request body is not JSON."),
        (b"image_ids=1", "The request body is not JSON."),
        (b"[" * 20_001, "The request body has more than 20,000 bytes."),
        (b"{}", "The field 'image_ids' is missing."),
        (b'{"image_ids": "x"}', "Invalid image_ids."),
        (b'{"image_ids": ["x"]}', "Invalid image_ids."),
    ],
)
def test_a_malformed_body_is_refused(api: Client, body: bytes, message: str) -> None:
    status, error = refusal(api.post_check(body))
    assert status == 400
    assert error.startswith(message)


def test_a_check_is_no_image(api: Client) -> None:
    for response in (api.get("/api/images/check"), api.head("/api/images/check")):
        assert response.status_code == requests.codes.not_found
