"""The list of images: newest first, in pages."""

import re
from typing import Any
from urllib.parse import urljoin

import pytest

from tests.contract.client import Client
from tests.contract.refusals import refusal
from tests.pictures import scene_png

INVALID_LIMIT = "Invalid limit. Please use a whole number from 1 to 100."
INVALID_CURSOR = "Invalid cursor. Please use the 'next' URL of the previous page as it is."
NEXT = re.compile(r"\?limit=1&cursor=([A-Za-z0-9_-]+)")


@pytest.fixture(scope="module")
def following(api: Client) -> str:
    """Return the path and query of a second page, which has at least one image."""
    api.wait_until_listed(*(api.uploaded(scene_png(), f"{number}.png")["image_id"] for number in range(2)))
    path = "/api/images?limit=1"
    following: str = urljoin(path, api.get(path).json()["next"])
    return following


def images_of(page: dict[str, Any]) -> list[dict[str, Any]]:
    return [image["data"] for image in page["content"].values()]


def test_the_pages_list_all_images_newest_first(api: Client) -> None:
    mine = [api.uploaded(scene_png(), f"{number}.png")["image_id"] for number in range(3)]
    api.wait_until_listed(*mine)
    path = "/api/images?limit=2"
    seen: list[dict[str, Any]] = []
    while path and not set(mine) <= {image["image_id"] for image in seen}:
        body = api.get(path).json()
        assert 1 <= len(body["content"]) <= 2
        assert list(body["content"]) == [image["image_id"] for image in images_of(body)]
        seen += images_of(body)
        path = urljoin(path, body["next"]) if "next" in body else ""
    finished = [image["processed_at"] for image in seen]
    assert finished == sorted(finished, reverse=True)
    assert [image["image_id"] for image in seen if image["image_id"] in mine] == mine[::-1]
    assert len({image["image_id"] for image in seen}) == len(seen)


def test_the_next_page_is_a_relative_reference_that_keeps_the_limit(api: Client, following: str) -> None:
    response = api.get("/api/images?limit=1")
    reference = response.json()["next"]
    assert NEXT.fullmatch(reference)
    # The reference works with any prefix of the route: none, a stage, or the base path of a custom domain.
    assert urljoin(response.url, reference).startswith(f"{api.url}/api/images?limit=1&cursor=")
    page = api.get(following)
    assert page.status_code == 200
    assert len(page.json()["content"]) == 1


def test_a_page_stays_the_same_when_newer_images_are_added(api: Client, following: str) -> None:
    before = list(api.get(following).json()["content"])
    api.wait_until_listed(api.uploaded(scene_png(), "newer.png")["image_id"])
    assert list(api.get(following).json()["content"]) == before


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_page_has_at_most_the_limit(api: Client, following: str, limit: int) -> None:
    assert following
    response = api.get(f"/api/images?limit={limit}")
    assert response.status_code == 200
    assert min(limit, 2) <= len(response.json()["content"]) <= limit


@pytest.mark.parametrize(
    "limit", ["0", "101", "-1", "%2B1", "", "abc", "1.5", "1e1", "0x1", "1000", "%201", "1_0", "%D9%A1", "%EF%BC%91"]
)
def test_a_limit_out_of_range_is_refused(api: Client, limit: str) -> None:
    # %D9%A1 and %EF%BC%91 are the Arabic and the full-width digit one.
    assert refusal(api.get(f"/api/images?limit={limit}")) == (400, INVALID_LIMIT)


@pytest.mark.parametrize("cursor", ["", "x", "bm90IG91cnM=", "bm90IG91cnM", "%C3%A9", "%20", "a" * 500, "../.."])
def test_an_invented_cursor_is_refused(api: Client, cursor: str) -> None:
    assert refusal(api.get(f"/api/images?cursor={cursor}")) == (400, INVALID_CURSOR)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_truncated_cursor_is_refused(api: Client, following: str, kept: float) -> None:
    cursor = following.partition("cursor=")[2]
    assert refusal(api.get(f"/api/images?cursor={cursor[: int(len(cursor) * kept)]}")) == (400, INVALID_CURSOR)


@pytest.mark.parametrize("place", [0.0, 0.2, 0.5, 0.8, 1.0], ids="at {}".format)
def test_a_cursor_with_one_other_character_is_refused_or_is_another_place_in_the_list(
    api: Client, following: str, place: float
) -> None:
    cursor = following.partition("cursor=")[2]
    index = round(place * (len(cursor) - 1))
    other = "A" if cursor[index] != "A" else "B"
    tampered = cursor[:index] + other + cursor[index + 1 :]
    response = api.get(f"/api/images?cursor={tampered}")
    assert response.status_code == 200 or refusal(response) == (400, INVALID_CURSOR)


@pytest.mark.parametrize("addition", ["A", "%3D", "%20", "%0A"])
def test_a_cursor_with_something_added_is_refused(api: Client, following: str, addition: str) -> None:
    cursor = following.partition("cursor=")[2]
    assert refusal(api.get(f"/api/images?cursor={cursor}{addition}")) == (400, INVALID_CURSOR)
