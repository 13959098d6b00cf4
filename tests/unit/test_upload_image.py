import io
import json
from base64 import b64encode
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from io import StringIO
from threading import Barrier
from time import perf_counter
from typing import Any
from unittest.mock import Mock
from uuid import UUID

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from PIL import Image

from functions.upload_image import app
from image_pipeline import settings
from image_pipeline.errors import CaptionError
from image_pipeline.models import STANDARD_SIZES
from image_pipeline.storage import clients, thumbnail_store
from image_processing import captions
from image_processing.captions import Caption, get_captioner
from tests.contract.examples import UNSUPPORTED
from tests.events import load_event, send, upload_event
from tests.pictures import RED_LEFT_OF_BLUE, encode, scene_png
from tests.stored import bucket_keys, table_items
from tools.local.gateway import LocalContext

pytestmark = pytest.mark.usefixtures("aws")


def post(event: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return send(app, event)


def test_the_details_of_the_caption_are_shown_only_if_they_are_asked_for() -> None:
    event = upload_event(scene_png(), prompt=" a  small blue\n")
    assert "caption_details" not in post(event)[1]["data"]
    event["queryStringParameters"] = {"details": "caption"}
    data = post(event)[1]["data"]
    assert data["caption"].startswith("a small blue ")
    details = data["caption_details"]
    assert 0 < details.pop("confidence") <= 1
    assert details == {"model": "demo", "revision": "2", "precision": "fp32", "prompt": "a small blue"}
    assert {record["caption_prompt"] for record in table_items("IMAGE#")} == {"a small blue"}


def test_other_details_are_refused_before_anything_is_done() -> None:
    event = upload_event(scene_png()) | {"queryStringParameters": {"details": "caption,all"}}
    message = "Invalid details. Please use caption, placeholder, or caption,placeholder."
    assert post(event) == (400, {"current_status": "failure", "error": message})
    assert table_items("") == []


def test_an_empty_caption_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captions.Captioner, "tokens", lambda *_: ([], [0.0]))
    assert post(upload_event(scene_png()))[0] == 500
    assert table_items("STATS")[0]["failure"] == 1


@pytest.mark.parametrize(("image_format", "extension"), [("JPEG", "jpg"), ("PNG", "png")])
def test_an_upload_is_stored_counted_and_gets_a_response(image_format: str, extension: str) -> None:
    status, body = post(load_event(f"upload_image_{image_format.lower()}"))

    assert status == 200
    assert body["image_status"] == "success"
    assert body["error"] is None
    data = body["data"]
    assert str(UUID(data["image_id"], version=4)) == data["image_id"]
    assert data["caption"] == "a large red circle left of a small blue square on a white background"
    assert (data["metadata"]["width"], data["metadata"]["height"]) == (320, 240)
    assert data["metadata"]["format"] == image_format

    (record,) = table_items("IMAGE#")
    assert record["image_id"] == data["image_id"]
    assert record["caption_model"] == {"id": "demo", "revision": "2", "precision": "fp32"}
    assert bucket_keys() == [f"{data['image_id']}/thumbnails/{size}.{extension}" for size in sorted(STANDARD_SIZES)]
    (counted,) = table_items("STATS")
    assert counted["success"] == 1
    assert counted["total_processing_time"] == record["time_taken"]
    assert round(float(record["time_taken"]), 2) == data["time_taken"]


def test_the_record_has_the_name_and_the_digest_of_the_file_and_the_time_of_the_upload() -> None:
    before = datetime.now(UTC)
    start = perf_counter()
    post(upload_event(scene_png(), "scene.png"))
    longest = perf_counter() - start
    (record,) = table_items("IMAGE#")
    assert (record["original_name"], record["sha256"]) == ("scene.png", sha256(scene_png()).hexdigest())
    came, done = (datetime.fromisoformat(text) for text in (record["metadata"]["created_at"], record["processed_at"]))
    assert before <= came < done <= datetime.now(UTC)
    # `time_taken` begins before the first timestamp and ends after the second. The clocks may differ by a millisecond.
    assert (done - came).total_seconds() - 0.001 <= float(record["time_taken"]) <= longest


def test_thumbnails_are_in_the_bucket_with_their_type() -> None:
    post(upload_event(scene_png()))
    sizes = {}
    for key in bucket_keys():
        stored = clients.s3().get_object(Bucket=settings.bucket_name(), Key=key)
        assert stored["ContentType"] == "image/png"
        sizes[key.rpartition("/")[2]] = Image.open(io.BytesIO(stored["Body"].read())).size
    assert sizes == {f"{size}.png": (128, 107) if size == "small" else (240, 200) for size in STANDARD_SIZES}


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("unsupported", 415, UNSUPPORTED["error"]),
        ("missing_field", 400, "The field 'file' is missing."),
        ("two_files", 400, "The field 'file' came 2 times."),
        ("empty_file", 400, "The uploaded file is empty."),
        ("text_field", 415, UNSUPPORTED["error"]),
        ("missing_boundary", 400, "The Content-Type header has no boundary."),
        ("not_multipart", 400, "The request is not multipart/form-data."),
        ("unfinished_form", 400, "The form is malformed"),
        ("bad_base64", 400, "The request body is not valid base64."),
    ],
)
def test_a_refused_upload_says_why_and_leaves_no_trace(name: str, status: int, message: str) -> None:
    actual_status, body = post(load_event(f"upload_image_{name}"))
    assert actual_status == status
    assert set(body) == {"current_status", "error"}
    assert body["current_status"] == "failure"
    assert body["error"].startswith(message)
    assert table_items("") == []
    assert bucket_keys() == []


def test_a_damaged_image_is_a_counted_failure_without_thumbnails() -> None:
    status, body = post(load_event("upload_image_truncated"))
    assert status == 400
    assert body["error"].startswith("The image is damaged or incomplete")
    (failed,) = table_items("IMAGE#")
    assert failed["status"] == "failure"
    assert "listing" not in failed
    assert table_items("STATS")[0]["failure"] == 1
    assert bucket_keys() == []


@pytest.mark.parametrize(
    ("setting", "limit", "message"),
    [("MAX_UPLOAD_BYTES", "100", "larger than 100 bytes"), ("MAX_IMAGE_PIXELS", "1000", "more than 1,000 pixels")],
)
def test_the_response_to_a_file_over_a_limit_names_the_limit(
    setting: str, limit: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting, limit)
    status, body = post(upload_event(scene_png()))
    assert status == 413
    assert message in body["error"]
    assert table_items("") == []


def test_far_too_many_bytes_are_refused_before_the_form_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_UPLOAD_BYTES", "100")
    event = upload_event(scene_png())
    event["body"] = b64encode(bytes(100_000)).decode()  # reading this form would give a 400
    status, body = post(event)
    assert status == 413
    assert "larger than 100 bytes" in body["error"]


def test_a_failing_caption_engine_is_our_fault_and_leaves_no_thumbnail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captions.Captioner, "caption", Mock(side_effect=CaptionError))
    response = app.lambda_handler(upload_event(scene_png()), LocalContext("UploadImageFunction"))
    assert response["statusCode"] == 500
    assert response["headers"]["Retry-After"] == "2"
    assert json.loads(response["body"])["error"] == "The image could not be captioned. Please try again."
    assert table_items("STATS")[0]["failure"] == 1
    assert bucket_keys() == []


@pytest.mark.parametrize(
    "error", [ClientError({"Error": {"Code": "InternalError"}}, "PutObject"), ReadTimeoutError(endpoint_url="test")]
)
def test_an_error_of_the_bucket_is_a_503_and_a_counted_failure(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(clients.s3(), "put_object", Mock(side_effect=error))
    status, body = post(upload_event(scene_png()))
    assert status == 503
    assert body["error"] == "The image store is not available at the moment. Please try again."
    assert table_items("STATS")[0]["failure"] == 1
    assert bucket_keys() == []


@pytest.mark.parametrize("applied", [True, False])
def test_a_lost_reply_to_the_first_write_of_the_item_is_recognised(
    monkeypatch: pytest.MonkeyPatch, *, applied: bool
) -> None:
    put = clients.dynamodb().put_item

    def lose_reply(**arguments: Any) -> None:
        if applied:
            put(**arguments)
        raise ReadTimeoutError(endpoint_url="test")

    monkeypatch.setattr(clients.dynamodb(), "put_item", lose_reply)
    assert post(upload_event(scene_png()))[0] == (200 if applied else 503)
    assert [item["status"] for item in table_items("IMAGE#")] == ["success" if applied else "failure"]
    assert len(bucket_keys()) == (len(STANDARD_SIZES) if applied else 0)


def test_thumbnails_that_cannot_be_deleted_are_logged(monkeypatch: pytest.MonkeyPatch, logged: StringIO) -> None:
    monkeypatch.delenv("MAX_CAPTION_TOKENS")
    monkeypatch.setattr(clients.s3(), "delete_objects", lambda **_: {"Errors": [{"Code": "AccessDenied"}]})
    assert post(upload_event(scene_png()))[0] == 500
    assert "files not deleted" in logged.getvalue()


def test_a_failing_clean_up_does_not_hide_the_first_error(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ClientError({"Error": {"Code": "InternalError"}}, "TransactWriteItems")
    monkeypatch.setattr(clients.dynamodb(), "transact_write_items", Mock(side_effect=error))
    status, _ = post(load_event("upload_image_truncated"))
    assert status == 400


def test_thumbnails_are_kept_if_it_is_unknown_whether_the_record_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    write = clients.dynamodb().transact_write_items

    def lose_reply(**arguments: Any) -> None:
        write(**arguments)
        raise ReadTimeoutError(endpoint_url="test")

    read, failures = clients.dynamodb().get_item, [ReadTimeoutError(endpoint_url="test")]

    def fail_once(**arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return read(**arguments)

    monkeypatch.setattr(clients.dynamodb(), "transact_write_items", lose_reply)
    monkeypatch.setattr(clients.dynamodb(), "get_item", fail_once)
    status, _ = post(upload_event(scene_png()))
    assert status == 503
    assert [item["status"] for item in table_items("IMAGE#")] == ["success"]
    assert len(bucket_keys()) == len(STANDARD_SIZES)


def test_a_broken_deployment_is_counted_and_leaves_no_thumbnail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAX_CAPTION_TOKENS")
    status, body = post(upload_event(scene_png()))
    assert status == 500
    assert "MAX_CAPTION_TOKENS" not in body["error"]
    assert table_items("STATS")[0]["failure"] == 1
    assert bucket_keys() == []


def test_thumbnails_and_caption_are_made_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    # No thumbnail and no caption goes on until all thumbnails and the caption have started.
    together = Barrier(len(STANDARD_SIZES) + 1, timeout=10)
    put, caption = thumbnail_store.put, type(get_captioner()).caption

    def waiting_put(key: str, content: bytes) -> None:
        together.wait()
        put(key, content)

    def waiting_caption(captioner: Any, image: Image.Image, prompt: str) -> Caption:
        together.wait()
        return caption(captioner, image, prompt)

    monkeypatch.setattr(thumbnail_store, "put", waiting_put)
    monkeypatch.setattr(type(get_captioner()), "caption", waiting_caption)
    status, _ = post(upload_event(scene_png()))
    assert status == 200


def test_an_image_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Mock(wraps=Image.open)
    monkeypatch.setattr(Image, "open", opened)
    assert post(upload_event(scene_png()))[1]["data"]["caption"] == RED_LEFT_OF_BLUE.caption
    assert opened.call_count == 1


def test_the_pixels_for_the_caption_are_enough_for_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    captioned = Mock(return_value=Caption("a caption", Decimal(1)))
    monkeypatch.setattr(captions.Captioner, "caption", captioned)
    content = encode(Image.new("L", (3000, 1500)))
    for side in (96, 768):
        monkeypatch.setattr(captions, "input_side", lambda side=side: side)
        assert post(upload_event(content))[0] == 200
    assert [call.args[0].size for call in captioned.call_args_list] == [(1000, 750), (1500, 1500)]


def original() -> bytes | None:
    keys = bucket_keys(settings.uploads_bucket())
    assert len(keys) <= 1
    return clients.s3().get_object(Bucket=settings.uploads_bucket(), Key=keys[0])["Body"].read() if keys else None


@pytest.mark.parametrize("days", ["0", "30"])
def test_the_original_is_kept_if_the_setting_says_so(monkeypatch: pytest.MonkeyPatch, days: str) -> None:
    monkeypatch.setenv("KEEP_ORIGINALS_DAYS", days)
    content = scene_png()
    status, body = post(upload_event(content))
    assert status == 200
    assert original() == (content if days == "30" else None)
    if days == "30":
        head = clients.s3().head_object(Bucket=settings.uploads_bucket(), Key=f"originals/{body['data']['image_id']}")
        assert head["ContentType"] == "image/png"


def test_no_original_is_kept_of_an_upload_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEP_ORIGINALS_DAYS", "30")
    monkeypatch.delenv("MAX_CAPTION_TOKENS")
    assert post(upload_event(scene_png()))[0] == 500
    assert original() is None
