"""Requests to the API, which are repeated as long as they may succeed."""

import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import requests
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

Json = dict[str, Any]
_TIMEOUT_SECONDS = 60
_TRIES = 12
_MAX_PAUSE_SECONDS = 60
# The longest `?wait=` that the API allows.
_WAIT_SECONDS = 20
# As long as the Retry-After of an image that is still processed.
_STILL_PROCESSING_SECONDS = 2
_MAX_PROCESSING_SECONDS = 3600


class UnreachableError(Exception):
    """The API gave no useful response, even after many tries."""


class StoppedError(Exception):
    """The user stopped the command."""


@dataclass(frozen=True)
class Client:
    """A client of the API at `url`, which ends with a slash. `stop` ends the pauses between two tries."""

    url: str
    stop: threading.Event = field(default_factory=threading.Event)

    def send(self, method: str, path: str, **arguments: Any) -> requests.Response:  # noqa: ANN401
        """Send a request, repeat it while the response asks for another try, and return the last response.

        `path` is relative to the URL of the API, or a whole URL. Raises UnreachableError after 12 tries, and
        StoppedError.
        """
        pause, reason = 0.5, ""
        for _ in range(_TRIES):
            try:
                response = requests.request(method, urljoin(self.url, path), timeout=_TIMEOUT_SECONDS, **arguments)
            except requests.RequestException as error:
                reason, wait = type(error).__name__, pause
            else:
                if response.status_code not in {409, 429} and response.status_code < requests.codes.server_error:
                    return response
                reason, wait = f"status {response.status_code}", _retry_after(response) or pause
            pause = min(2 * pause, _MAX_PAUSE_SECONDS)
            if self.stop.wait(max(wait, 0.1)):
                raise StoppedError
        raise UnreachableError(reason)

    def image(self, image_id: str, query: str = "") -> Json | None:
        """Return an image in any state, or None if it does not exist. Raises UnreachableError and StoppedError."""
        response = self.send("GET", f"api/images/{image_id}{query}")
        image: Json | None = response.json()["data"] if response.ok else None
        return image

    def finished(self, image_id: str) -> Json:
        """Wait until an image is finished or has failed, and return it. Raises UnreachableError and StoppedError."""
        end = time.monotonic() + _MAX_PROCESSING_SECONDS
        while time.monotonic() < end:
            image = self.image(image_id, f"?wait={_WAIT_SECONDS}")
            if image is None:
                return {"image_status": "failure", "data": {"image_id": image_id}, "error": "The image was deleted."}
            if image["image_status"] != "processing":
                return image
            # The API does not let everybody wait at the same time.
            if self.stop.wait(_STILL_PROCESSING_SECONDS):
                raise StoppedError
        raise UnreachableError("the image is still being processed")

    def delete(self, image_id: str) -> None:
        """Delete an image, if it exists. Raises UnreachableError and StoppedError."""
        self.send("DELETE", f"api/images/{image_id}")


def _retry_after(response: requests.Response) -> float | None:
    """Return the seconds in the header Retry-After, which may also be a date, or None."""
    try:
        return Retry().get_retry_after(response.raw)
    except InvalidHeader:
        return None
