from typing import Any

import pytest

from functions.get_stats import app
from image_pipeline.storage import records
from image_pipeline.storage.claims import Claim
from tests.events import load_event, send
from tools.local.sample_images import sample_image, store_sample

pytestmark = pytest.mark.usefixtures("aws")


def get() -> dict[str, Any]:
    status, body = send(app, load_event("get_stats"))
    assert (status, body["current_status"]) == (200, "success")
    data: dict[str, Any] = body["data"]
    return data


def test_all_figures_are_zero_before_the_first_upload() -> None:
    assert get() == {"success": 0, "failure": 0, "total_processing_time": 0.0, "avg_processing_time": 0.0}


def test_sums_are_over_all_shards_and_the_average_over_successes() -> None:
    for number in range(20):
        store_sample(sample_image(seconds_taken=f"0.{number:06}"))
    records.fail(Claim("b480bcff-7fff-45b2-93cf-7a534fe39821", "attempt", None), "failure", "a.jpg", "It failed.")
    assert get() == {
        "success": 20,
        "failure": 1,
        "total_processing_time": 0.00019,
        "avg_processing_time": 0.0000095,
    }
