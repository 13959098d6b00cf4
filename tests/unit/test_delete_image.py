import time
from typing import Any

import pytest

from functions.delete_image import app
from image_pipeline.errors import ImageNotFoundError, StorageError
from image_pipeline.models import SHARED
from image_pipeline.storage import claims, records
from image_pipeline.storage.claims import Claim
from tests.events import load_event, send
from tests.stored import table_items
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample

pytestmark = pytest.mark.usefixtures("aws")

DELETED = {"current_status": "success", "data": "Image deleted.", "error": None}
MISSING = {"current_status": "failure", "data": "Image does not exist. Please view another one.", "error": None}


def delete() -> tuple[int, dict[str, Any]]:
    return send(app, load_event("delete_image"))


def test_an_image_is_deleted_once_and_then_missing() -> None:
    store_sample(sample_image(IMAGE_ID))
    assert delete() == (200, DELETED)
    assert delete() == (404, MISSING)
    assert records.newest(SHARED, 10).records == []
    with pytest.raises(ImageNotFoundError):
        records.get(SHARED, IMAGE_ID)


def test_an_unknown_image_is_not_found_and_leaves_no_item() -> None:
    assert delete() == (404, MISSING)
    assert table_items("IMAGE#") == []


def test_no_content_stays_and_the_item_expires_when_no_attempt_can_run() -> None:
    store_sample(sample_image(IMAGE_ID))
    delete()
    (item,) = table_items("IMAGE#")
    empty = {"owner", "original_name", "caption", "error"}
    assert set(item) == {"pk", "sk", "status", "replaced", "event", "attempt", "expires_at"} | empty
    assert {item[name] for name in empty} == {""}
    assert 3500 < int(item["expires_at"]) - time.time() < 3700


def test_a_requested_or_failed_image_can_be_deleted() -> None:
    claims.request(SHARED, IMAGE_ID, "a.jpg")
    assert delete() == (200, DELETED)
    with pytest.raises(ImageNotFoundError):
        claims.take(IMAGE_ID)


@pytest.mark.parametrize("way", ["direct", "form"])
def test_an_image_that_is_deleted_while_it_is_processed_does_not_come_back(way: str) -> None:
    if way == "direct":
        claims.request(SHARED, IMAGE_ID, "a.jpg")
        claim, *_ = claims.take(IMAGE_ID)
    else:
        claim = Claim(IMAGE_ID, "attempt", None)
        claims.reserve(claim, "a.jpg")
    assert delete() == (200, DELETED)
    with pytest.raises(StorageError):
        records.save(claim, sample_image(IMAGE_ID))
    with pytest.raises(StorageError):
        records.fail(claim, "failure", "a.jpg", "It failed.")
    assert records.statistics(SHARED).success == records.statistics(SHARED).failure == 0
    assert delete() == (404, MISSING)
