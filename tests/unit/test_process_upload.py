import json
import time
from typing import Any
from unittest.mock import Mock

import pytest
from PIL import Image

from functions.process_upload import app
from image_pipeline import observability, settings
from image_pipeline.errors import ATTEMPTS_FAILED, CaptionError, DeadlineError, ImageNotFoundError, StorageError
from image_pipeline.http import bodies
from image_pipeline.models import SHARED, ImageRecord, UnfinishedImage
from image_pipeline.storage import claims, clients, file_store, keys, records, table
from image_processing import captions
from image_processing.captions import Captioner
from tests.events import load_event
from tests.pictures import encode, scene_png
from tests.stored import bucket_keys, table_items
from tools import template
from tools.local.gateway import LocalContext
from tools.local.sample_images import IMAGE_ID

pytestmark = pytest.mark.usefixtures("aws")

MESSAGE_ID = load_event("process_upload")["Records"][0]["messageId"]


def send(content: bytes) -> None:
    """Upload the file of IMAGE_ID, as S3 stores it."""
    clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.uploaded_file(IMAGE_ID), Body=content)


def delivery(number: int) -> dict[str, Any]:
    """Return the event of the `number`-th delivery of the message."""
    event = load_event("process_upload")
    event["Records"][0]["attributes"]["ApproximateReceiveCount"] = str(number)
    return event


def process(event: dict[str, Any] | None = None) -> list[str]:
    """Return the ids of the messages that failed."""
    response = app.lambda_handler(event or load_event("process_upload"), LocalContext("ProcessUploadFunction"))
    return [str(failure["itemIdentifier"]) for failure in response["batchItemFailures"]]


def uploaded() -> list[str]:
    return bucket_keys(settings.uploads_bucket())


def counts() -> tuple[int, int]:
    totals = records.statistics(SHARED)
    return totals.success, totals.failure


def pass_time(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    later = time.time() + seconds
    monkeypatch.setattr(time, "time", lambda: later)


def shown() -> dict[str, Any]:
    """Return what GET /api/images/{image_id} says about the image, without its data."""
    body = bodies.image_details(records.find(SHARED, IMAGE_ID), [])["data"]
    return {name: value for name, value in body.items() if name != "data"}


def fail_at_last(patch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let the last attempt end with this error."""
    with patch.context() as patched:
        patched.setattr(Captioner, "caption", Mock(side_effect=error))
        assert process(delivery(claims.MAX_ATTEMPTS)) == [MESSAGE_ID]


def failed() -> str | None:
    image = records.find(SHARED, IMAGE_ID)
    assert isinstance(image, UnfinishedImage)
    return image.error


@pytest.fixture
def requested(aws: None) -> None:  # noqa: ARG001 - it is needed first
    claims.request(SHARED, IMAGE_ID, "scene.png")


@pytest.mark.usefixtures("requested")
def test_a_file_becomes_a_finished_image() -> None:
    send(scene_png())
    assert process() == []
    image = records.find(SHARED, IMAGE_ID)
    assert isinstance(image, ImageRecord)
    assert image.original_name == "scene.png"
    assert image.caption
    assert set(bucket_keys()) == set(image.thumbnails.values())
    assert uploaded() == []
    assert counts() == (1, 0)


def test_the_caption_begins_with_the_prompt_of_the_request() -> None:
    claims.request(SHARED, IMAGE_ID, "scene.png", "a small blue")
    send(scene_png())
    assert process() == []
    image = records.get(SHARED, IMAGE_ID)
    assert image.caption_prompt == "a small blue"
    assert image.caption.startswith("a small blue ")


@pytest.mark.usefixtures("requested")
def test_a_model_that_loads_slowly_only_delays_the_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    send(scene_png())

    with monkeypatch.context() as patched:
        patched.setattr(captions, "get_captioner", Mock(side_effect=DeadlineError))
        assert process() == [MESSAGE_ID]
    assert counts() == (0, 0)
    assert failed() is None
    assert process() == []
    assert counts() == (1, 0)


@pytest.mark.usefixtures("requested")
def test_a_message_that_comes_twice_is_processed_once() -> None:
    send(scene_png())
    assert process() == []
    first = records.find(SHARED, IMAGE_ID)
    assert process() == []
    assert records.find(SHARED, IMAGE_ID) == first
    assert counts() == (1, 0)


@pytest.mark.usefixtures("requested")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"%PDF-1.7", "Unsupported image file."),
        (scene_png()[:60], "The image is damaged or incomplete"),
        (b"x", "Unsupported image file."),
    ],
)
def test_a_file_that_is_no_image_fails_with_a_message_and_is_done(content: bytes, message: str) -> None:
    send(content)
    assert process() == []
    assert (failed() or "").startswith(message)
    assert uploaded() == []
    assert counts() == (0, 1)
    assert process() == []
    assert counts() == (0, 1)


@pytest.mark.usefixtures("requested")
def test_a_file_that_is_gone_fails() -> None:
    assert process() == []
    assert failed() == "The uploaded file was removed before it was processed. Please upload it again."


@pytest.mark.usefixtures("requested")
@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"MAX_DIRECT_UPLOAD_BYTES": "80"}, "The file is larger than 80 bytes."),
        ({"MAX_IMAGE_PIXELS": "1000", "MAX_DIRECT_IMAGE_PIXELS": "2000"}, "The image has more than 2,000 pixels."),
    ],
)
def test_a_file_has_the_limits_of_direct_uploads(
    monkeypatch: pytest.MonkeyPatch, limits: dict[str, str], message: str
) -> None:
    send(encode(Image.new("RGB", (50, 50))))
    for name, value in limits.items():
        monkeypatch.setenv(name, value)
    assert process() == []
    assert (failed() or "").startswith(message)


def test_a_file_without_an_item_is_deleted() -> None:
    send(scene_png())
    assert process() == []
    assert uploaded() == []
    assert counts() == (0, 0)


@pytest.mark.usefixtures("requested")
def test_a_deleted_image_is_not_processed() -> None:
    send(scene_png())
    records.delete(SHARED, IMAGE_ID)
    assert process() == []
    assert uploaded() == bucket_keys() == []
    assert counts() == (0, 0)


def test_a_test_event_and_a_foreign_key_are_ignored() -> None:
    assert process(load_event("process_upload_test_event")) == []
    event = load_event("process_upload")
    event["Records"][0]["body"] = event["Records"][0]["body"].replace("uploads%2F", "elsewhere%2F+a%2F")
    assert process(event) == []


@pytest.mark.usefixtures("requested")
def test_another_attempt_that_runs_keeps_the_message_in_the_queue_until_its_lease_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send(scene_png())
    claims.take(IMAGE_ID)
    assert process() == [MESSAGE_ID]
    assert uploaded()
    pass_time(monkeypatch, 902)
    assert process() == []
    assert counts() == (1, 0)


@pytest.mark.usefixtures("requested")
@pytest.mark.parametrize("error", [CaptionError(), StorageError(), ZeroDivisionError()])
def test_an_error_that_is_not_the_files_fault_is_tried_again(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    send(scene_png())

    with monkeypatch.context() as patched:
        patched.setattr(Captioner, "caption", Mock(side_effect=error))
        assert process() == [MESSAGE_ID]
    assert failed() is None
    assert uploaded()
    assert counts() == (0, 0)
    pass_time(monkeypatch, 902)
    assert process() == []
    assert counts() == (1, 0)


@pytest.mark.usefixtures("requested")
def test_an_attempt_does_not_change_when_the_upload_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    send(scene_png())
    (before,) = table_items("IMAGE#")
    pass_time(monkeypatch, 86400)
    monkeypatch.setattr(Captioner, "caption", Mock(side_effect=CaptionError))
    assert process() == [MESSAGE_ID]
    (after,) = table_items("IMAGE#")
    assert after["status"] == "processing"
    assert after["expires_at"] == before["expires_at"]


@pytest.mark.usefixtures("requested")
def test_one_bad_message_does_not_stop_the_others() -> None:
    send(scene_png())
    event = load_event("process_upload")
    bad = event["Records"][0] | {"messageId": "bad", "body": "{"}
    event["Records"].insert(0, bad)
    assert process(event) == ["bad"]
    assert counts() == (1, 0)


TEMPORARY = {"image_status": "failure", "error": ATTEMPTS_FAILED, "temporary": True}


def test_the_last_attempt_is_the_last_delivery_of_the_queue() -> None:
    queue = template.read()["Resources"]["UploadsQueue"]["Properties"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == claims.MAX_ATTEMPTS


@pytest.mark.usefixtures("requested")
def test_an_image_whose_attempts_all_fail_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    send(scene_png())
    (before,) = table_items("IMAGE#")
    with monkeypatch.context() as patched:
        patched.setattr(Captioner, "caption", Mock(side_effect=CaptionError))
        for number in range(1, claims.MAX_ATTEMPTS):
            assert process(delivery(number)) == [MESSAGE_ID]
            assert shown()["image_status"] == "processing"
            assert counts() == (0, 0)
            pass_time(monkeypatch, 720)
    recorded = Mock()
    monkeypatch.setattr(observability, "record_failure", recorded)
    fail_at_last(monkeypatch, CaptionError())
    assert shown() == TEMPORARY
    assert counts() == (0, 1)
    recorded.assert_called_once_with("direct")
    assert uploaded()
    (after,) = table_items("IMAGE#")
    # The event was published when the failure was stored.
    assert ("event" in after, after["caption"]) == (False, "")
    assert {name: after[name] for name in ("original_name", "caption_prompt", "expires_at")} == {
        name: before[name] for name in ("original_name", "caption_prompt", "expires_at")
    }


class CrashError(BaseException):
    """Simulates the end of the process. No code of the worker catches it."""


@pytest.mark.usefixtures("requested")
def test_a_success_after_a_crash_of_the_last_attempt_replaces_the_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    send(scene_png())
    with pytest.raises(CrashError):
        fail_at_last(monkeypatch, CrashError())
    assert shown() == TEMPORARY
    assert counts() == (0, 1)
    assert process() == [MESSAGE_ID]  # the crashed attempt still has its lease
    assert shown() == TEMPORARY
    pass_time(monkeypatch, 902)
    assert process() == []
    image = records.get(SHARED, IMAGE_ID)
    assert image.original_name == "scene.png"
    assert counts() == (1, 0)
    assert records.statistics(SHARED).total_processing_time == image.time_taken
    assert uploaded() == []
    (item,) = table_items("IMAGE#")
    assert "lease" not in item
    assert process() == []
    assert counts() == (1, 0)


@pytest.mark.usefixtures("requested")
def test_a_last_attempt_that_succeeds_counts_no_failure() -> None:
    send(scene_png())
    assert process(delivery(claims.MAX_ATTEMPTS)) == []
    assert records.get(SHARED, IMAGE_ID).caption
    assert counts() == (1, 0)


@pytest.mark.usefixtures("requested")
def test_a_redrive_that_fails_again_counts_and_publishes_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    send(scene_png())
    fail_at_last(monkeypatch, CaptionError())
    recorded = Mock()
    monkeypatch.setattr(observability, "record_failure", recorded)
    for _ in range(2):
        pass_time(monkeypatch, 902)
        fail_at_last(monkeypatch, CaptionError())
    recorded.assert_not_called()
    assert shown() == TEMPORARY
    assert counts() == (0, 1)
    assert uploaded()
    (item,) = table_items("IMAGE#")
    assert "event" not in item


@pytest.mark.usefixtures("requested")
@pytest.mark.parametrize("is_redriven", [False, True])
def test_a_file_that_turns_out_to_be_damaged_fails_for_good(
    monkeypatch: pytest.MonkeyPatch, *, is_redriven: bool
) -> None:
    send(scene_png()[:60])
    recorded = Mock()
    monkeypatch.setattr(observability, "record_failure", recorded)
    if is_redriven:
        with monkeypatch.context() as patched:
            patched.setattr(file_store, "get", Mock(side_effect=StorageError))
            fail_at_last(monkeypatch, StorageError())
        pass_time(monkeypatch, 902)
    assert process(delivery(claims.MAX_ATTEMPTS)) == []
    assert shown()["error"].startswith("The image is damaged")
    assert "temporary" not in shown()
    assert counts() == (0, 1)
    recorded.assert_called_once_with("direct")
    assert uploaded() == []
    (item,) = table_items("IMAGE#")
    assert (item["event"], "lease" in item) == ("ImageFailed", False)
    assert int(item["expires_at"]) <= time.time() + records.FAILURE_RETENTION.total_seconds()
    pass_time(monkeypatch, 902)
    assert process() == []
    assert counts() == (0, 1)


@pytest.mark.usefixtures("requested")
def test_a_temporary_failure_can_be_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    send(scene_png())
    fail_at_last(monkeypatch, CaptionError())
    records.delete(SHARED, IMAGE_ID)
    with pytest.raises(ImageNotFoundError):
        records.find(SHARED, IMAGE_ID)
    pass_time(monkeypatch, 902)
    assert process() == []
    assert uploaded() == []
    assert counts() == (0, 1)


@pytest.mark.usefixtures("requested")
def test_a_last_attempt_that_cannot_store_the_failure_does_not_begin(
    monkeypatch: pytest.MonkeyPatch, captioned: Mock
) -> None:
    send(scene_png())
    with monkeypatch.context() as patched:
        patched.setattr(table, "write", Mock(side_effect=StorageError))
        assert process(delivery(claims.MAX_ATTEMPTS)) == [MESSAGE_ID]
    captioned.assert_not_called()
    assert shown()["image_status"] == "processing"
    pass_time(monkeypatch, 902)
    assert process() == []
    assert counts() == (1, 0)


def test_no_personal_data_is_logged(logged: Any) -> None:
    claims.request(SHARED, IMAGE_ID, "my-name.png")
    send(scene_png())
    process()
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    assert lines
    assert "my-name" not in logged.getvalue()
