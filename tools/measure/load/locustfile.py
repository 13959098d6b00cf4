"""What each client does in `make load`. Locust runs this file, in a virtual environment of its own."""

import itertools
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from locust import HttpUser, constant, events, task
from locust.env import Environment

_PHOTO = Path(__file__).parents[3] / "tests" / "photos" / "coffee.jpg"
_CONTENT = _PHOTO.read_bytes()
_numbers = itertools.count()


@events.init.add_listener
def _only_on_this_machine(environment: Environment, **_: object) -> None:
    host = urlsplit(environment.host or "").hostname
    if host not in {"127.0.0.1", "localhost"}:
        raise SystemExit(f"load goes to this machine only, not to {host}")


class Client(HttpUser):
    """Sends one request after the other: of twelve, one is an upload."""

    wait_time = constant(0)
    image_ids: ClassVar[list[str]] = []

    def on_start(self) -> None:
        """Upload an image, so that there is one to read."""
        self.upload()

    @task(1)
    def upload(self) -> None:
        """Upload a photograph under a name of its own."""
        name = f"photo-{next(_numbers)}.jpg"
        files = {"file": (name, _CONTENT, "image/jpeg")}
        with self.client.post("/api/images", files=files, name="upload", catch_response=True) as response:
            if response.ok and response.json()["data"]["caption"]:
                self.image_ids.append(response.json()["data"]["image_id"])
            else:
                response.failure(f"status {response.status_code}")

    @task(4)
    def list_images(self) -> None:
        """Read the newest 20 images."""
        self.client.get("/api/images?limit=20", name="list")

    @task(3)
    def search(self) -> None:
        self.client.get("/api/images?q=photo&limit=20", name="search")

    @task(3)
    def show(self) -> None:
        """Read one image."""
        self.client.get(f"/api/images/{self.image_ids[-1]}", name="image")

    @task(1)
    def statistics(self) -> None:
        self.client.get("/api/stats", name="statistics")
