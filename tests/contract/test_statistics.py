"""Which uploads are counted. Other modules test that refused uploads are not counted."""

import pytest

from tests.contract.client import Client
from tests.pictures import scene_png


def test_an_upload_is_counted_with_its_time(api: Client) -> None:
    before = api.statistics()
    time_taken = api.uploaded(scene_png(), "counted.png")["time_taken"]
    after = api.statistics()
    assert (after["success"], after["failure"]) == (before["success"] + 1, before["failure"])
    # `time_taken` has two decimals.
    assert after["total_processing_time"] - before["total_processing_time"] == pytest.approx(time_taken, abs=0.006)


def test_the_same_file_again_is_another_image_and_counted_again(api: Client) -> None:
    before = api.statistics()
    first, second = (api.uploaded(scene_png(), "twice.png") for _ in range(2))
    assert first["image_id"] != second["image_id"]
    assert api.statistics()["success"] == before["success"] + 2


def test_the_average_is_over_successes(api: Client) -> None:
    api.uploaded(scene_png(), "success.png")
    api.upload(scene_png()[:200], "failure.png")
    data = api.statistics()
    assert data["failure"] >= 1
    assert data["avg_processing_time"] == pytest.approx(data["total_processing_time"] / data["success"])


@pytest.mark.usefixtures("not_counted")
def test_reading_is_not_counted(api: Client) -> None:
    for path in ("/api/images", "/api/images/x", "/api/images/x/thumbnails/small", "/api/stats"):
        api.get(path)
