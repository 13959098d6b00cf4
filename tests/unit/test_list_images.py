from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from functions.list_images import app
from image_pipeline.http import requests
from image_pipeline.models import STANDARD_SIZES, ThumbnailSize
from image_pipeline.storage import keys, records
from image_pipeline.storage.claims import Claim
from tests.events import load_event, send
from tools.local.sample_images import sample_image, store_sample

pytestmark = pytest.mark.usefixtures("aws")


def get(name: str = "list_images", **query: str) -> tuple[int, dict[str, Any]]:
    return send(app, load_event(name, **query))


def test_an_empty_list_says_so() -> None:
    expected = {"current_status": "success", "data": "No image has been processed yet.", "error": None}
    assert get() == (200, expected)


def test_failures_are_not_listed() -> None:
    records.fail(Claim("b480bcff-7fff-45b2-93cf-7a534fe39821", "attempt", None), "failure", "a.jpg", "It failed.")
    assert "data" in get()[1]


def test_pages_follow_each_other_without_gap_or_overlap() -> None:
    stored = [sample_image(minutes=minutes // 2) for minutes in range(11)]
    for record in stored:
        store_sample(record)
    _, body = get("list_images_page")
    seen = list(body["content"])
    pages = 1
    while "next" in body:
        _, body = get(**dict(parse_qsl(urlsplit(body["next"]).query)))
        seen += body["content"]
        pages += 1
    assert pages == 6
    assert len(seen) == len(set(seen)) == 11
    newest_first = sorted(stored, key=lambda record: (record.processed_at, record.image_id), reverse=True)
    assert seen == [record.image_id for record in newest_first]


def test_the_next_page_has_the_details_of_the_captions_too() -> None:
    for minutes in range(3):
        store_sample(sample_image(minutes=minutes))
    _, body = get(limit="2", details="caption")
    _, last = get(**dict(parse_qsl(urlsplit(body["next"]).query)))
    for page in (body, last):
        assert all("caption_details" in image["data"] for image in page["content"].values())
    assert "caption_details" not in str(get(limit="2"))


def test_images_that_are_all_in_one_shard_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "crc32", lambda _: 0)
    stored = [sample_image(minutes=minutes) for minutes in range(12)]
    for record in stored:
        store_sample(record)
    _, body = get(limit="10")
    assert list(body["content"]) == [record.image_id for record in reversed(stored[2:])]
    assert list(get(limit="12")[1]) == ["current_status", "content"]


@pytest.mark.parametrize("limit", ["1", "100"])
def test_the_smallest_and_the_largest_limit_are_accepted(limit: str) -> None:
    assert get(limit=limit)[0] == 200


def test_a_page_has_fifty_images_by_default() -> None:
    assert requests.page_limit(load_event("list_images")) == 50


@pytest.mark.parametrize("limit", ["0", "101", "-1", "", "x", "1.5", "٣", "9" * 5000])
def test_a_limit_out_of_range_is_refused(limit: str) -> None:
    status, body = get(limit=limit)
    assert status == 400
    assert body["error"] == "Invalid limit. Please use a whole number from 1 to 100."


def test_the_events_of_bad_parameters_are_refused() -> None:
    assert get("list_images_bad_limit")[0] == 400
    status, body = get("list_images_bad_cursor")
    assert status == 400
    assert body["error"].startswith("Invalid cursor.")


def test_an_image_stored_before_a_size_was_added_is_listed_without_that_size() -> None:
    old = sample_image(minutes=0)
    store_sample(replace(old, thumbnails={ThumbnailSize.SMALL: old.thumbnails[ThumbnailSize.SMALL]}))
    new = sample_image(minutes=1)
    store_sample(new)
    status, body = get()
    assert status == 200
    assert [list(image["data"]["thumbnails"]) for image in body["content"].values()] == [[*STANDARD_SIZES], ["small"]]
