"""Deletion of images."""

from uuid import uuid4

import requests

from tests.contract.client import TIMEOUT_SECONDS, Client
from tests.contract.examples import IMAGE_MISSING
from tests.pictures import scene_png


def test_a_deleted_image_is_gone_everywhere(api: Client) -> None:
    image = api.uploaded(scene_png(), "scene.png")
    image_id, statistics = image["image_id"], api.statistics()
    api.wait_until_listed(image_id)
    response = api.delete(image_id)
    assert response.status_code == requests.codes.ok
    assert response.json() == {"current_status": "success", "data": "Image deleted.", "error": None}

    for again in (api.delete(image_id), api.get(f"/api/images/{image_id}")):
        assert (again.status_code, again.json()) == (requests.codes.not_found, IMAGE_MISSING)
    assert api.get(f"/api/images/{image_id}/thumbnails/small").status_code == requests.codes.not_found
    api.wait_until_not_listed(image_id)
    assert api.statistics() == statistics


def test_the_thumbnails_of_a_deleted_image_are_deleted(api: Client) -> None:
    image = api.uploaded(scene_png(), "scene.png")
    api.delete(image["image_id"])
    api.wait_until(
        "a thumbnail is still there",
        # S3 returns 403 for a missing object, because the role of the function may not list the bucket.
        lambda: not any(requests.get(url, timeout=TIMEOUT_SECONDS).ok for url in image["thumbnails"].values()),
    )


def test_an_unknown_image_cannot_be_deleted(api: Client) -> None:
    for image_id in (str(uuid4()), "x"):
        response = api.delete(image_id)
        assert (response.status_code, response.json()) == (requests.codes.not_found, IMAGE_MISSING)


def test_a_repeated_upload_of_a_deleted_image_is_not_found(api: Client) -> None:
    key = str(uuid4())
    image_id = api.upload(scene_png(), "scene.png", key=key).json()["data"]["image_id"]
    api.delete(image_id)
    response = api.upload(scene_png(), "scene.png", key=key)
    assert (response.status_code, response.json()) == (requests.codes.not_found, IMAGE_MISSING)
