import hashlib
import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ReadTimeoutError
from PIL import Image

from functions.upload_image import app
from image_pipeline import settings
from image_pipeline.errors import (
    CaptionError,
    RequestKeyReusedError,
    RequestRunningError,
    StorageError,
    UndecodableImageError,
)
from image_pipeline.http import requests
from image_pipeline.models import SHARED, STANDARD_SIZES
from image_pipeline.storage import claims, clients, records
from image_processing.captions import Captioner
from tests.events import upload_event
from tests.pictures import encode, scene_png
from tests.stored import bucket_keys, table_items
from tools.local.gateway import LocalContext
from tools.local.sample_images import sample_image

pytestmark = pytest.mark.usefixtures("aws")

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"
OTHER = encode(Image.new("RGB", (4, 4)))


def post(content: bytes, key: str | None = KEY) -> tuple[int, dict[str, Any], dict[str, str]]:
    event = upload_event(content)
    if key is not None:
        event["headers"]["Idempotency-Key"] = key
    response = app.lambda_handler(event, LocalContext("UploadImageFunction"))
    return response["statusCode"], json.loads(response["body"]), response["headers"]


def counts() -> tuple[int, int]:
    totals = records.statistics(SHARED)
    return totals.success, totals.failure


def pass_time(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    later = time.time() + seconds
    monkeypatch.setattr("image_pipeline.storage.claims.time.time", lambda: later)


def test_a_repeated_request_gets_the_first_response(captioned: Mock) -> None:
    (first, body, _), (second, again, _) = post(scene_png()), post(scene_png())
    assert (first, second) == (200, 200)
    for response in (body, again):
        # The URLs contain the time at which they were signed.
        assert set(response["data"].pop("thumbnails")) == set(STANDARD_SIZES)
    assert again == body
    assert captioned.call_count == 1
    assert counts() == (1, 0)
    assert len(bucket_keys()) == len(STANDARD_SIZES)


def test_without_a_key_each_upload_is_new() -> None:
    assert len({post(scene_png(), None)[1]["data"]["image_id"] for _ in range(2)}) == 2
    assert counts() == (2, 0)


def test_quotes_around_a_key_are_not_part_of_it() -> None:
    assert post(scene_png())[1]["data"]["image_id"] == post(scene_png(), f'"{KEY}"')[1]["data"]["image_id"]


def test_the_keys_under_which_items_are_stored_stay_the_same() -> None:
    image_id = post(scene_png())[1]["data"]["image_id"]
    keys = sorted((item["pk"], item["sk"]) for item in table_items(""))
    assert keys[:2] == [(f"IMAGE#{image_id}", "IMAGE"), (f"REQUEST#{KEY}", "REQUEST")]
    assert keys[2] in {(f"STATS#{number}", "STATS") for number in range(8)}


def test_without_headers_there_is_no_key() -> None:
    assert requests.idempotency_key({"headers": None}) is None


@pytest.mark.parametrize("key", ["", '""', "a b", 'a"b', "k" * 256, "schlüssel", "\0"])
def test_an_invalid_key_is_refused(key: str) -> None:
    status, body, _ = post(scene_png(), key)
    assert status == 400
    message = "Invalid Idempotency-Key. Please use 1 to 255 visible ASCII characters other than quotes, such as a UUID."
    assert body["error"] == message
    assert table_items("") == []


def test_a_request_that_is_still_running_is_not_started_again(captioned: Mock) -> None:
    claims.claim(SHARED, KEY, digest(scene_png()))
    status, body, headers = post(scene_png())
    message = "A request with this Idempotency-Key is still being processed. Please try again in a moment."
    assert (status, body) == (409, {"current_status": "failure", "error": message})
    assert headers["Retry-After"] == "2"
    assert post(OTHER)[0] == 422
    assert captioned.call_count == 0
    assert counts() == (0, 0)


@pytest.mark.parametrize(("timeout", "running", "over"), [("29", 29, 31), ("120", 119, 122)])
def test_a_crashed_attempt_is_taken_over_after_its_lease_which_depends_on_the_timeout_of_the_gateway(
    monkeypatch: pytest.MonkeyPatch, timeout: str, running: float, over: float
) -> None:
    monkeypatch.setenv("GATEWAY_TIMEOUT_SECONDS", timeout)
    claims.claim(SHARED, KEY, digest(scene_png()))
    pass_time(monkeypatch, running)
    assert post(scene_png())[0] == 409
    pass_time(monkeypatch, over)
    assert post(scene_png())[0] == 200
    assert counts() == (1, 0)


def test_a_lease_is_half_a_minute_to_the_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = 1_742_126_400.25
    monkeypatch.setattr("image_pipeline.storage.claims.time.time", lambda: begun)
    first = claims.claim(SHARED, KEY, digest(scene_png()))
    monkeypatch.setattr("image_pipeline.storage.claims.time.time", lambda: begun + 29.999)
    with pytest.raises(RequestRunningError):
        claims.claim(SHARED, KEY, digest(scene_png()))
    monkeypatch.setattr("image_pipeline.storage.claims.time.time", lambda: begun + 30)
    second = claims.claim(SHARED, KEY, digest(scene_png()))
    assert first.image_id != second.image_id


def test_an_attempt_that_lost_its_claim_stores_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = claims.claim(SHARED, KEY, digest(scene_png()))
    claims.reserve(slow, "a.jpg")
    pass_time(monkeypatch, 31)
    _, body, _ = post(scene_png())
    with pytest.raises(StorageError):
        records.save(slow, sample_image(slow.image_id))
    with pytest.raises(StorageError):
        records.fail(slow, "failure", "a.jpg", "It failed.")
    listed = [item["image_id"] for item in table_items("IMAGE#") if item["status"] == "success"]
    assert listed == [body["data"]["image_id"]]
    assert counts() == (1, 0)


def test_a_key_is_forgotten_after_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    post(scene_png())
    pass_time(monkeypatch, 24 * 3600 + 1)
    assert post(OTHER)[0] == 200


def test_a_damaged_image_is_counted_once() -> None:
    responses = [post(scene_png()[:200]) for _ in range(3)]
    assert [status for status, _, _ in responses] == [400, 400, 400]
    assert counts() == (0, 1)
    assert post(scene_png())[0] == 422


def test_a_claim_for_a_damaged_file_raises_the_same_error_again() -> None:
    damaged = scene_png()[:200]
    post(damaged)
    with pytest.raises(UndecodableImageError):
        claims.claim(SHARED, KEY, digest(damaged))


def test_a_key_is_for_one_prompt(captioned: Mock) -> None:
    def with_prompt(prompt: str) -> int:
        event = upload_event(scene_png(), prompt=prompt)
        event["headers"]["Idempotency-Key"] = KEY
        return int(app.lambda_handler(event, LocalContext("UploadImageFunction"))["statusCode"])

    assert [with_prompt(prompt) for prompt in ("a red", "a red", "a blue", "")] == [200, 200, 422, 422]
    assert post(scene_png())[0] == 422
    assert captioned.call_count == 1
    assert counts() == (1, 0)


def test_a_refused_file_does_not_use_up_the_key() -> None:
    assert post(b"text")[0] == 415
    assert table_items("") == []
    assert post(scene_png())[0] == 200


def test_after_our_own_fault_the_client_may_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Captioner, "caption", Mock(side_effect=CaptionError))
        assert post(scene_png())[0] == 500
    assert bucket_keys() == []
    assert post(scene_png())[0] == 200
    assert counts() == (1, 1)


@pytest.mark.parametrize("applied", [True, False])
def test_a_claim_whose_reply_is_lost_is_recognised(monkeypatch: pytest.MonkeyPatch, *, applied: bool) -> None:
    put, lost = clients.dynamodb().put_item, [KEY]

    def lose_reply(**arguments: Any) -> Any:
        if not lost:
            return put(**arguments)
        lost.pop()
        if applied:
            put(**arguments)
        raise ReadTimeoutError(endpoint_url="test")

    monkeypatch.setattr(clients.dynamodb(), "put_item", lose_reply)
    assert post(scene_png())[0] == (200 if applied else 503)
    assert post(scene_png())[0] == 200
    assert counts() == (1, 0)


def test_a_claim_whose_first_reply_is_lost_inside_botocore_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    put = clients.dynamodb().put_item

    def put_twice(**arguments: Any) -> Any:
        put(**arguments)
        return put(**arguments)

    monkeypatch.setattr(clients.dynamodb(), "put_item", put_twice)
    assert post(scene_png())[0] == 200
    assert counts() == (1, 0)


def test_a_refused_claim_needs_no_second_read(monkeypatch: pytest.MonkeyPatch) -> None:
    claims.claim(SHARED, KEY, digest(scene_png()))
    monkeypatch.setattr(clients.dynamodb(), "get_item", None)
    with pytest.raises(RequestRunningError):
        claims.claim(SHARED, KEY, digest(scene_png()))
    with pytest.raises(RequestKeyReusedError):
        claims.claim(SHARED, KEY, digest(OTHER))


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_documentation_says_how_long_a_key_and_a_claim_last() -> None:
    text = Path("docs/api.md").read_text()
    assert f"For {claims.KEY_RETENTION // timedelta(hours=1)} hours, the same key" in text
    assert f"takes over after {settings.gateway_timeout_seconds() + 1} seconds" in text
