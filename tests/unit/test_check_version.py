"""The check of a new version: two known pictures must get their captions."""

import json
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.stub import Stubber

from functions.check_version import app
from functions.upload_image import app as upload_image
from image_pipeline.errors import (
    CaptionError,
    RequestRunningError,
    ServiceStartingError,
    StorageError,
    UndecodableImageError,
)
from image_pipeline.http import version_check
from image_pipeline.models import SHARED
from image_pipeline.storage import clients, records
from image_processing import pictures, uploads
from tests.stored import table_items
from tools import template
from tools.local.gateway import LocalContext

pytestmark = pytest.mark.usefixtures("new_clients")

ARN = "arn:aws:lambda:us-east-1:123456789012:function:UploadImageFunction:7"
HOOK = {"DeploymentId": "d-ABCDEF123", "LifecycleEventHookExecutionId": "hook"}
CAPTION = "a small red cross above a large yellow circle on a gray background"
TIMEOUT = {"errorMessage": "2026-11-28T12:00:00Z 5f0c Task timed out after 29.00 seconds"}


class Version:
    """A version of the upload function in this process. The first calls have these `faults`. None means no fault."""

    def __init__(self) -> None:
        self.faults: list[Any] = []
        self.events: list[dict[str, Any]] = []

    def invoke(self, **arguments: Any) -> dict[str, Any]:
        assert arguments["FunctionName"] == ARN
        event = json.loads(arguments["Payload"])
        self.events.append(event)
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, Exception):
            raise fault
        if fault is not None:
            return {"FunctionError": "Unhandled", "Payload": BytesIO(json.dumps(fault).encode())}
        response = upload_image.lambda_handler(event, LocalContext("UploadImageFunction"))
        return {"Payload": BytesIO(json.dumps(response).encode())}


@pytest.fixture
def version(new_clients: None, monkeypatch: pytest.MonkeyPatch) -> Version:  # noqa: ARG001 - it is needed first
    version = Version()
    monkeypatch.setenv("UPLOAD_VERSION_ARN", ARN)
    monkeypatch.setattr(clients.aws_lambda(), "invoke", version.invoke)
    return version


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between two tries, which take no time in these tests."""
    pauses: list[float] = []
    monotonic = time.monotonic
    monkeypatch.setattr(time, "sleep", pauses.append)
    clock = SimpleNamespace(monotonic=lambda: monotonic() + sum(pauses), sleep=pauses.append)
    monkeypatch.setattr(version_check, "time", clock)
    return pauses


@pytest.fixture
def codedeploy(new_clients: None) -> Iterator[Stubber]:  # noqa: ARG001 - it is needed first
    with Stubber(clients.codedeploy()) as stubbed:
        yield stubbed
        stubbed.assert_no_pending_responses()


def check(event: dict[str, Any] | None = None) -> dict[str, Any]:
    return dict(app.lambda_handler(event or {}, LocalContext("CheckVersionFunction", seconds=420)))


def expect(codedeploy: Stubber, status: str) -> None:
    arguments = {
        "deploymentId": HOOK["DeploymentId"],
        "lifecycleEventHookExecutionId": HOOK["LifecycleEventHookExecutionId"],
        "status": status,
    }
    codedeploy.add_response("put_lifecycle_event_hook_execution_status", {}, arguments)


def statuses() -> list[str]:
    return [item["status"] for item in table_items("IMAGE#")]


def test_both_pictures_get_captions_and_their_images_are_deleted(version: Version) -> None:
    report = check()
    assert (report["passed"], report["reason"]) == (True, "")
    assert json.loads(json.dumps(report)) == report
    assert len(version.events) == 2
    assert [(each["name"], each["status"], each["caption"]) for each in report["pictures"]] == [
        ("check.jpg", 200, CAPTION),
        ("check.png", 200, CAPTION),
    ]
    assert all(0 < each["seconds"] < 10 for each in report["pictures"])
    assert statuses() == ["deleted", "deleted"]
    assert records.statistics(SHARED).failure == 0
    for event in version.events:
        assert "requestTimeEpoch" not in event["requestContext"]
        assert event["isBase64Encoded"] is True


@pytest.mark.parametrize(
    "fault",
    [
        TIMEOUT,
        {"errorType": "Sandbox.Timedout", "errorMessage": "RequestId: 5f0c Error: Task timed out after 29.00 seconds"},
        ReadTimeoutError(endpoint_url="test"),
        ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke"),
        ClientError({"Error": {"Code": "SnapStartNotReadyException"}}, "Invoke"),
    ],
    ids=str,
)
def test_a_version_that_is_not_ready_is_tried_again(version: Version, clock: list[float], fault: Any) -> None:
    version.faults = [fault, fault]
    assert check()["passed"]
    assert len(version.events) == 4
    assert len(clock) == 2
    # All tries of a picture are one upload.
    assert len({event["headers"]["Idempotency-Key"] for event in version.events}) == 2


@pytest.mark.parametrize("error", [ServiceStartingError(), StorageError(), RequestRunningError()], ids=repr)
def test_a_response_that_asks_for_another_try_gets_it(
    version: Version, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    process, errors = uploads.process, [error]

    def slow(owner: str, upload: Any) -> Any:
        if errors:
            raise errors.pop()
        return process(owner, upload)

    monkeypatch.setattr(uploads, "process", slow)
    assert check()["passed"]
    assert len(version.events) == 3


def test_a_version_that_never_gets_ready_fails_after_three_minutes(version: Version, clock: list[float]) -> None:
    version.faults = [TIMEOUT] * 1000
    report = check()
    assert not report["passed"]
    assert 180 < sum(clock) <= version_check.TRY_SECONDS
    assert "Task timed out" in report["reason"]
    assert report["pictures"][0]["status"] is None


@pytest.mark.parametrize("error", [CaptionError(), ValueError("unexpected")], ids=repr)
def test_a_version_that_returns_500_fails_at_once(
    version: Version, monkeypatch: pytest.MonkeyPatch, clock: list[float], error: Exception
) -> None:
    monkeypatch.setattr(uploads, "process", Mock(side_effect=error))
    report = check()
    assert not report["passed"]
    assert [each["status"] for each in report["pictures"]] == [500, 500]
    assert report["reason"].startswith("check.jpg: status 500, ")
    assert clock == []
    assert len(version.events) == 2


def test_a_version_whose_decoder_is_broken_fails_and_leaves_nothing(
    version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = pictures.decode

    def broken(content: bytes, *arguments: Any, **options: Any) -> Any:
        if content.startswith(b"\x89PNG"):
            raise UndecodableImageError
        return decode(content, *arguments, **options)

    monkeypatch.setattr(pictures, "decode", broken)
    report = check()
    assert not report["passed"]
    assert [each["status"] for each in report["pictures"]] == [200, 400]
    assert "check.png: status 400, The image is damaged" in report["reason"]
    assert statuses() == ["deleted", "deleted"]
    assert len(version.events) == 2


@pytest.mark.parametrize(
    "fault",
    [
        {"errorType": "Runtime.ExitError", "errorMessage": "Runtime exited with error: signal: killed"},
        {"errorType": "Runtime.ImportModuleError", "errorMessage": "Unable to import module"},
        ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "Invoke"),
    ],
    ids=str,
)
def test_a_version_that_crashes_fails_at_once(version: Version, clock: list[float], fault: Any) -> None:
    version.faults = [fault]
    report = check()
    assert not report["passed"]
    assert [each["status"] for each in report["pictures"]] == [None, 200]
    assert clock == []


@pytest.mark.parametrize("body", ["[]", "{}", '{"data": {"caption": " "}}', '{"data": null}'])
def test_a_response_without_a_caption_fails(version: Version, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    response = {"statusCode": 200, "body": body}
    monkeypatch.setattr(upload_image, "lambda_handler", lambda *_: response)
    assert check()["reason"] == "check.jpg: status 200 without a caption; check.png: status 200 without a caption"
    monkeypatch.setattr(upload_image, "lambda_handler", lambda *_: None)
    assert not check()["passed"]
    assert len(version.events) == 4


def test_an_upload_without_a_response_never_becomes_an_image(version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    # The function is killed after it has stored its image.
    handler = upload_image.lambda_handler

    def killed(*arguments: Any) -> Any:
        handler(*arguments)
        raise ReadTimeoutError(endpoint_url="test")

    monkeypatch.setattr(upload_image, "lambda_handler", killed)
    assert not check()["passed"]
    assert set(statuses()) == {"deleted"}
    assert len(version.events) > 2


def test_a_picture_that_cannot_be_deleted_is_no_fault_of_the_version(
    version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "delete", Mock(side_effect=StorageError))
    assert check()["passed"]
    assert len(version.events) == 2


@pytest.mark.parametrize(("faults", "status"), [([], "Succeeded"), ([{"errorType": "Runtime.ExitError"}], "Failed")])
def test_codedeploy_is_told_the_result(version: Version, codedeploy: Stubber, faults: list[Any], status: str) -> None:
    version.faults = [*faults]
    expect(codedeploy, status)
    assert check(HOOK)["passed"] == (status == "Succeeded")
    assert len(version.events) == 2


@pytest.mark.usefixtures("version")
def test_codedeploy_is_told_about_an_unexpected_error(codedeploy: Stubber, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version_check, "check", Mock(side_effect=ValueError("unexpected")))
    expect(codedeploy, "Failed")
    with pytest.raises(ValueError, match="unexpected"):
        check(HOOK)


def test_a_missing_setting_is_told_too(codedeploy: Stubber, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UPLOAD_VERSION_ARN", raising=False)
    expect(codedeploy, "Failed")
    with pytest.raises(Exception, match="UPLOAD_VERSION_ARN"):
        check(HOOK)


def test_codedeploy_is_told_before_lambda_ends_the_function() -> None:
    timeout = template.functions(template.read())["CheckVersionFunction"]["Timeout"]
    # Three calls find and delete the image of the last try. One call tells CodeDeploy.
    calls = 4 * clients.MAX_CALL_SECONDS
    assert version_check.TRY_SECONDS + clients.MAX_INVOCATION_SECONDS + calls <= timeout


def test_the_pictures_are_small_enough_for_a_quick_check() -> None:
    folder = Path(app.__file__).parent
    assert {path.name for path in folder.glob("check.*")} == {"check.jpg", "check.png"}
    assert all(path.stat().st_size < 10_000 for path in folder.glob("check.*"))
