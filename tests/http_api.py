"""The API for tests over HTTP: the API at API_URL if this variable is set, and otherwise a local API.

API_KEY is the key of the API at API_URL, if it needs one. Import the fixture in a conftest.py: in another file it would
run until all tests have ended.
"""

import os
from collections.abc import Iterator

import pytest

from tests.contract.client import Client
from tools.local import server


@pytest.fixture(scope="package")
def api() -> Iterator[Client]:
    if url := os.environ.get("API_URL"):
        yield Client(url.rstrip("/"), os.environ.get("API_KEY", ""))
        return
    with server.run() as running:
        yield Client(running.url)
