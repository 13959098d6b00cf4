"""How the command that uploads a folder waits when the API is busy or cannot be reached."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import requests
import responses

from tools.upload_folder import Journal, StoppedError, UnreachableError, Uploader

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
    return Uploader(URL, Journal(tmp_path / "captions.journal", URL), clock)


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
