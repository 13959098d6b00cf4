"""A client of the API, as a user would write it."""

from dataclasses import dataclass

import requests

TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Client:
    """`url` is the base that all routes are relative to."""

    url: str

    def upload(self, content: bytes, filename: str, field: str = "file") -> requests.Response:
        return requests.post(f"{self.url}/api/images", files={field: (filename, content)}, timeout=TIMEOUT_SECONDS)

    def get(self, path: str) -> requests.Response:
        return requests.get(f"{self.url}{path}", timeout=TIMEOUT_SECONDS)
