"""A client of the API, as a user would write it."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from tests.contract.described import described

TIMEOUT_SECONDS = 60
_LISTED_SECONDS = 10
_WAITS = 4
_BOUNDARY = "a-boundary"


@dataclass(frozen=True)
class Client:
    """`url` is the base URL of all routes. `key` is an API key, or empty."""

    url: str
    key: str = ""

    def upload(
        self, content: bytes, filename: str, field: str = "file", key: str | None = None, **fields: str
    ) -> requests.Response:
        """Upload a file, with further form fields. `details` is a query parameter."""
        headers = {} if key is None else {"Idempotency-Key": key}
        query = {"details": fields.pop("details", None)}
        files = {field: (filename, content)}
        return self._send("POST", "/api/images", params=query, data=fields, files=files, headers=headers)

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

    def request_upload(self, **body: Any) -> requests.Response:
        return self._send("POST", "/api/uploads", json=body)

    def upload_directly(self, content: bytes, filename: str, content_type: str = "image/png", **body: Any) -> str:
        """Request an upload and send the file. Return the image id."""
        response = self.request_upload(filename=filename, content_type=content_type, **body)
        assert response.status_code == requests.codes.created, response.text
        requested: dict[str, Any] = response.json()["data"]
        form = requested["upload"]
        sent = requests.post(
            form["url"], data=form["fields"], files={"file": (filename, content)}, timeout=TIMEOUT_SECONDS
        )
        assert sent.ok, sent.text
        return str(requested["image_id"])

    def wait(self, image_id: str) -> dict[str, Any]:
        """Wait until an image is finished or has failed. Return it."""
        for _ in range(_WAITS):
            image: dict[str, Any] = self.get(f"/api/images/{image_id}?wait=15").json()["data"]
            if image["image_status"] != "processing":
                return image
        raise AssertionError("the image is still being processed")

    def delete(self, image_id: str) -> requests.Response:
        return self._send("DELETE", f"/api/images/{image_id}")

    def check(self, *image_ids: str, **query: str) -> requests.Response:
        return self.post_check(json.dumps({"image_ids": image_ids}).encode(), **query)

    def post_check(self, body: bytes, **query: str) -> requests.Response:
        headers = {"Content-Type": "application/json"}
        return self._send("POST", "/api/images/check", params=query, data=body, headers=headers)

    def get(self, path: str) -> requests.Response:
        return self._send("GET", path)

    def head(self, path: str) -> requests.Response:
        return self._send("HEAD", path)

    def wait_until_listed(self, *image_ids: str) -> None:
        """Wait at most 10 s until new images are in the list. A real DynamoDB index is updated with a delay."""
        self.wait_until("an uploaded image is not in the list", lambda: set(image_ids) <= self._listed())

    def wait_until_not_listed(self, image_id: str) -> None:
        self.wait_until("a deleted image is in the list", lambda: image_id not in self._listed())

    @staticmethod
    def wait_until(message: str, holds: Callable[[], bool]) -> None:
        """Wait at most 10 s until a condition holds. Raise AssertionError with a message otherwise."""
        deadline = time.monotonic() + _LISTED_SECONDS
        while not holds():
            assert time.monotonic() < deadline, message
            time.sleep(0.2)

    def _listed(self) -> set[str]:
        return set(self.get("/api/images?limit=100").json().get("content", {}))

    def choices(self, name: str) -> list[str]:
        """Return the values of a parameter that the API describes, such as its sizes of thumbnails."""
        document = requests.get(f"{self.url}/openapi.json", timeout=TIMEOUT_SECONDS).json()
        values: list[str] = document["components"]["schemas"][name]["enum"]
        return values

    def statistics(self) -> dict[str, Any]:
        data: dict[str, Any] = self.get("/api/stats").json()["data"]
        return data

    def _send(self, method: str, path: str, **arguments: Any) -> requests.Response:
        if self.key:
            arguments["headers"] = {"x-api-key": self.key, **arguments.get("headers", {})}
        response = requests.request(method, f"{self.url}{path}", timeout=TIMEOUT_SECONDS, **arguments)
        return described(response, self.url)


def fetch(url: str) -> requests.Response:
    """Fetch the object at a presigned URL."""
    response = requests.get(url, timeout=TIMEOUT_SECONDS)
    assert response.status_code == requests.codes.ok
    return response
