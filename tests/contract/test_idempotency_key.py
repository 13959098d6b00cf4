"""An upload with an Idempotency-Key may be sent again."""

from uuid import uuid4

import pytest

from tests.contract.client import Client
from tests.pictures import scene_png


def test_a_repeated_upload_gets_the_first_response_and_is_counted_once(api: Client) -> None:
    key, before = str(uuid4()), api.statistics()
    first, again = (api.upload(scene_png(), "scene.png", key=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (200, 200)
    urls = ("thumbnails",)  # the URLs contain the time at which they were signed
    shown = [
        {name: value for name, value in each.json()["data"].items() if name not in urls} for each in (first, again)
    ]
    assert shown[0] == shown[1]
    assert api.statistics()["success"] == before["success"] + 1


def test_a_key_is_for_one_file(api: Client) -> None:
    key = str(uuid4())
    api.upload(scene_png(), "scene.png", key=key)
    response = api.upload(scene_png() + b"\0", "scene.png", key=key)
    message = "This Idempotency-Key was used for another file or prompt. Please use a new key for each upload."
    assert (response.status_code, response.json()) == (422, {"current_status": "failure", "error": message})


@pytest.mark.parametrize("key", ["two words", "k" * 256])
def test_an_invalid_key_is_refused(api: Client, key: str) -> None:
    response = api.upload(scene_png(), "scene.png", key=key)
    message = "Invalid Idempotency-Key. Please use 1 to 255 visible ASCII characters other than quotes, such as a UUID."
    assert (response.status_code, response.json()) == (400, {"current_status": "failure", "error": message})
