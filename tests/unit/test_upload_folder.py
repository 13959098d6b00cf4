"""How the command that uploads a folder waits when the API is busy or cannot be reached."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import requests
import responses
from responses import matchers

from clients.upload_folder.client import Client, StoppedError, UnreachableError
from clients.upload_folder.journal import Journal
from clients.upload_folder.uploader import Uploader

URL = "http://127.0.0.1:1/"
IMAGE = {"image_status": "success", "data": {"image_id": "1", "caption": "a tree"}, "error": None}


class Clock(threading.Event):
    """Remembers the pauses instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout or 0)
        return self.is_set()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def uploader(tmp_path: Path, clock: Clock) -> Uploader:
    (tmp_path / "a.png").write_bytes(b"a")
    return Uploader(Client(URL, clock), Journal(tmp_path / "captions.journal", URL))


@pytest.fixture
def api() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.mark.parametrize("status", [429, 503])
def test_it_waits_as_long_as_the_api_asks(
    uploader: Uploader, clock: Clock, api: responses.RequestsMock, tmp_path: Path, status: int
) -> None:
    api.post(f"{URL}api/images", status=status, headers={"Retry-After": "7"})
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    api.post(f"{URL}api/images", status=status, headers={"Retry-After": date})
    api.post(f"{URL}api/images", status=status, headers={"Retry-After": "soon"})
    api.post(f"{URL}api/images", json=IMAGE)
    assert uploader.upload(tmp_path / "a.png")["caption"] == "a tree"
    # After a value that means nothing, it waits as long as without one.
    assert clock.pauses == [7, pytest.approx(100, abs=5), 2]
    # The four requests are one upload.
    assert len({call.request.headers["Idempotency-Key"] for call in api.calls}) == 1


def test_it_waits_longer_and_longer_and_gives_up(
    uploader: Uploader, clock: Clock, api: responses.RequestsMock, tmp_path: Path
) -> None:
    api.post(f"{URL}api/images", body=requests.ConnectionError())
    with pytest.raises(UnreachableError, match="ConnectionError"):
        uploader.upload(tmp_path / "a.png")
    assert clock.pauses == sorted(clock.pauses)
    assert (clock.pauses[0], clock.pauses[-1]) == (0.5, 60)


def test_it_stops_while_it_waits(uploader: Uploader, clock: Clock, api: responses.RequestsMock, tmp_path: Path) -> None:
    api.post(f"{URL}api/images", status=503)
    clock.set()
    with pytest.raises(StoppedError):
        uploader.upload(tmp_path / "a.png")


# The bodies of a 413: from the function, and from API Gateway for less and for more than 10 MB.
@pytest.mark.parametrize("body", ['{"error": "too large"}', '{"message":"Request Too Long"}', "HTTP content length"])
def test_a_file_that_is_too_large_for_a_form_goes_to_the_bucket(
    uploader: Uploader, api: responses.RequestsMock, tmp_path: Path, body: str
) -> None:
    form = {"url": "http://127.0.0.1:2/", "fields": {"key": "uploads/1"}}
    api.post(f"{URL}api/images", status=413, body=body)
    requested = {"data": {"image_id": "1", "max_bytes": 1, "upload": form}}
    wanted = {"filename": "a.png", "content_type": "image/png"}
    api.post(f"{URL}api/uploads", status=201, json=requested, match=[matchers.json_params_matcher(wanted)])
    api.post(form["url"], status=204)
    api.get(f"{URL}api/images/1", json={"data": IMAGE})
    assert uploader.upload(tmp_path / "a.png")["caption"] == "a tree"


def test_a_file_that_is_too_large_for_the_bucket_is_not_sent(
    uploader: Uploader, api: responses.RequestsMock, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"aa")
    api.post(f"{URL}api/images", status=413)
    api.post(f"{URL}api/uploads", status=201, json={"data": {"image_id": "1", "max_bytes": 1, "upload": {}}})
    api.delete(f"{URL}api/images/1")
    entry = uploader.upload(tmp_path / "a.png")
    assert entry["error"] == "The file is larger than 1 bytes. Please compress it more strongly."
