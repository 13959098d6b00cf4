"""The steps of an upload: what is repeated with which identity, and what is asked before that."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from clients.upload_folder.client import Client
from clients.upload_folder.errors import FileError, UnreachableError
from clients.upload_folder.journal import Entry, Journal
from clients.upload_folder.uploader import Uploader
from tests.clocks import Clock
from tests.pictures import scene_png

URL = "https://api.example/"
FORM = {"url": "https://bucket.example/", "fields": {"key": "uploads/1"}}
START = datetime(2031, 5, 1, tzinfo=UTC).timestamp()
LARGE = scene_png().ljust(4_500_001, b"\0")


class Api:
    """A stand-in for the API with one image, whose state the test sets. `now` is its clock."""

    def __init__(self) -> None:
        self.now = START
        self.image: dict[str, Any] | None = None
        self.max_bytes = 50_000_000
        self.form_status, self.post_status, self.s3_status = 201, 200, 204
        self.sent: list[str] = []
        self.keys: list[str] = []
        self.bodies: list[bytes] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(f"{request.method} {request.url.path}")
        date = {"Date": format_datetime(datetime.fromtimestamp(self.now, UTC), usegmt=True)}
        status, body = self.answer(request)
        return httpx.Response(status, json=body, headers=date)

    def answer(self, request: httpx.Request) -> tuple[int, Any]:
        match request.method, request.url.path:
            case "GET", "/api/stats":
                return 200, {"current_status": "success", "data": {}}
            case "POST", "/api/images":
                self.keys.append(request.headers["Idempotency-Key"])
                return self.post_status, finished() if self.post_status == 200 else failed("No.")
            case "POST", "/api/uploads":
                self.bodies.append(request.content)
                ends = datetime.fromtimestamp(self.now + 900, UTC).isoformat()
                data = {"image_id": "1", "upload": FORM, "max_bytes": self.max_bytes, "expires_at": ends}
                return self.form_status, {"current_status": "success", "data": data}
            case "POST", "/":
                self.bodies.append(request.content)
                self.image = self.image or finished()
                return self.s3_status, None
            case "DELETE", _:
                self.image = None
        if self.image is None:
            return 404, {"current_status": "failure", "data": "Image does not exist.", "error": None}
        return 200, {"current_status": "success", "data": self.image}


def finished() -> dict[str, Any]:
    data = {"image_id": "1", "caption": "a tree", "metadata": {"width": 3, "height": 2}}
    return {"image_status": "success", "data": data, "error": None}


def failed(error: str, **others: Any) -> dict[str, Any]:
    data = {"image_id": "1", "original_name": "a.png"}
    return {"current_status": "failure", "image_status": "failure", "data": data, "error": error} | others


PROCESSING = {"image_status": "processing", "data": {"image_id": "1"}, "error": None}


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def uploader(api: Api, tmp_path: Path) -> Iterator[Uploader]:
    client = Client(URL, stop=Clock(), transport=httpx.MockTransport(api))
    client.verify()
    api.sent.clear()
    with Journal(tmp_path / "captions.journal", URL) as journal:
        yield Uploader(client, journal)


def upload(uploader: Uploader, folder: Path, content: bytes = LARGE) -> Entry:
    (folder / "a.png").write_bytes(content)
    return uploader.upload(folder / "a.png", sha256(content).hexdigest())


def interrupted(uploader: Uploader, api: Api, folder: Path, content: bytes = LARGE) -> None:
    """Upload a file whose last response is lost."""
    status = api.s3_status, api.post_status
    api.s3_status = api.post_status = 503
    with pytest.raises(UnreachableError):
        upload(uploader, folder, content)
    api.s3_status, api.post_status = status
    api.image = PROCESSING if len(content) > 4_500_000 else None
    api.sent.clear()
    api.bodies.clear()


def test_a_repeated_form_has_the_key_of_the_first_try(uploader: Uploader, api: Api, tmp_path: Path) -> None:
    interrupted(uploader, api, tmp_path, scene_png())
    assert upload(uploader, tmp_path, scene_png())["caption"] == "a tree"
    assert len(api.keys) == 13
    assert len(set(api.keys)) == 1


@pytest.mark.parametrize("jump", [-10, 10])
def test_the_clock_of_this_machine_does_not_matter(
    uploader: Uploader, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    interrupted(uploader, api, tmp_path, scene_png())
    wrong = time.time() + jump * 365 * 86_400
    monkeypatch.setattr(time, "time", lambda: wrong)
    api.now += 22 * 3600
    uploader.client.verify()
    upload(uploader, tmp_path, scene_png())
    assert len(set(api.keys)) == 1


def test_a_key_that_the_api_has_forgotten_is_not_used_again(uploader: Uploader, api: Api, tmp_path: Path) -> None:
    interrupted(uploader, api, tmp_path, scene_png())
    api.now += 23 * 3600 + 60
    uploader.client.verify()
    upload(uploader, tmp_path, scene_png())
    assert len(set(api.keys)) == 2


def test_a_key_of_another_file_is_given_up(uploader: Uploader, api: Api, tmp_path: Path) -> None:
    api.post_status = 422
    with pytest.raises(FileError, match="No"):
        upload(uploader, tmp_path, scene_png())
    api.post_status = 200
    assert upload(uploader, tmp_path, scene_png())["status"] == "success"
    assert len(set(api.keys)) == 2


@pytest.mark.parametrize("status", [400, 415])
def test_a_verdict_is_remembered(uploader: Uploader, api: Api, tmp_path: Path, status: int) -> None:
    api.post_status = status
    entry = upload(uploader, tmp_path, scene_png())
    assert (entry["status"], entry["error"]) == ("failure", "No.")


def test_a_form_is_requested_once(uploader: Uploader, api: Api, tmp_path: Path) -> None:
    interrupted(uploader, api, tmp_path)
    api.image = PROCESSING
    api.bodies.clear()

    def ends(request: httpx.Request, answer: Any = api.answer) -> Any:
        found = answer(request)
        # Its processing ends when the file has come.
        if request.url.host == "bucket.example":
            api.image = finished()
        return found

    api.answer = ends  # type: ignore[method-assign]
    assert upload(uploader, tmp_path)["caption"] == "a tree"
    assert api.sent == ["GET /api/images/1", "POST /", "GET /api/images/1"]
    assert len(api.bodies[0]) > len(LARGE)


def test_a_file_that_arrived_is_not_sent_again(uploader: Uploader, api: Api, tmp_path: Path) -> None:
    interrupted(uploader, api, tmp_path)
    api.image = finished()
    assert upload(uploader, tmp_path)["caption"] == "a tree"
    assert api.sent == ["GET /api/images/1"]


def test_a_form_that_has_ended_is_replaced(uploader: Uploader, api: Api, tmp_path: Path) -> None:
    interrupted(uploader, api, tmp_path)
    api.now += 700
    assert upload(uploader, tmp_path)["caption"] == "a tree"
    assert api.sent == [
        "GET /api/images/1",
        "DELETE /api/images/1",
        "POST /api/uploads",
        "POST /",
        "GET /api/images/1",
    ]


def test_a_form_that_s3_refuses_is_given_up(uploader: Uploader, api: Api, tmp_path: Path) -> None:
    api.s3_status, api.image = 403, PROCESSING
    with pytest.raises(FileError, match="S3 refused"):
        upload(uploader, tmp_path)
    assert api.sent[-1] == "DELETE /api/images/1"
    api.s3_status, api.image = 204, None
    assert upload(uploader, tmp_path)["status"] == "success"


def test_a_failure_of_the_pipeline_is_no_verdict(uploader: Uploader, api: Api, tmp_path: Path) -> None:
    api.image = failed("Please upload it again.", temporary=True)
    with pytest.raises(FileError, match="upload it again"):
        upload(uploader, tmp_path)
    # Another run replaces the image, unless it was repaired meanwhile.
    api.sent.clear()
    api.image = failed("Please upload it again.", temporary=True)
    upload(uploader, tmp_path)
    assert api.sent[:3] == ["GET /api/images/1", "DELETE /api/images/1", "POST /api/uploads"]


def test_a_verdict_of_the_worker_is_remembered(uploader: Uploader, api: Api, tmp_path: Path) -> None:
    api.image = failed("The image is damaged.")
    entry = upload(uploader, tmp_path)
    assert (entry["status"], entry["error"], "form" in entry) == ("failure", "The image is damaged.", False)


def test_a_deleted_image_is_no_verdict(uploader: Uploader, api: Api, tmp_path: Path) -> None:
    def deleted(request: httpx.Request, answer: Any = api.answer) -> Any:
        found = answer(request)
        api.image = None
        return found

    api.answer = deleted  # type: ignore[method-assign]
    with pytest.raises(FileError, match="was deleted"):
        upload(uploader, tmp_path)


def test_a_file_that_is_too_large_is_refused_by_its_size(uploader: Uploader, api: Api, tmp_path: Path) -> None:
    api.max_bytes = 1
    entry = upload(uploader, tmp_path)
    assert entry["error"] == "The file is larger than 1 bytes. Please compress it more strongly."
    assert api.sent == ["POST /api/uploads", "DELETE /api/images/1"]
    # The limit is known now.
    api.sent.clear()
    assert upload(uploader, tmp_path, LARGE + b"x")["status"] == "failure"
    assert api.sent == []


# The bodies of a 413: from the function, and from API Gateway for less and for more than 10 MB.
def test_a_file_that_is_too_large_for_a_form_goes_to_the_bucket(uploader: Uploader, api: Api, tmp_path: Path) -> None:
    api.post_status = 413
    assert upload(uploader, tmp_path, scene_png())["caption"] == "a tree"
    assert json.loads(api.bodies[0]) == {"filename": "a.png", "content_type": "image/png"}


@pytest.mark.parametrize("content", [scene_png(), LARGE])
def test_a_file_that_changes_is_not_stored_under_another_digest(
    uploader: Uploader, api: Api, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "a.png").write_bytes(content + b"x")
    with pytest.raises(FileError, match="changed"):
        uploader.upload(tmp_path / "a.png", sha256(content).hexdigest())
    assert api.sent[-1] == "DELETE /api/images/1"
    assert "status" not in uploader.journal.find(sha256(content).hexdigest())


def test_a_prompt_is_sent_both_ways(uploader: Uploader, api: Api, tmp_path: Path) -> None:
    uploader.prompt = "a photo of"
    upload(uploader, tmp_path)
    assert json.loads(api.bodies[0])["prompt"] == "a photo of"
