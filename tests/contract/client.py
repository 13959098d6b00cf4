"""A client of the API, as a user would write it."""

import time
from dataclasses import dataclass
from typing import Any

import requests

from tests.contract.described import described

TIMEOUT_SECONDS = 60
_LISTED_SECONDS = 10
_BOUNDARY = "a-boundary"


@dataclass(frozen=True)
class Client:
    """`url` is the base URL of all routes."""

    url: str

    def upload(self, content: bytes, filename: str, field: str = "file", key: str | None = None) -> requests.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        files = {field: (filename, content)}
        return self._send("POST", "/api/images", files=files, headers=headers)

    def uploaded(self, content: bytes, filename: str) -> dict[str, Any]:
        """Upload a file that must be accepted. Return its data."""
        response = self.upload(content, filename)
        assert response.status_code == requests.codes.ok, response.text
        data: dict[str, Any] = response.json()["data"]
        return data

    def post(self, body: bytes, media_type: str | None, encoding: str | None = None) -> requests.Response:
        headers = {"Content-Type": media_type, "Content-Encoding": encoding}
        return self._send("POST", "/api/images", data=body, headers=headers)

    def post_form(self, body: bytes) -> requests.Response:
        """Post the bytes of a form. `BOUNDARY` in the bytes is replaced by the boundary."""
        body = body.replace(b"BOUNDARY", _BOUNDARY.encode())
        return self.post(body, f"multipart/form-data; boundary={_BOUNDARY}")

    def get(self, path: str) -> requests.Response:
        return self._send("GET", path)

    def head(self, path: str) -> requests.Response:
        return self._send("HEAD", path)

    def wait_until_listed(self, *image_ids: str) -> None:
        """Wait at most 10 s until new images are in the list. A real DynamoDB index is updated with a delay."""
        deadline = time.monotonic() + _LISTED_SECONDS
        while not set(image_ids) <= set(self.get("/api/images?limit=100").json().get("content", {})):
            assert time.monotonic() < deadline, "an uploaded image is not in the list"
            time.sleep(0.2)

    def statistics(self) -> dict[str, Any]:
        data: dict[str, Any] = self.get("/api/stats").json()["data"]
        return data

    def _send(self, method: str, path: str, **arguments: Any) -> requests.Response:
        response = requests.request(method, f"{self.url}{path}", timeout=TIMEOUT_SECONDS, **arguments)
        return described(response, self.url)


def fetch(url: str) -> requests.Response:
    """Fetch the object at a presigned URL."""
    response = requests.get(url, timeout=TIMEOUT_SECONDS)
    assert response.status_code == requests.codes.ok
    return response
