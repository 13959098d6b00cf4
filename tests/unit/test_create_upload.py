import json
import re
import time
import tracemalloc
from base64 import b64decode, b64encode
from datetime import datetime, timedelta
from typing import Any

import pytest

from functions.create_upload import app
from functions.process_upload import app as process_upload
from image_pipeline import settings
from image_pipeline.http.requests import CONTENT_TYPES
from image_pipeline.models import SHARED, any_of
from image_pipeline.storage import clients, keys, records
from tests.events import load_event, send
from tests.pictures import scene_png
from tests.stored import table_items
from tools.docs import openapi
from tools.local.gateway import LocalContext
from tools.local.sample_images import IMAGE_ID

pytestmark = pytest.mark.usefixtures("aws")


def create(body: Any) -> tuple[int, dict[str, Any]]:
    event = load_event("create_upload")
    event["body"] = body if isinstance(body, str | None) else json.dumps(body)
    return send(app, event)


def test_the_response_says_where_to_send_the_file_and_where_to_ask() -> None:
    status, body = create({"filename": "holiday.jpg", "content_type": "image/jpeg"})
    assert (status, body["current_status"]) == (201, "success")
    data = body["data"]
    assert data["status_url"] == f"images/{data['image_id']}"
    assert data["max_bytes"] == 50_000_000
    left = datetime.fromisoformat(data["expires_at"]).timestamp() - time.time()
    assert abs(left - timedelta(minutes=15).total_seconds()) < 5
    assert data["upload"]["url"].startswith("https://")


def test_the_form_is_bound_to_one_key_one_type_and_a_size() -> None:
    _, body = create({"content_type": "image/png"})
    fields = body["data"]["upload"]["fields"]
    key = keys.uploaded_file(body["data"]["image_id"])
    assert (fields["key"], fields["Content-Type"]) == (key, "image/png")
    conditions = json.loads(b64decode(fields["policy"]))["conditions"]
    assert {"Content-Type": "image/png"} in conditions
    assert {"key": key} in conditions
    assert ["content-length-range", 1, 50_000_000] in conditions
    assert fields["x-amz-algorithm"] == "AWS4-HMAC-SHA256"


@pytest.mark.parametrize(
    ("content_type", "form_type"),
    [
        ("image/jpg", "image/jpeg"),
        ("image/pjpeg", "image/jpeg"),
        ("image/x-png", "image/png"),
        ("IMAGE/JPEG", "image/jpeg"),
        (" image/png ; charset=binary", "image/png"),
        ("Image/X-PNG;q=1", "image/png"),
        ("application/octet-stream", "application/octet-stream"),
        ("", "application/octet-stream"),
        ("  ", "application/octet-stream"),
    ],
)
def test_the_type_may_be_spelled_as_systems_do_and_may_be_unknown(content_type: str, form_type: str) -> None:
    status, body = create({"content_type": content_type})
    assert status == 201
    assert body["data"]["upload"]["fields"]["Content-Type"] == form_type
    assert re.search(documented_pattern(), content_type)


def documented_pattern() -> str:
    """Return the regular expression that the OpenAPI document has for the type."""
    document = json.loads(openapi.DOCUMENT.read_text())
    (body,) = document["paths"]["/api/uploads"]["post"]["requestBody"]["content"].values()
    _, described = body["schema"]["properties"]["content_type"]["anyOf"]
    pattern: str = described["pattern"]
    return pattern


@pytest.mark.parametrize("content_type", ["image/gif", "image", "image/jpeg image/png", "x;image/png", "image/jpegx"])
def test_another_type_is_refused(content_type: str) -> None:
    status, body = create({"content_type": content_type})
    assert (status, body["error"]) == (400, f"Invalid content_type. Please use {any_of(CONTENT_TYPES)}.")
    assert not re.search(documented_pattern(), content_type)


def test_the_worker_takes_a_file_of_unknown_type() -> None:
    _, body = create({"content_type": ""})
    fields = body["data"]["upload"]["fields"]
    clients.s3().put_object(
        Bucket=settings.uploads_bucket(), Key=fields["key"], Body=scene_png(), ContentType=fields["Content-Type"]
    )
    image_id, event = body["data"]["image_id"], load_event("process_upload")
    event["Records"][0]["body"] = event["Records"][0]["body"].replace(IMAGE_ID, image_id)
    response = process_upload.lambda_handler(event, LocalContext("ProcessUploadFunction"))
    assert response == {"batchItemFailures": []}
    assert records.get(SHARED, image_id).metadata.format == "PNG"


def test_the_image_item_exists_before_the_file() -> None:
    _, body = create({"filename": "C:\\photos\\a\u202e.jpg", "content_type": "image/jpeg"})
    (item,) = table_items("IMAGE#")
    assert item["pk"] == f"IMAGE#{body['data']['image_id']}"
    assert (item["status"], item["original_name"]) == ("requested", "a.jpg")
    assert 30 * 86400 - 60 < int(item["expires_at"]) - time.time() <= 30 * 86400


def test_the_prompt_is_kept_for_the_worker() -> None:
    create('{"content_type": "image/jpeg", "prompt": "  a photograph\\tof \\ud800"}')
    (item,) = table_items("IMAGE#")
    assert item["caption_prompt"] == "a photograph of"


@pytest.mark.parametrize("prompt", ["x" * 101, 5, None, ["a"]])
def test_an_invalid_prompt_is_refused(prompt: Any) -> None:
    status, body = create({"content_type": "image/jpeg", "prompt": prompt})
    assert (status, body["error"].partition(".")[0]) == (400, "Invalid prompt")
    assert table_items("") == []


def test_the_name_may_be_missing_or_not_valid_in_utf8() -> None:
    create({"content_type": "image/jpeg"})
    create('{"filename": "\\ud800.jpg", "content_type": "image/jpeg"}')
    assert {item["original_name"] for item in table_items("IMAGE#")} == {"unnamed", "\N{REPLACEMENT CHARACTER}.jpg"}


def test_a_body_in_base64_is_read() -> None:
    event = load_event("create_upload")
    event |= {"body": b64encode(event["body"].encode()).decode(), "isBase64Encoded": True}
    assert app.lambda_handler(event, LocalContext("CreateUploadFunction"))["statusCode"] == 201


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "The request body is not JSON."),
        ("{", "The request body is not JSON."),
        ("[" * 20_000, "The request body is not JSON."),
        ("[" * 20_001, "The request body has more than 20,000 bytes."),
        ("é" * 10_001, "The request body has more than 20,000 bytes."),
        ([], "The field 'content_type' is missing."),
        ("null", "The field 'content_type' is missing."),
        ({}, "The field 'content_type' is missing."),
        ({"content_type": None}, f"Invalid content_type. Please use {any_of(CONTENT_TYPES)}."),
        ({"content_type": 1}, f"Invalid content_type. Please use {any_of(CONTENT_TYPES)}."),
        ({"content_type": "application/pdf"}, f"Invalid content_type. Please use {any_of(CONTENT_TYPES)}."),
        ({"content_type": "image/png", "filename": 1}, "Invalid filename. Please use text."),
        ({"content_type": "image/png", "filename": None}, "Invalid filename. Please use text."),
    ],
)
def test_a_malformed_body_is_refused_and_stores_nothing(body: Any, message: str) -> None:
    status, response = create(body)
    assert status == 400
    assert response["error"].startswith(message)
    assert table_items("IMAGE#") == []


def test_a_long_body_costs_nearly_nothing() -> None:
    event = load_event("create_upload") | {"body": "[" + '{"":{}},' * 750_000 + "0]"}
    tracemalloc.start()
    start = time.process_time()
    status, response = send(app, event)
    seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (status, response["error"].partition(".")[0]) == (400, "The request body has more than 20,000 bytes")
    # As JSON, it takes over a second and 200 MB.
    assert seconds < 0.2
    assert peak < 10_000_000


def test_the_longest_name_and_prompt_fit() -> None:
    wanted = {"filename": "\N{GRINNING FACE}" * 255, "content_type": "image/jpeg", "prompt": "\N{GRINNING FACE}" * 100}
    assert create(wanted)[0] == 201  # json.dumps escapes every character
    (item,) = table_items("IMAGE#")
    assert (len(item["original_name"]), len(item["caption_prompt"])) == (255, 100)
