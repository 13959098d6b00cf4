"""When the queue delivers the message of a direct upload again after an attempt has failed."""

import json
import time
from io import StringIO
from typing import Any
from unittest.mock import Mock

import pytest

from functions.process_upload import app
from image_pipeline import settings
from image_pipeline.errors import CaptionError, DeadlineError, StorageError
from image_pipeline.models import SHARED, ImageRecord
from image_pipeline.storage import claims, clients, keys, records, uploads_queue
from image_processing.captions import Captioner
from tests.events import load_event
from tests.pictures import scene_png
from tools import template
from tools.local import notifications
from tools.local.gateway import LocalContext
from tools.local.sample_images import IMAGE_ID

pytestmark = pytest.mark.usefixtures("aws")

MESSAGE_ID = load_event("process_upload")["Records"][0]["messageId"]


@pytest.fixture
def waits(aws: None, monkeypatch: pytest.MonkeyPatch) -> list[int]:  # noqa: ARG001 - its queue is needed first
    """The waits that the worker asks of the queue, in seconds."""
    change, asked = clients.sqs().change_message_visibility, list[int]()

    def recorded(**arguments: Any) -> Any:
        change(**arguments)
        asked.append(arguments["VisibilityTimeout"])

    monkeypatch.setattr(clients.sqs(), "change_message_visibility", recorded)
    return asked


@pytest.fixture
def event(aws: None) -> dict[str, Any]:  # noqa: ARG001 - its queue is needed first
    """The first delivery of the message about the file of IMAGE_ID, received from the queue."""
    claims.request(SHARED, IMAGE_ID, "scene.png")
    clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.uploaded_file(IMAGE_ID), Body=scene_png())
    event = load_event("process_upload")
    (record,) = event["Records"]
    send(record["body"])
    (received,) = clients.sqs().receive_message(QueueUrl=settings.uploads_queue_url())["Messages"]
    record["receiptHandle"] = received["ReceiptHandle"]
    return event


def send(body: str) -> None:
    clients.sqs().send_message(QueueUrl=settings.uploads_queue_url(), MessageBody=body)


def process(event: dict[str, Any], number: int = 1) -> list[str]:
    """Return the ids of the messages that failed."""
    event["Records"][0]["attributes"]["ApproximateReceiveCount"] = str(number)
    response = app.lambda_handler(event, LocalContext("ProcessUploadFunction"))
    return [str(failure["itemIdentifier"]) for failure in response["batchItemFailures"]]


def fail(patch: pytest.MonkeyPatch, event: dict[str, Any], number: int = 1) -> None:
    with patch.context() as patched:
        patched.setattr(Captioner, "caption", Mock(side_effect=CaptionError))
        assert process(event, number) == [MESSAGE_ID]


@pytest.mark.parametrize(("number", "expected"), [(1, [30]), (2, [120]), (3, []), (4, []), (5, [0]), (9, [])])
def test_the_first_retries_come_soon(
    monkeypatch: pytest.MonkeyPatch, event: dict[str, Any], waits: list[int], number: int, expected: list[int]
) -> None:
    fail(monkeypatch, event, number)
    assert waits == expected


def test_a_failed_attempt_leaves_no_lease_to_wait_for(
    monkeypatch: pytest.MonkeyPatch, event: dict[str, Any], waits: list[int]
) -> None:
    fail(monkeypatch, event)
    assert process(event, 2) == []
    assert isinstance(records.find(SHARED, IMAGE_ID), ImageRecord)
    assert waits == [30]


def test_a_failed_last_attempt_leaves_no_lease_that_a_redrive_waits_for(
    monkeypatch: pytest.MonkeyPatch, event: dict[str, Any]
) -> None:
    fail(monkeypatch, event, claims.MAX_ATTEMPTS)
    assert process(event) == []
    assert isinstance(records.find(SHARED, IMAGE_ID), ImageRecord)


def test_a_message_does_not_come_back_before_the_lease_of_another_attempt_ends(
    event: dict[str, Any], waits: list[int]
) -> None:
    claims.take(IMAGE_ID)
    assert process(event) == [MESSAGE_ID]
    assert waits == []


@pytest.mark.parametrize("error", [StorageError(), DeadlineError()])
def test_a_lease_that_cannot_be_ended_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, event: dict[str, Any], waits: list[int], logged: StringIO, error: Exception
) -> None:
    monkeypatch.setattr(claims, "release", Mock(side_effect=error))
    fail(monkeypatch, event)
    assert waits == []
    assert "wait not shortened" in logged.getvalue()


def test_an_attempt_that_cannot_begin_is_repeated_soon(
    monkeypatch: pytest.MonkeyPatch, event: dict[str, Any], waits: list[int]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(claims, "take", Mock(side_effect=StorageError))
        assert process(event) == [MESSAGE_ID]
    assert waits == [30]


def test_a_queue_that_refuses_keeps_its_own_wait(
    monkeypatch: pytest.MonkeyPatch, event: dict[str, Any], waits: list[int], logged: StringIO
) -> None:
    event["Records"][0]["receiptHandle"] = "AQEBexample"
    fail(monkeypatch, event)
    assert waits == []
    assert "wait not shortened" in logged.getvalue()
    # The error of the attempt is logged too.
    assert "CaptionError" in logged.getvalue()
    assert process(event, 2) == []


def test_a_crashed_attempt_keeps_lease_and_wait(
    monkeypatch: pytest.MonkeyPatch, event: dict[str, Any], waits: list[int]
) -> None:
    class CrashError(BaseException):
        pass

    monkeypatch.setattr(Captioner, "caption", Mock(side_effect=CrashError))
    with pytest.raises(CrashError):
        process(event)
    assert waits == []
    assert process(event, 2) == [MESSAGE_ID]


@pytest.mark.parametrize("body", [{"caption": IMAGE_ID}, {"unknown": 1}])
def test_other_messages_keep_the_wait_of_the_queue(
    monkeypatch: pytest.MonkeyPatch, event: dict[str, Any], waits: list[int], body: dict[str, Any]
) -> None:
    monkeypatch.setattr(records, "get", Mock(side_effect=StorageError))
    event["Records"][0]["body"] = json.dumps(body)
    assert process(event) == [MESSAGE_ID]
    assert waits == []


def test_the_local_api_delivers_the_message_again_soon(
    monkeypatch: pytest.MonkeyPatch, event: dict[str, Any], waits: list[int]
) -> None:
    described = template.read()
    function = described["Resources"]["ProcessUploadFunction"]
    alone = described | {"Resources": {"ProcessUploadFunction": function}}
    monkeypatch.setattr(uploads_queue, "WAIT_SECONDS", {1: 0, 2: 0})
    caption, numbers = Captioner.caption, list[str]()

    def failing_twice(*arguments: Any) -> Any:
        if len(numbers) < 3:
            raise CaptionError
        return caption(*arguments)

    def call(_: str, sent: dict[str, Any]) -> Any:
        numbers.extend(record["attributes"]["ApproximateReceiveCount"] for record in sent["Records"])
        return app.lambda_handler(sent, LocalContext("ProcessUploadFunction"))

    monkeypatch.setattr(Captioner, "caption", failing_twice)
    send(event["Records"][0]["body"])
    names = {"UploadsQueue": settings.uploads_queue_url()}
    end = time.monotonic() + 20
    with notifications.running(alone, names, lambda _: clients.sqs(), call):
        while not isinstance(records.find(SHARED, IMAGE_ID), ImageRecord) and time.monotonic() < end:
            time.sleep(0.05)
    assert isinstance(records.find(SHARED, IMAGE_ID), ImageRecord)
    assert numbers == ["1", "2", "3"]
    assert waits == [0, 0]
