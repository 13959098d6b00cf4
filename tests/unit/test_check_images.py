import json
import time
from base64 import b64encode
from typing import Any
from unittest.mock import Mock
from uuid import uuid4

import pytest

from functions.check_images import app
from functions.get_image import app as get_image
from image_pipeline.models import SHARED
from image_pipeline.storage import claims, clients, keys, records, table
from tests.events import load_event, send
from tests.presigned import without_signatures
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample

pytestmark = pytest.mark.usefixtures("aws")

UNKNOWN_ID = "f0b6a9e0-6f0c-4e39-a0a4-2d5a5e0a1f11"
Response = tuple[int, dict[str, Any]]


def check(body: Any, **query: str) -> Response:
    event = load_event("check_images", **query)
    event["body"] = body if isinstance(body, str | None) else json.dumps(body)
    return send(app, event)


def check_ids(*image_ids: str, **query: str) -> Response:
    return check({"image_ids": image_ids}, **query)


def get(image_id: str, **query: str) -> Any:
    """Return what GET /api/images/{image_id} has in `data`."""
    event = load_event("get_image", **query)
    event["pathParameters"]["image_id"] = image_id
    status, body = send(get_image, event)
    assert status == 200
    return body["data"]


def test_the_events_are_checked() -> None:
    store_sample(sample_image(IMAGE_ID))
    status, body = send(app, load_event("check_images"))
    assert (status, body["current_status"]) == (200, "success")
    assert (list(body["content"]), body["missing"]) == ([IMAGE_ID], [UNKNOWN_ID])
    _, body = send(app, load_event("check_images_details"))
    assert {"caption_details", "placeholder"} <= set(body["content"][IMAGE_ID]["data"])
    assert body["missing"] == []
    for name in ("check_images_not_an_id", "check_images_no_id"):
        status, body = send(app, load_event(name))
        assert (status, body["error"].partition(".")[0]) == (400, "Invalid image_ids")


def test_without_any_image_the_response_has_both_keys() -> None:
    assert check_ids(UNKNOWN_ID) == (200, {"current_status": "success", "content": {}, "missing": [UNKNOWN_ID]})


@pytest.mark.parametrize("details", ["caption", "placeholder", "caption,placeholder"])
def test_an_image_in_any_state_looks_as_it_does_alone(details: str) -> None:
    finished, requested, taken, failed = (str(uuid4()) for _ in range(4))
    store_sample(sample_image(finished))
    for image_id in (requested, taken, failed):
        claims.request(SHARED, image_id, "a.jpg")
    claims.take(taken)
    claim, *_ = claims.take(failed)
    records.fail(claim, "failure", "a.jpg", "It failed.")
    image_ids = [failed, finished, requested, taken]
    for query in ({}, {"details": details}):
        status, body = check_ids(*image_ids, **query)
        assert (status, body["missing"]) == (200, [])
        assert [image["image_status"] for image in body["content"].values()] == [
            "failure",
            "success",
            "processing",
            "processing",
        ]
        for image_id in image_ids:
            assert without_signatures(body["content"][image_id]) == without_signatures(get(image_id, **query))


def test_deleted_and_expired_images_are_missing() -> None:
    deleted, expired = str(uuid4()), str(uuid4())
    for image_id in (IMAGE_ID, deleted, expired):
        store_sample(sample_image(image_id))
    records.delete(SHARED, deleted)
    item = table.find(keys.image(expired))
    assert item is not None
    table.put({**item, "expires_at": int(time.time()) - 1, "attempt": "x"})
    _, body = check_ids(deleted, IMAGE_ID, UNKNOWN_ID, expired)
    assert (list(body["content"]), body["missing"]) == ([IMAGE_ID], [deleted, UNKNOWN_ID, expired])


def test_a_failed_image_of_an_older_version_is_shown() -> None:
    table.put({**keys.image(IMAGE_ID), "status": "failure", "attempt": "x", "expires_at": int(time.time()) + 60})
    _, body = check_ids(IMAGE_ID)
    image = body["content"][IMAGE_ID]
    assert image["data"] == {"image_id": IMAGE_ID, "original_name": "unnamed"}
    assert image["error"]


def test_ids_have_any_case_count_once_and_keep_their_order() -> None:
    image_ids = [str(uuid4()) for _ in range(6)]
    for image_id in image_ids[::2]:
        store_sample(sample_image(image_id))
    _, body = check_ids(*map(str.upper, image_ids), *image_ids, *map(str.title, reversed(image_ids)))
    assert (list(body["content"]), body["missing"]) == (image_ids[::2], image_ids[1::2])


def test_a_hundred_ids_are_one_consistent_read(monkeypatch: pytest.MonkeyPatch) -> None:
    image_ids = [str(uuid4()) for _ in range(100)]
    for image_id in image_ids[:3]:
        store_sample(sample_image(image_id))
    read = Mock(side_effect=clients.dynamodb().batch_get_item)
    monkeypatch.setattr(clients.dynamodb(), "batch_get_item", read)
    # Ids that come twice do not count.
    status, body = check(json.dumps({"image_ids": [*image_ids, *image_ids]}, indent=1))
    assert (status, list(body["content"]), body["missing"]) == (200, image_ids[:3], image_ids[3:])
    ((_, arguments),) = read.call_args_list
    (wanted,) = arguments["RequestItems"].values()
    assert (len(wanted["Keys"]), wanted["ConsistentRead"]) == (100, True)


def test_keys_that_are_left_unprocessed_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store_sample(sample_image(IMAGE_ID))
    read, wanted = clients.dynamodb().batch_get_item, []

    def throttled(**arguments: Any) -> Any:
        wanted.append(arguments["RequestItems"])
        if len(wanted) == 1:
            return {"Responses": {}, "UnprocessedKeys": arguments["RequestItems"]}
        return read(**arguments)

    monkeypatch.setattr(clients.dynamodb(), "batch_get_item", throttled)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    _, body = check_ids(IMAGE_ID, UNKNOWN_ID)
    assert (list(body["content"]), body["missing"]) == ([IMAGE_ID], [UNKNOWN_ID])
    assert len(wanted) == 2
    assert wanted[0] == wanted[1]


EXAMPLE = 'Send for example: {"image_ids": ["b480bcff-7fff-45b2-93cf-7a534fe39821"]}'
NO_JSON = f"The request body is not JSON. {EXAMPLE}"
TOO_LONG = f"The request body has more than 20,000 bytes. {EXAMPLE}"
MISSING = f"The field 'image_ids' is missing. {EXAMPLE}"
NO_TEXTS = f"Invalid image_ids. Please use a list of ids as texts. {EXAMPLE}"
NUMBER = "Invalid image_ids. Please use 1 to 100 ids."
NO_UUID = f"Invalid image_ids. Please use UUIDs with hyphens. {EXAMPLE}"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, NO_JSON),
        ("", NO_JSON),
        ("{", NO_JSON),
        (f"image_ids={IMAGE_ID}", NO_JSON),
        ("[" * 20_000, NO_JSON),
        ("[" * 20_001, TOO_LONG),
        ("é" * 10_001, TOO_LONG),
        ([IMAGE_ID], MISSING),
        ("null", MISSING),
        ({}, MISSING),
        ({"image_id": IMAGE_ID}, MISSING),
        ({"image_ids": IMAGE_ID}, NO_TEXTS),
        ({"image_ids": None}, NO_TEXTS),
        ({"image_ids": {IMAGE_ID: None}}, NO_TEXTS),
        ({"image_ids": [IMAGE_ID, 1]}, NO_TEXTS),
        ({"image_ids": [[IMAGE_ID]]}, NO_TEXTS),
        ({"image_ids": [None]}, NO_TEXTS),
        ({"image_ids": []}, NUMBER),
        ({"image_ids": [str(uuid4()) for _ in range(101)]}, NUMBER),
        ({"image_ids": [""]}, NO_UUID),
        ({"image_ids": [IMAGE_ID, "photo.jpg"]}, NO_UUID),
        ({"image_ids": [f"{{{IMAGE_ID}}}"]}, NO_UUID),
        ({"image_ids": [f"urn:uuid:{IMAGE_ID}"]}, NO_UUID),
        ({"image_ids": [IMAGE_ID.replace("-", "")]}, NO_UUID),
        ({"image_ids": [f"{IMAGE_ID}\n"]}, NO_UUID),
        ('{"image_ids": ["\\ud800"]}', NO_UUID),
    ],
)
def test_a_malformed_body_is_refused_without_a_read(monkeypatch: pytest.MonkeyPatch, body: Any, message: str) -> None:
    monkeypatch.setattr(clients.dynamodb(), "batch_get_item", None)
    assert check(body) == (400, {"current_status": "failure", "error": message})


def test_invalid_details_are_refused() -> None:
    status, body = check_ids(IMAGE_ID, details="everything")
    assert (status, body["error"].partition(".")[0]) == (400, "Invalid details")


def test_fields_of_later_versions_are_ignored() -> None:
    store_sample(sample_image(IMAGE_ID))
    status, body = check({"image_ids": [IMAGE_ID], "later": ["x"]})
    assert (status, list(body)) == (200, ["current_status", "content", "missing"])


def test_a_body_in_base64_is_read() -> None:
    event = load_event("check_images")
    event |= {"body": b64encode(event["body"].encode()).decode(), "isBase64Encoded": True}
    status, body = send(app, event)
    assert (status, body["missing"]) == (200, [IMAGE_ID, UNKNOWN_ID])


def test_a_table_that_does_not_respond_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLE_NAME", "gone")
    assert check_ids(IMAGE_ID)[0] == 503
