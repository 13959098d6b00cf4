import os
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import requests
from PIL import Image

from tests.contract.client import Client
from tests.http_api import api
from tests.pictures import encode, scene_png

__all__ = ["api"]


@pytest.fixture(scope="package")
def uploaded(api: Client) -> dict[str, Any]:
    """The body of the response to one upload. The image is already in the list."""
    response = api.upload(scene_png(), "scene.png")
    assert response.status_code == requests.codes.ok
    body: dict[str, Any] = response.json()
    api.wait_until_listed(body["data"]["image_id"])
    return body


@pytest.fixture
def not_counted(api: Client) -> Iterator[None]:
    """Check that a test does not change the statistics."""
    before = api.statistics()
    yield
    assert api.statistics() == before


@pytest.fixture
def demo_model() -> None:
    """Skip a test of captions if the API uses another model: only the captions of the demo model are known."""
    if "API_URL" in os.environ and os.environ.get("API_MODEL") != "demo":
        pytest.skip("the API at API_URL captions with another model than the demo model (API_MODEL=demo)")


@pytest.fixture(scope="session")
def noise() -> bytes:
    """A PNG of about 5 MB that cannot be compressed."""
    return encode(Image.frombytes("RGB", (1300, 1300), Random(5).randbytes(1300 * 1300 * 3)))
