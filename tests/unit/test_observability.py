"""The metrics that the code emits, and those that template.yaml watches."""

import json
import re
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from uuid import uuid4

import pytest

from functions.process_upload import app as process_upload
from functions.upload_image import app as upload_image
from image_pipeline import observability, settings
from image_pipeline.errors import (
    CaptionError,
    DeadlineError,
    RequestKeyReusedError,
    RequestRunningError,
    ServiceStartingError,
    StorageError,
)
from image_pipeline.models import SHARED
from image_pipeline.storage import claims, clients, keys
from image_processing import captions, cold_start, uploads
from image_processing.captions import Captioner
from tests.events import load_event, upload_event
from tests.pictures import encode, opened, scene_png
from tools import template
from tools.local.gateway import LocalContext
from tools.local.sample_images import IMAGE_ID

Metric = tuple[str, frozenset[tuple[str, str]]]

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = template.functions(template.read())["UploadImageFunction"]["Environment"]["Variables"]
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", variables["POWERTOOLS_SERVICE_NAME"])
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", variables["POWERTOOLS_METRICS_NAMESPACE"])


def form(event: str) -> None:
    upload_image.lambda_handler(load_event(event), LocalContext("UploadImageFunction"))


def direct_upload(content: bytes) -> None:
    image_id = str(uuid4())
    claims.request(SHARED, image_id, "scene.png")
    clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.uploaded_file(image_id), Body=content)
    event = load_event("process_upload")
    event["Records"][0]["body"] = event["Records"][0]["body"].replace(IMAGE_ID, image_id)
    process_upload.lambda_handler(event, LocalContext("ProcessUploadFunction"))


def fault() -> None:
    """Upload an image to version 7 of a function whose captions fail."""
    with pytest.MonkeyPatch.context() as patch:
        as_version_7(patch)
        patch.setattr(Captioner, "caption", Mock(side_effect=CaptionError))
        form("upload_image_png")


def as_version_7(patch: pytest.MonkeyPatch) -> None:
    patch.setenv("AWS_LAMBDA_FUNCTION_NAME", "UploadImageFunction")
    patch.setenv("AWS_LAMBDA_FUNCTION_VERSION", "7")


def start_cold() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        patch.setenv("AWS_LAMBDA_FUNCTION_NAME", "UploadImageFunction")
        cold_start.prepare()


SCENARIOS: dict[str, Callable[[], None]] = {
    "a form": lambda: form("upload_image_png"),
    "a damaged file": lambda: form("upload_image_truncated"),
    "a file of another kind": lambda: form("upload_image_unsupported"),
    "a direct upload": lambda: direct_upload(scene_png()),
    "a direct upload of another kind": lambda: direct_upload(b"text"),
    "a cold start": start_cold,
    "a fault of ours": fault,
}
FORM = {"service": "image-pipeline", "way": "form"}
DIRECT = {"service": "image-pipeline", "way": "direct"}
CAPTION = {"service": "image-pipeline", "model": "demo", "precision": "fp32"}
VERSION = {"service": "image-pipeline", "function": "UploadImageFunction", "version": "7"}
PROCESSED = ("ImagesProcessed", "ProcessingTime", "DecodingTime", "UploadedBytes")


def emitted(output: str) -> Iterator[tuple[Metric, str, float]]:
    """Yield each metric in the output, with its unit and its value."""
    for line in output.splitlines():
        if "CloudWatchMetrics" not in line:
            continue
        document: dict[str, Any] = json.loads(line)
        (described,) = document["_aws"]["CloudWatchMetrics"]
        assert described["Namespace"] == "ImagePipeline"
        (names,) = described["Dimensions"]
        dimensions = frozenset((name, document[name]) for name in names)
        for metric in described["Metrics"]:
            (value,) = document[metric["Name"]]
            yield (metric["Name"], dimensions), metric["Unit"], value


def of(dimensions: dict[str, str], *names: str) -> set[Metric]:
    return {(name, frozenset(dimensions.items())) for name in names}


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        ("a form", of(FORM, *PROCESSED) | of(CAPTION, "CaptionTime")),
        ("a damaged file", of(FORM, "ImagesFailed")),
        ("a file of another kind", of(FORM, "ImagesRefused")),
        ("a direct upload", of(DIRECT, *PROCESSED) | of(CAPTION, "CaptionTime")),
        ("a direct upload of another kind", of(DIRECT, "ImagesFailed")),
        ("a cold start", of({"service": "image-pipeline", "function": "UploadImageFunction"}, "ColdStarts")),
        ("a fault of ours", of(FORM, "ImagesFailed") | of(VERSION, "VersionFaults")),
    ],
)
def test_each_outcome_has_its_metrics(scenario: str, expected: set[Metric], capsys: pytest.CaptureFixture[str]) -> None:
    SCENARIOS[scenario]()
    found = {metric: (unit, value) for metric, unit, value in emitted(capsys.readouterr().out)}
    assert set(found) == expected
    for (name, _), (unit, value) in found.items():
        if name in {"ProcessingTime", "DecodingTime", "CaptionTime"}:
            assert unit == "Seconds"
            assert 0 < value < 10
        elif name == "UploadedBytes":
            assert unit == "Bytes"
            assert value > 100
        else:
            assert (unit, value) == ("Count", 1)


def faults(output: str) -> int:
    return sum(name == "VersionFaults" for (name, _), _, _ in emitted(output))


@pytest.mark.parametrize("event", ["upload_image_truncated", "upload_image_unsupported", "upload_image_missing_field"])
def test_clients_cannot_roll_back_a_version(
    event: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    as_version_7(monkeypatch)
    for _ in range(15):
        form(event)
    assert faults(capsys.readouterr().out) == 0


def test_cut_photographs_cannot_roll_back_a_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    as_version_7(monkeypatch)
    content = encode(opened(scene_png()).convert("RGB"), "JPEG")
    for kept in range(15):
        event = upload_event(content[: len(content) // 2 + kept], "cut.jpg")
        response = upload_image.lambda_handler(event, LocalContext("UploadImageFunction"))
        assert response["statusCode"] == 400
    output = capsys.readouterr().out
    assert faults(output) == 0
    assert sum(name == "ImagesFailed" for (name, _), _, _ in emitted(output)) == 15


@pytest.mark.parametrize("error", [CaptionError(), StorageError(), DeadlineError(), ValueError("unexpected")], ids=repr)
def test_every_other_failure_is_a_fault_of_the_version(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    as_version_7(monkeypatch)
    captions.get_captioner()

    monkeypatch.setattr(Captioner, "caption", Mock(side_effect=error))
    form("upload_image_png")
    assert faults(capsys.readouterr().out) == 1


def test_a_failure_before_the_upload_is_claimed_is_a_fault_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    as_version_7(monkeypatch)
    monkeypatch.delenv("MAX_UPLOAD_BYTES")
    form("upload_image_png")
    assert faults(capsys.readouterr().out) == 1


@pytest.mark.parametrize("error", [ServiceStartingError(), RequestRunningError(), RequestKeyReusedError()], ids=repr)
def test_a_start_and_a_running_request_are_no_faults(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    as_version_7(monkeypatch)

    monkeypatch.setattr(uploads, "process", Mock(side_effect=error))
    form("upload_image_png")
    assert list(emitted(capsys.readouterr().out)) == []


def test_outside_lambda_a_fault_has_no_version_and_no_metric(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Captioner, "caption", Mock(side_effect=CaptionError))
    form("upload_image_png")
    assert faults(capsys.readouterr().out) == 0


def test_the_alarm_of_a_version_names_the_metric_of_faults() -> None:
    alarm = template.read({"UseCanary": "true"})["Resources"]["VersionFaultsAlarm"]["Properties"]
    assert (alarm["MetricName"], {each["Name"] for each in alarm["Dimensions"]}) == ("VersionFaults", set(VERSION))


def test_the_code_emits_every_metric_of_ours_that_an_alarm_names(capsys: pytest.CaptureFixture[str]) -> None:
    for run in SCENARIOS.values():
        run()
    known = {metric for metric, _, _ in emitted(capsys.readouterr().out)}
    declared = re.findall(r"(\w+)=\(MetricUnit", Path(str(observability.__file__)).read_text())
    assert {name for name, _ in known} == set(declared), "each metric needs a scenario of this file"
    topic = {"AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:alarms"}
    alarms = [
        resource["Properties"]
        for option in ("monitoring", "events")
        for resource in template.read_option(option, topic)["Resources"].values()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    ]
    ours = {
        (alarm["MetricName"], frozenset((dimension["Name"], dimension["Value"]) for dimension in alarm["Dimensions"]))
        for alarm in alarms
        if alarm["Namespace"] == "ImagePipeline"
    }
    assert ours
    assert ours <= known
    # Widgets refer to functions by Ref.
    functions = {("function", "${UploadImageFunction}"), ("function", "${ProcessUploadFunction}")}
    shown = {
        (name, frozenset(("function", "UploadImageFunction") if pair in functions else pair for pair in dimensions))
        for name, dimensions in shown_metrics("ImagePipeline")
    }
    assert shown
    assert shown <= known


def shown_metrics(namespace: str) -> set[Metric]:
    described = template.read_option("monitoring", {"CreateDashboard": "true"})["Resources"]["Dashboard"]
    body = described["Properties"]["DashboardBody"]["Fn::Sub"]
    metrics = [metric for widget in json.loads(body)["widgets"] for metric in widget["properties"]["metrics"]]
    return {
        (name, frozenset(zip(dimensions[:-1:2], dimensions[1:-1:2], strict=True)))
        for space, name, *dimensions in metrics
        if space == namespace
    }


def test_a_line_of_the_log_names_the_request_of_api_gateway(logged: StringIO) -> None:
    form("upload_image_png")
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    assert [line["correlation_id"] for line in lines] == [load_event("upload_image_png")["requestContext"]["requestId"]]
