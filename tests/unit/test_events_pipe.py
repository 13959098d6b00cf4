"""The events that EventsPipe publishes, built from stream records by the filter and the input template of the pipe."""

import json
import re
from decimal import Decimal
from typing import Any

import pytest

from image_pipeline import settings
from image_pipeline.errors import ATTEMPTS_FAILED
from image_pipeline.models import SHARED, CaptionModel
from image_pipeline.storage import claims, clients, keys, records, table
from image_pipeline.storage.claims import Claim
from tests.stored import table_items
from tools import template
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture(scope="module")
def pipe() -> dict[str, Any]:
    properties: dict[str, Any] = template.read_option("events")["Resources"]["EventsPipe"]["Properties"]
    return properties


def at(path: str, record: Any) -> Any:
    """Return the value at a JSON path such as $.dynamodb.NewImage. Raises KeyError if there is none.

    AWS does not document how EventBridge resolves such a path.
    """
    for name in path.removeprefix("$.").split("."):
        record = record[name]
    return record


def passes(pattern: Any, value: Any) -> bool:
    """Return whether a record passes a filter. Supports allowed values and {"exists": true}."""
    if isinstance(pattern, list):
        return value in pattern or ({"exists": True} in pattern and value is not None)
    return isinstance(value, dict) and all(passes(part, value.get(name)) for name, part in pattern.items())


def published(pipe: dict[str, Any], item: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Return the type and the detail of the event for a new item, or None if the filter drops it."""
    image = table.serialize(item)
    record = {"eventName": "MODIFY", "dynamodb": {"Keys": {"pk": image["pk"], "sk": image["sk"]}, "NewImage": image}}
    (filtered,) = pipe["SourceParameters"]["FilterCriteria"]["Filters"]
    if not passes(json.loads(filtered["Pattern"]), record):
        return None
    parameters = pipe["TargetParameters"]
    # EventBridge replaces <path> by the JSON of the value.
    detail = re.sub(r"<([^>]+)>", lambda found: json.dumps(at(found[1], record)), parameters["InputTemplate"])
    return at(parameters["EventBridgeEventBusParameters"]["DetailType"], record), json.loads(detail)


def test_a_processed_image(pipe: dict[str, Any]) -> None:
    store_sample(sample_image(IMAGE_ID))
    (item,) = table_items("IMAGE#")
    assert published(pipe, item) == (
        "ImageProcessed",
        {
            "image_key": f"IMAGE#{IMAGE_ID}",
            "owner": SHARED,
            "status": "success",
            "original_name": "hehhhh.jpg",
            "caption": "a cartoon picture of two people standing in front of a city",
            "error": "",
        },
    )


def test_a_failed_image(pipe: dict[str, Any]) -> None:
    records.fail(Claim(IMAGE_ID, "attempt", None), "failure", "a.jpg", 'It "failed".')
    (item,) = table_items("IMAGE#")
    kind, detail = published(pipe, item) or ("", {})
    assert (kind, detail["status"], detail["error"]) == ("ImageFailed", "failure", 'It "failed".')
    assert (detail["original_name"], detail["caption"]) == ("a.jpg", "")


def test_a_temporary_failure_is_published_once_and_then_the_success(pipe: dict[str, Any]) -> None:
    claims.request(SHARED, IMAGE_ID, "a.jpg")
    claim, *_ = claims.take(IMAGE_ID)
    records.fail_temporarily(claim)
    (failed,) = table_items("IMAGE#")
    kind, detail = published(pipe, failed) or ("", {})
    assert (kind, detail["status"], detail["error"]) == ("ImageFailed", "failure", ATTEMPTS_FAILED)
    assert (detail["original_name"], detail["caption"]) == ("a.jpg", "")
    table.put({**failed, "lease": 0})
    again, *_ = claims.take(IMAGE_ID)
    (taken,) = table_items("IMAGE#")
    assert published(pipe, taken) is None
    records.save(again, sample_image(IMAGE_ID))
    (finished,) = table_items("IMAGE#")
    kind, detail = published(pipe, finished) or ("", {})
    assert (kind, detail["error"]) == ("ImageProcessed", "")


def test_a_deleted_image(pipe: dict[str, Any]) -> None:
    store_sample(sample_image(IMAGE_ID))
    records.delete(SHARED, IMAGE_ID)
    (item,) = table_items("IMAGE#")
    kind, detail = published(pipe, item) or ("", {})
    assert (kind, detail) == (
        "ImageDeleted",
        {
            "image_key": f"IMAGE#{IMAGE_ID}",
            "owner": SHARED,
            "status": "deleted",
            "original_name": "",
            "caption": "",
            "error": "",
        },
    )


def test_a_path_that_an_item_lacks_is_noticed(pipe: dict[str, Any]) -> None:
    store_sample(sample_image(IMAGE_ID))
    (item,) = table_items("IMAGE#")
    del item["error"]
    with pytest.raises(KeyError, match="error"):
        published(pipe, item)


def test_a_new_caption_of_an_image_of_an_older_version(pipe: dict[str, Any]) -> None:
    store_sample(sample_image(IMAGE_ID))
    clients.dynamodb().update_item(
        TableName=settings.table_name(),
        Key=table.serialize(keys.image(IMAGE_ID)),
        UpdateExpression="REMOVE #error, #event",
        ExpressionAttributeNames={"#error": "error", "#event": "event"},
    )
    record = records.get(SHARED, IMAGE_ID)
    records.replace_caption(record, "a new caption", Decimal("0.5"), CaptionModel("new", "1", "int8"))
    (item,) = table_items("IMAGE#")
    kind, detail = published(pipe, item) or ("", {})
    assert (kind, detail["caption"], detail["error"]) == ("ImageProcessed", "a new caption", "")
    assert records.get(SHARED, IMAGE_ID).caption == "a new caption"


def test_other_changes_publish_nothing(pipe: dict[str, Any]) -> None:
    claims.request(SHARED, IMAGE_ID, "a.jpg")
    (requested,) = table_items("IMAGE#")
    claims.take(IMAGE_ID)
    (processing,) = table_items("IMAGE#")
    store_sample(sample_image())
    statistics = table_items("STATS#")
    for item in (requested, processing, *statistics):
        assert published(pipe, item) is None
