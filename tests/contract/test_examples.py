"""Responses match the examples of the contract: same keys in the same order, and same types."""

import re
from typing import Any

import pytest

from tests.contract import examples
from tests.contract.client import Client

PROCESSED_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
TO_THE_SECOND = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def test_upload(uploaded: dict[str, Any]) -> None:
    assert examples.shape(uploaded) == examples.shape(examples.IMAGE)
    data = uploaded["data"]
    assert PROCESSED_AT.fullmatch(data["processed_at"])
    assert TO_THE_SECOND.fullmatch(data["metadata"]["created_at"])
    assert TO_THE_SECOND.fullmatch(data["metadata"]["modified_at"])
    assert data["time_taken"] == round(data["time_taken"], 2)


def test_list(api: Client, uploaded: dict[str, Any]) -> None:
    body = api.get("/api/images").json()
    image_id = uploaded["data"]["image_id"]
    assert body["current_status"] == "success"
    assert examples.shape(body["content"][image_id]) == examples.shape(examples.IMAGE)
    assert list(body)[:2] == list(examples.LIST)


@pytest.mark.parametrize(
    ("path", "example"),
    [
        ("/api/images/{image_id}", examples.DETAILS),
        ("/api/images/{image_id}/thumbnails/small", examples.THUMBNAIL),
        ("/api/stats", examples.STATISTICS),
    ],
)
def test_body(api: Client, uploaded: dict[str, Any], path: str, example: dict[str, Any]) -> None:
    body = api.get(path.format(image_id=uploaded["data"]["image_id"])).json()
    assert body["current_status"] == "success"
    assert examples.shape(body) == examples.shape(example)
