"""A run of the command that uploads a folder: whatever happens, each file has a result."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from clients.progress import progress
from clients.upload_folder.client import Client
from clients.upload_folder.errors import FileError, RunError, StoppedError, UnreachableError
from clients.upload_folder.journal import Entry, Journal, JournalError
from clients.upload_folder.run import Run
from clients.upload_folder.uploader import Uploader
from tests.clocks import Clock

URL = "https://api.example/"
Step = Callable[[str], Entry]


class Scripted(Uploader):
    """An uploader whose uploads and checks are those of the test. `uploaded` has the names of the files."""

    step: Step
    existing: Callable[[list[str]], dict[str, Any]]
    uploaded: list[str]

    def upload(self, path: Path, digest: str) -> Entry:
        self.uploaded.append(path.name)
        entry = self.step(path.name)
        return self.journal.update(digest, **entry)


def done(name: str) -> Entry:
    return {"status": "success", "image_id": name, "caption": "a tree"}


@pytest.fixture
def uploader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    with Journal(tmp_path / "captions.journal", URL) as journal:
        uploader = Scripted(Client(URL, stop=Clock()), journal)
        uploader.step, uploader.uploaded, uploader.existing = done, [], lambda _: {}
        monkeypatch.setattr(Client, "existing", lambda _, image_ids: uploader.existing(image_ids))
        yield uploader


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    path.mkdir()
    return path


def files(folder: Path, count: int, first: int = 0) -> list[str]:
    names = [f"{number:03}.png" for number in range(first, first + count)]
    for name in names:
        (folder / name).write_bytes(name.encode())
    return names


def run_of(uploader: Scripted, folder: Path, names: Any, workers: int = 2, **options: Any) -> Run:
    with progress("file") as shown:
        run = Run(folder, uploader, shown, workers, **options)
        run.upload(names)
    return run


def statuses(run: Run) -> dict[str, str]:
    return {result.name: result.status for result in run.results}


def image(name: str) -> dict[str, Any]:
    return {"image_status": "success", "data": {"image_id": name, "caption": "a tree"}}


@pytest.mark.parametrize(
    "error", [FileError("no"), UnreachableError("no"), OSError(5, "no"), ValueError("no"), MemoryError(), KeyError("x")]
)
def test_one_file_does_not_decide_about_the_others(uploader: Scripted, folder: Path, error: Exception) -> None:
    names = files(folder, 30)

    def step(name: str) -> Entry:
        if name == names[11]:
            raise error
        return done(name)

    uploader.step = step
    run = run_of(uploader, folder, names)
    assert statuses(run) == dict.fromkeys(names, "success") | {names[11]: "not uploaded"}
    assert run.stopped is None


@pytest.mark.parametrize("error", [RunError("no access"), JournalError("no access")])
def test_after_an_error_of_all_files_the_others_are_not_tried(
    uploader: Scripted, folder: Path, error: Exception
) -> None:
    names = files(folder, 30)

    def step(name: str) -> Entry:
        if name >= names[11]:
            raise error
        return done(name)

    uploader.step = step
    run = run_of(uploader, folder, names, workers=1)
    assert run.stopped == "no access"
    assert statuses(run) == dict.fromkeys(names[:11], "success") | dict.fromkeys(names[11:], "not tried")
    assert len(uploader.uploaded) < 16


def test_a_request_to_stop_ends_the_run_without_a_reason(uploader: Scripted, folder: Path) -> None:
    names = files(folder, 30)

    def step(name: str) -> Entry:
        if uploader.client.stop.is_set:
            raise StoppedError
        uploader.client.stop.is_set = name == names[3]
        return done(name)

    uploader.step = step
    run = run_of(uploader, folder, names, workers=1)
    assert run.stopped is None
    assert statuses(run) == dict.fromkeys(names[:4], "success") | dict.fromkeys(names[4:], "not tried")


def test_an_unforeseen_error_of_the_walk_or_the_check_loses_no_result(uploader: Scripted, folder: Path) -> None:
    names = files(folder, 5)

    def broken() -> Iterator[str]:
        yield from names
        raise RuntimeError("no more names")

    run = run_of(uploader, folder, broken())
    assert run.stopped == "RuntimeError: no more names"
    assert statuses(run) == dict.fromkeys(names, "success")
    uploader.client.stop.is_set = False

    def strange(_: list[str]) -> dict[str, Any]:
        raise KeyError("content")

    uploader.existing = strange
    more = files(folder, 3, first=5)
    run = run_of(uploader, folder, names + more)
    assert run.stopped == "KeyError: 'content'"
    assert statuses(run) == dict.fromkeys(names, "not tried") | dict.fromkeys(more, "success")


def test_files_with_the_same_content_are_one_upload(uploader: Scripted, folder: Path) -> None:
    names = files(folder, 3)
    (folder / names[2]).write_bytes((folder / names[0]).read_bytes())
    run = run_of(uploader, folder, names)
    assert statuses(run) == dict.fromkeys(names, "success")
    assert sorted(uploader.uploaded) == names[:2]


def test_remembered_images_are_checked_a_hundred_at_a_time(uploader: Scripted, folder: Path) -> None:
    names = files(folder, 230)
    run_of(uploader, folder, names)
    uploader.uploaded.clear()
    asked: list[int] = []

    def existing(image_ids: list[str]) -> dict[str, Any]:
        asked.append(len(image_ids))
        return {name: image(name) for name in image_ids if name != names[99]}

    uploader.existing = existing
    # A copy of a file whose image is gone comes right after the check that has noticed it.
    (folder / "099 copy.png").write_bytes((folder / names[99]).read_bytes())
    run = run_of(uploader, folder, sorted([*names, "099 copy.png"]))
    assert asked == [100, 100, 30]
    assert len(uploader.uploaded) == 1
    assert set(statuses(run).values()) == {"success"}
    assert len(run.results) == 231


def test_a_verdict_is_remembered_until_it_is_to_be_tried_again(uploader: Scripted, folder: Path) -> None:
    names = files(folder, 2)
    uploader.step = lambda _: {"status": "failure", "error": "damaged"}
    run_of(uploader, folder, names)
    uploader.uploaded.clear()
    uploader.step = done
    assert set(statuses(run_of(uploader, folder, names)).values()) == {"failure"}
    assert uploader.uploaded == []
    assert set(statuses(run_of(uploader, folder, names, retry_failed=True)).values()) == {"success"}


def test_if_none_of_the_first_files_can_be_uploaded_the_run_stops(uploader: Scripted, folder: Path) -> None:
    names = files(folder, 80)

    def step(_: str) -> Entry:
        raise FileError("S3 refused the form")

    uploader.step = step
    run = run_of(uploader, folder, names)
    assert run.stopped == "none of the first 50 files could be uploaded: S3 refused the form"
    assert 50 <= len(uploader.uploaded) < 60
    assert len(run.results) == 80


def test_a_file_that_cannot_be_read_is_named(uploader: Scripted, folder: Path) -> None:
    names = files(folder, 3)
    (folder / names[1]).unlink()
    (folder / names[1]).symlink_to("nothing")
    run = run_of(uploader, folder, names)
    assert [result.error for result in run.results] == [
        None,
        "The file cannot be read: No such file or directory.",
        None,
    ]
    assert sha256(names[0].encode()).hexdigest() == run.results[0].digest
