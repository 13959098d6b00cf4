"""The events that EventsPipe publishes, built from stream records by the filter and the input template of the pipe."""

import json
import re
from typing import Any

import pytest

from image_pipeline.storage import claims, records, table
from image_pipeline.storage.claims import Claim
from tools import template
from tools.image_records import IMAGE_ID, finished, store

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture(scope="module")
def pipe() -> dict[str, Any]:
    properties: dict[str, Any] = template.read_option("events")["Resources"]["EventsPipe"]["Properties"]
    return properties


def at(path: str, record: Any) -> Any:
    """Return the value at a JSON path such as $.dynamodb.NewImage, or None."""
    for name in path.removeprefix("$.").split("."):
        record = record.get(name) if isinstance(record, dict) else None
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
    # EventBridge replaces <path> by the JSON of the value, or by an empty string if there is none.
    detail = re.sub(r"<([^>]+)>", lambda found: json.dumps(at(found[1], record) or ""), parameters["InputTemplate"])
    return at(parameters["EventBridgeEventBusParameters"]["DetailType"], record), json.loads(detail)


def test_a_processed_image(pipe: dict[str, Any], table_items: Any) -> None:
    store(finished(IMAGE_ID))
    (item,) = table_items("IMAGE#")
    assert published(pipe, item) == (
        "ImageProcessed",
        {
            "image_key": f"IMAGE#{IMAGE_ID}",
            "status": "success",
            "original_name": "hehhhh.jpg",
            "caption": "a cartoon picture of two people standing in front of a city",
            "error": "",
        },
    )


def test_a_failed_image(pipe: dict[str, Any], table_items: Any) -> None:
    records.fail(Claim(IMAGE_ID, "attempt", None), "failure", "a.jpg", 'It "failed".')
    (item,) = table_items("IMAGE#")
    kind, detail = published(pipe, item) or ("", {})
    assert (kind, detail["status"], detail["error"]) == ("ImageFailed", "failure", 'It "failed".')


def test_a_deleted_image(pipe: dict[str, Any], table_items: Any) -> None:
    store(finished(IMAGE_ID))
    records.delete(IMAGE_ID)
    (item,) = table_items("IMAGE#")
    kind, detail = published(pipe, item) or ("", {})
    assert (kind, detail["image_key"]) == ("ImageDeleted", f"IMAGE#{IMAGE_ID}")


def test_other_changes_publish_nothing(pipe: dict[str, Any], table_items: Any) -> None:
    claims.request(IMAGE_ID, "a.jpg")
    (requested,) = table_items("IMAGE#")
    claims.take(IMAGE_ID)
    (processing,) = table_items("IMAGE#")
    store(finished())
    statistics = table_items("STATS#")
    for item in (requested, processing, *statistics):
        assert published(pipe, item) is None
