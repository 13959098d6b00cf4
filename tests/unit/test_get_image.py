import json
import time
from dataclasses import replace
from io import StringIO
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from functions.get_image import app
from image_pipeline.errors import ATTEMPTS_FAILED
from image_pipeline.http import bodies
from image_pipeline.models import SHARED
from image_pipeline.storage import claims, clients, keys, records, table, waits
from image_pipeline.storage.claims import Claim
from tests.events import load_event, send
from tests.permissions import not_recording
from tests.stored import table_items
from tools.local.gateway import LocalContext
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample

pytestmark = pytest.mark.usefixtures("aws")


def get(name: str = "get_image", **query: str) -> tuple[int, dict[str, Any]]:
    return send(app, load_event(name, **query))


def test_a_finished_image_is_shown() -> None:
    store_sample(sample_image(IMAGE_ID))
    status, body = get()
    assert status == 200
    assert body["current_status"] == "success"
    data = body["data"]["data"]
    assert data["image_id"] == IMAGE_ID
    assert data["processed_at"] == "2025-03-16T12:00:00.826114+00:00"
    assert data["time_taken"] == 0.25
    assert data["metadata"] == {
        "width": 261,
        "height": 216,
        "format": "JPEG",
        "size_bytes": 13962,
        "created_at": "2025-03-16 12:00:00",
        "modified_at": "2025-03-16 12:00:00",
    }


def test_the_details_of_the_caption_are_shown_if_they_are_asked_for() -> None:
    store_sample(replace(sample_image(IMAGE_ID), caption_prompt="a cartoon"))
    assert get(details="caption")[1]["data"]["data"]["caption_details"] == {
        "model": "demo",
        "revision": "2",
        "precision": "fp32",
        "prompt": "a cartoon",
        "confidence": 0.9876,
    }
    assert "caption_details" not in get()[1]["data"]["data"]


def test_an_image_of_an_older_version_has_no_prompt_and_no_confidence() -> None:
    store_sample(sample_image(IMAGE_ID))
    item = table.find(keys.image(IMAGE_ID))
    assert item is not None
    table.put({name: value for name, value in item.items() if name not in {"caption_prompt", "caption_confidence"}})
    record = records.get(SHARED, IMAGE_ID)
    assert (record.caption_prompt, record.caption_confidence) == ("", None)
    details = bodies.image(record, ["caption"])["data"]["caption_details"]
    assert (details["prompt"], details["confidence"]) == (None, None)


MISSING = {"current_status": "failure", "data": "Image does not exist. Please view another one.", "error": None}


def test_an_unknown_or_deleted_image_is_not_found() -> None:
    assert get("get_image_not_found") == (404, MISSING)
    store_sample(sample_image(IMAGE_ID))
    records.delete(SHARED, IMAGE_ID)
    assert get() == (404, MISSING)


def test_a_failed_image_says_why() -> None:
    records.fail(Claim(IMAGE_ID, "attempt", None), "failure", "a.jpg", "It failed.")
    data = {"image_id": IMAGE_ID, "original_name": "a.jpg"}
    shown = {"image_status": "failure", "data": data, "error": "It failed."}
    assert get() == (200, {"current_status": "success", "data": shown})


def test_a_failure_of_the_pipeline_is_temporary() -> None:
    claims.request(SHARED, IMAGE_ID, "a.jpg")
    claim, *_ = claims.take(IMAGE_ID)
    records.fail_temporarily(claim)
    data = {"image_id": IMAGE_ID, "original_name": "a.jpg"}
    shown = {"image_status": "failure", "data": data, "error": ATTEMPTS_FAILED, "temporary": True}
    assert get(wait="20") == (200, {"current_status": "success", "data": shown})


def test_an_image_is_processing_from_the_moment_its_upload_is_requested() -> None:
    claims.request(SHARED, IMAGE_ID, "a.jpg")
    data = {"image_id": IMAGE_ID, "original_name": "a.jpg"}
    shown = {"image_status": "processing", "data": data, "error": None}
    assert get() == (200, {"current_status": "success", "data": shown})
    claims.take(IMAGE_ID)
    assert get() == (200, {"current_status": "success", "data": shown})


def test_a_failed_image_of_an_older_version_is_shown() -> None:
    table.put({**keys.image(IMAGE_ID), "status": "failure", "attempt": "x", "expires_at": int(time.time()) + 60})
    status, body = get()
    assert (status, body["data"]["image_status"]) == (200, "failure")
    assert body["data"]["data"]["original_name"] == "unnamed"
    assert body["data"]["error"]


def test_a_client_may_wait_for_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    claims.request(SHARED, IMAGE_ID, "a.jpg")
    claim, *_ = claims.take(IMAGE_ID)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            with not_recording():
                records.save(claim, sample_image(IMAGE_ID))

    monkeypatch.setattr(time, "sleep", pause)
    status, body = get(wait="20")
    assert (status, body["data"]["image_status"]) == (200, "success")
    assert len(pauses) == 3


def test_waiting_ends_in_time_for_a_response(monkeypatch: pytest.MonkeyPatch) -> None:
    claims.request(SHARED, IMAGE_ID, "a.jpg")
    start = now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)

    def pause(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(time, "sleep", pause)
    status, body = get(wait="20")
    assert (status, body["data"]["image_status"]) == (200, "processing")
    # Lambda ends the function after 29 s. A call to AWS takes at most 10 s, and a pause 0.5 s.
    assert now - start == 18.5


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, []), (0.5, [0.5]), (1.75, [1, 0.25, 0.25, 0.25]), (1.35, [1, 0.25, 0.1])]
)
def test_the_first_pause_is_the_longest_and_the_last_read_is_at_the_end(
    monkeypatch: pytest.MonkeyPatch, seconds: float, expected: list[float]
) -> None:
    claims.request(SHARED, IMAGE_ID, "a.jpg")
    pauses: list[float] = []
    monkeypatch.setattr(time, "monotonic", lambda: 1000 + sum(pauses))
    monkeypatch.setattr(time, "sleep", pauses.append)
    records.wait(SHARED, IMAGE_ID, seconds)
    assert pauses == pytest.approx(expected)


class Clock:
    """The time of waiting requests, which passes only while one of them sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000_000.0
        for name in ("time", "monotonic"):
            monkeypatch.setattr(time, name, lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def waited(clock: Clock, seconds: int = 20) -> float:
    """Return how long a request for an image that is being processed waits."""
    start = clock.now
    response = app.lambda_handler(load_event("get_image", wait=str(seconds)), LocalContext("GetImageFunction"))
    assert json.loads(response["body"])["data"]["image_status"] == "processing"
    assert response["headers"]["Retry-After"] == "2"
    return clock.now - start


def test_only_so_many_requests_wait_at_the_same_time(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setenv("MAX_CONCURRENT_WAITS", "3")
    claims.request(SHARED, IMAGE_ID, "a.jpg")
    start = clock.now
    # All of them begin at the same time, in the same window.
    expected = [2, 2, 2, 0, 0]
    for seconds in expected:
        clock.now = start
        assert waited(clock, 2) == seconds
    # The clients that may not wait do not move the end of the others, and the next window has room again.
    clock.now = start + waits.WINDOW_SECONDS
    assert waited(clock, 2) == 2


def test_a_waiting_request_keeps_its_place_in_each_window(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setenv("MAX_CONCURRENT_WAITS", "1")
    claims.request(SHARED, IMAGE_ID, "a.jpg")
    start = clock.now
    assert waited(clock, 12) == 12
    # In the three windows of the first request, no other waits.
    for seconds in (0, 6, 11):
        clock.now = start + seconds
        assert waited(clock) == 0
    # This one waits until the window of an earlier request begins.
    clock.now = start + 15
    assert waited(clock, 2) == 2
    counts = {item["pk"]: (item["waits"], int(item["expires_at"]) - start) for item in table_items("WAITS#")}
    assert [waiting for waiting, _ in counts.values()] == [1] * 4
    assert all(3600 <= lifetime < 3700 for _, lifetime in counts.values())


def test_requests_that_need_not_wait_take_no_place(clock: Clock) -> None:  # noqa: ARG001 - time stands still
    store_sample(sample_image(IMAGE_ID))
    get(wait="20")
    get()
    get("get_image_not_found", wait="20")
    assert table_items("WAITS#") == []


def test_a_request_does_not_wait_if_the_table_cannot_count(monkeypatch: pytest.MonkeyPatch) -> None:
    claims.request(SHARED, IMAGE_ID, "a.jpg")
    refused = ClientError({"Error": {"Code": "InternalServerError"}}, "UpdateItem")
    monkeypatch.setattr(clients.dynamodb(), "update_item", Mock(side_effect=refused))
    start = time.monotonic()
    status, body = get(wait="5")
    assert (status, body["data"]["image_status"]) == (200, "processing")
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("state", ["requested", "taken", "finished", "failed"])
def test_a_response_has_retry_after_only_while_the_image_is_processed(state: str) -> None:
    claims.request(SHARED, IMAGE_ID, "a.jpg")
    if state != "requested":
        claim, *_ = claims.take(IMAGE_ID)
        if state == "finished":
            records.save(claim, sample_image(IMAGE_ID))
        if state == "failed":
            records.fail(claim, "failure", "a.jpg", "It failed.")
    response = app.lambda_handler(load_event("get_image"), LocalContext("GetImageFunction"))
    shown = json.loads(response["body"])["data"]["image_status"]
    assert (shown == "processing") == (state in {"requested", "taken"})
    assert response["headers"].get("Retry-After") == ("2" if shown == "processing" else None)


@pytest.mark.parametrize("seconds", ["", "-1", "21", "1.5", "x", "²", "100"])
def test_an_invalid_wait_is_refused(seconds: str) -> None:
    status, body = get(wait=seconds)
    assert status == 400
    assert body["error"] == "Invalid wait. Please use a whole number of seconds from 0 to 20."


def test_an_invalid_id_is_not_found_without_a_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients.dynamodb(), "get_item", None)
    assert get("get_image_not_an_id") == (404, MISSING)


def test_the_case_of_an_id_does_not_matter_and_another_spelling_is_not_found() -> None:
    store_sample(sample_image(IMAGE_ID))
    event = load_event("get_image")
    for spelling in (IMAGE_ID.upper(), IMAGE_ID.title(), IMAGE_ID[:20] + IMAGE_ID[20:].upper()):
        event["pathParameters"]["image_id"] = spelling
        assert send(app, event)[0] == 200, spelling
    for spelling in (f"{{{IMAGE_ID}}}", IMAGE_ID.replace("-", ""), "", "é"):
        event["pathParameters"]["image_id"] = spelling
        assert send(app, event)[0] == 404, spelling


def test_responses_with_urls_are_not_cached() -> None:
    store_sample(sample_image(IMAGE_ID))
    response = app.lambda_handler(load_event("get_image"), LocalContext("GetImageFunction"))
    assert response["headers"] == {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }


def test_a_table_that_does_not_respond_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLE_NAME", "gone")
    response = app.lambda_handler(load_event("get_image"), LocalContext("GetImageFunction"))
    assert response["statusCode"] == 503
    assert response["headers"]["Retry-After"] == "2"
    assert "gone" not in response["body"]


def test_a_missing_setting_is_logged_and_not_shown(monkeypatch: pytest.MonkeyPatch, logged: StringIO) -> None:
    monkeypatch.delenv("TABLE_NAME")
    status, body = get()
    assert status == 500
    assert body == {"current_status": "failure", "error": "The request could not be processed. Please try again."}
    assert "the environment variable TABLE_NAME is not set" in logged.getvalue()


def test_an_unexpected_error_is_logged_and_not_shown(monkeypatch: pytest.MonkeyPatch, logged: StringIO) -> None:
    monkeypatch.setattr(records, "find", Mock(side_effect=ZeroDivisionError("in the works")))
    status, body = get()
    assert status == 500
    assert "works" not in json.dumps(body)
    assert "in the works" in logged.getvalue()
