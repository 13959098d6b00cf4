"""`make serve DATA=folder`: what was answered is there after a restart, also after `kill -9` at any moment."""

import os
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import pytest
import requests

from tests.contract.client import Client
from tests.integration.test_serve import START_SECONDS, banner_of, serve
from tests.pictures import encode
from tools.demo_model import scenes
from tools.local.access import API_KEY

KILLS = int(os.environ.get("KILLS", "2"))
CLIENTS = 3
PAGE = "https://app.example"
_SECONDS = 60

# Each test starts the API several times. In one process they do not slow down each other.
pytestmark = pytest.mark.xdist_group("data folder")


@contextmanager
def killed(folder: Path, *options: str) -> Iterator[Client]:
    """Run the API until the block ends, and then end it with `kill -9`."""
    with serve("--port", "0", "--data", str(folder), *options) as process:
        found = re.search(r"API on (http://\S+)", banner_of(process))
        assert found
        yield Client(found[1])
        process.kill()
        process.wait()


def scene(number: int) -> bytes:
    return encode(scenes.draw(scenes.random_scene(random.Random(number))))


def test_each_image_that_was_answered_survives_kills_at_random_moments(tmp_path: Path) -> None:
    folder = Path(os.path.relpath(tmp_path)) / "my data"
    rng = random.Random(26)
    answered: set[str] = set()
    for first in range(0, KILLS * 1000, 1000):
        with killed(folder) as api:
            stop = threading.Event()
            threads = [
                threading.Thread(target=upload_until, args=(stop, api, answered, first + 100 * client))
                for client in range(CLIENTS)
            ]
            for thread in threads:
                thread.start()
            before = len(answered)
            wait_until(lambda: len(answered) > before)  # noqa: B023 - called in this round only
            time.sleep(rng.uniform(0, 2))
        stop.set()
        for thread in threads:
            thread.join()
    with serve("--port", "0", "--data", str(folder)) as starting:
        time.sleep(rng.uniform(0.5, 3))
        starting.kill()
    # The settings of an earlier start do not stay.
    with killed(folder, "--auth", "API_KEY", "--origins", PAGE) as api:
        assert requests.get(f"{api.url}/api/images", timeout=_SECONDS).status_code == requests.codes.forbidden
        listed = images(api)
        statistics = get(f"{api.url}/api/stats").json()["data"]
        # An upload that was stored, but not answered, may be there too: at most one of each client and kill.
        assert answered <= set(listed)
        assert len(listed) <= len(answered) + KILLS * CLIENTS
        assert statistics["success"] == len(listed)
        for image_id in answered:
            for url in listed[image_id]["thumbnails"].values():
                assert get(url).headers["Access-Control-Allow-Origin"] == PAGE
        # The index follows the table.
        wait_until(lambda: set(images(api, "&q=png")) == set(listed))
    assert len(answered) >= KILLS


def upload_until(stop: threading.Event, api: Client, answered: set[str], first: int) -> None:
    for number in range(first, first + 100):
        try:
            response = api.upload(scene(number), f"{number}.png")
        except requests.RequestException:  # the API was killed
            return
        if response.ok:
            answered.add(response.json()["data"]["image_id"])
        if stop.is_set():
            return


def get(url: str) -> requests.Response:
    response = requests.get(url, headers={"x-api-key": API_KEY, "Origin": PAGE}, timeout=_SECONDS)
    response.raise_for_status()
    return response


def images(api: Client, query: str = "") -> dict[str, Any]:
    """Return the data of all images that the list or a search returns, by id."""
    found: dict[str, Any] = {}
    path = f"/api/images?limit=100{query}"
    while path:
        page = get(f"{api.url}{path}").json()
        found |= {image_id: image["data"] for image_id, image in page.get("content", {}).items()}
        path = page.get("next", "")
    return found


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_after_a_kill_no_program_is_left_and_files_that_have_arrived_are_processed(tmp_path: Path) -> None:
    with killed(tmp_path) as api:
        sent = [api.upload_directly(scene(number), f"{number}.png") for number in range(5)]
        storage = urlsplit(api.request_upload(content_type="image/png").json()["data"]["upload"]["url"])
        assert listens(storage)
    wait_until(lambda: not listens(storage))
    with killed(tmp_path) as api:

        def states() -> list[str]:
            return [
                requests.get(f"{api.url}/api/images/{image_id}", timeout=_SECONDS).json()["data"]["image_status"]
                for image_id in sent
            ]

        # One file at a time is processed. If one was when the API was killed, its claim lasts for some minutes.
        wait_until(lambda: states().count("success") >= len(sent) - 1)
        assert set(states()) <= {"success", "processing"}


def listens(url: SplitResult) -> bool:
    try:
        socket.create_connection((str(url.hostname), int(url.port or 0)), 1).close()
    except OSError:
        return False
    return True


def test_a_folder_that_cannot_be_made_gives_one_clear_error_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with serve("--port", "0", "--data", str(tmp_path / "file" / "data")) as process:
        _, errors = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 1
    assert errors.count("\n") == 1
    assert errors.startswith(f"error: cannot keep data in {tmp_path / 'file' / 'data'} (Not a directory)")


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("the user's own")
    (tmp_path / "holiday.jpg").touch()
    with serve("--port", "0", "--data", str(tmp_path)) as process:
        _, errors = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 1
    assert errors == f"error: {tmp_path} has files of something else; choose another folder: make serve DATA=\n"
    assert (tmp_path / "lock").read_text() == "the user's own"


def test_a_folder_belongs_to_one_api_and_its_storage_needs_credentials(tmp_path: Path) -> None:
    with killed(tmp_path) as api, serve("--port", "0", "--data", str(tmp_path)) as second:
        thumbnail = urlsplit(api.uploaded(scene(1), "scene.png")["thumbnails"]["small"])
        storage = f"http://{thumbnail.netloc}"
        assert requests.get(thumbnail.geturl(), timeout=_SECONDS).ok
        # ministack has routes of its own. The first one would delete everything.
        assert requests.post(f"{storage}/_ministack/reset", timeout=_SECONDS).status_code == requests.codes.not_found
        assert (
            requests.get(f"{storage}/_ministack/sqs/messages", timeout=_SECONDS).status_code == requests.codes.not_found
        )
        for unsigned in (f"{storage}{thumbnail.path}", f"{storage}/thumbnails"):
            assert requests.get(unsigned, timeout=_SECONDS).status_code == requests.codes.forbidden
        assert requests.get(thumbnail.geturl(), timeout=_SECONDS).ok
        _, errors = second.communicate(timeout=START_SECONDS)
        assert second.returncode == 1
        assert errors == f"error: another API uses {tmp_path}; stop it, or choose another folder: make serve DATA=\n"
