"""The list, one image, its thumbnails, the statistics."""

from typing import Any
from uuid import uuid4

import pytest

from tests.contract.client import Client, fetch
from tests.contract.examples import IMAGE_MISSING, INVALID_SIZE, THUMBNAIL_MISSING
from tests.pictures import scene_png


def without_urls(image: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in image["data"].items() if name != "thumbnails"}


def test_all_routes_tell_the_same_of_an_image(api: Client, uploaded: dict[str, Any]) -> None:
    image_id = uploaded["data"]["image_id"]
    assert without_urls(api.get(f"/api/images/{image_id}").json()["data"]) == without_urls(uploaded)
    newest = api.get("/api/images?limit=100").json()["content"]
    assert without_urls(newest[image_id]) == without_urls(uploaded)


@pytest.mark.parametrize("path", ["/api/images", "/api/stats", "/api/images/x", "/api/images/x/thumbnails/small"])
def test_every_answer_is_json_that_nobody_keeps(api: Client, path: str) -> None:
    response = api.get(path)
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"


def test_pages_lead_through_the_images_newest_first(api: Client) -> None:
    mine = [api.uploaded(scene_png(), f"{number}.png")["image_id"] for number in range(3)]
    path = "/api/images?limit=2"
    seen: list[dict[str, Any]] = []
    while path and not set(mine) <= {image["image_id"] for image in seen}:
        body = api.get(path).json()
        assert 1 <= len(body["content"]) <= 2
        seen += [image["data"] for image in body["content"].values()]
        path = body.get("next", "")
    finished = [image["processed_at"] for image in seen]
    assert finished == sorted(finished, reverse=True)
    assert [image["image_id"] for image in seen if image["image_id"] in mine] == mine[::-1]
    assert len({image["image_id"] for image in seen}) == len(seen)


@pytest.mark.parametrize("limit", ["0", "101", "-1", "", "x", "1.5", "1e1", "%D9%A3"])
def test_a_limit_out_of_range_is_refused(api: Client, limit: str) -> None:
    response = api.get(f"/api/images?limit={limit}")
    message = "Invalid limit. Please use a whole number from 1 to 100."
    assert (response.status_code, response.json()) == (400, {"current_status": "failure", "error": message})


@pytest.mark.parametrize("cursor", ["", "x", "bm90IG91cnM=", "%00", "a" * 500])
def test_an_invented_cursor_is_refused(api: Client, cursor: str) -> None:
    response = api.get(f"/api/images?cursor={cursor}")
    assert response.status_code == 400
    assert list(response.json()) == ["current_status", "error"]


def test_a_cursor_that_was_tampered_with_is_refused(api: Client, uploaded: dict[str, Any]) -> None:
    assert uploaded
    api.uploaded(scene_png(), "second.png")
    following = api.get("/api/images?limit=1").json()["next"]
    assert api.get(following).status_code == 200
    start = following.index("cursor=") + len("cursor=")
    for place in (start, (start + len(following)) // 2, len(following) - 2):
        other = "A" if following[place] != "A" else "B"
        assert api.get(following[:place] + other + following[place + 1 :]).status_code == 400


@pytest.mark.parametrize("image_id", ["x", str(uuid4()), str(uuid4()).upper(), f"%7B{uuid4()}%7D", uuid4().hex, "%00"])
def test_what_is_no_images_id_is_not_found(api: Client, image_id: str) -> None:
    response = api.get(f"/api/images/{image_id}")
    assert (response.status_code, response.json()) == (404, IMAGE_MISSING)
    response = api.get(f"/api/images/{image_id}/thumbnails/small")
    assert (response.status_code, response.json()) == (404, THUMBNAIL_MISSING)


@pytest.mark.parametrize("size", ["large", "Small", "128", "small.jpg", "%20small"])
def test_another_size_is_refused_for_any_image(api: Client, uploaded: dict[str, Any], size: str) -> None:
    for image_id in (uploaded["data"]["image_id"], uuid4()):
        response = api.get(f"/api/images/{image_id}/thumbnails/{size}")
        assert (response.status_code, response.json()) == (400, INVALID_SIZE)


def test_the_thumbnail_route_leads_to_the_same_object(api: Client, uploaded: dict[str, Any]) -> None:
    for size, url in uploaded["data"]["thumbnails"].items():
        routed = api.get(f"/api/images/{uploaded['data']['image_id']}/thumbnails/{size}").json()["data"]
        assert fetch(routed).content == fetch(url).content


def test_an_upload_is_counted_with_its_time(api: Client) -> None:
    before = api.statistics()
    time_taken = api.uploaded(scene_png(), "counted.png")["time_taken"]
    after = api.statistics()
    assert (after["success"], after["failure"]) == (before["success"] + 1, before["failure"])
    assert after["total_processing_time"] - before["total_processing_time"] == pytest.approx(time_taken, abs=0.005)
    assert after["avg_processing_time"] == pytest.approx(after["total_processing_time"] / after["success"])
