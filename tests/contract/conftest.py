"""The API over HTTP: API_URL's, or a local one started for these tests."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.contract.client import Client
from tests.pictures import scene_png
from tools import local_api


@pytest.fixture(scope="package")
def api() -> Iterator[Client]:
    if url := os.environ.get("API_URL"):
        yield Client(url.rstrip("/"))
        return
    with local_api.run() as running:
        yield Client(running.url)


@pytest.fixture(scope="package")
def uploaded(api: Client) -> dict[str, Any]:
    """The answer to one upload, which the reading routes must then show."""
    response = api.upload(scene_png(), "scene.png")
    assert response.status_code == requests.codes.ok
    body: dict[str, Any] = response.json()
    return body
