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
    known: Callable[[list[str]], dict[str, str] | None]
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
        uploader.known = lambda _: None
        monkeypatch.setattr(Client, "existing", lambda _, image_ids: uploader.existing(image_ids))
        monkeypatch.setattr(Client, "known", lambda _, digests: uploader.known(digests))
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


def sha256_of(name: str) -> str:
    """Return the digest of the file with this name, whose content `files` has written."""
    return sha256(name.encode()).hexdigest()


def test_files_that_the_api_has_are_not_sent(uploader: Scripted, folder: Path) -> None:
    names = files(folder, 230)
    (folder / "007 copy.png").write_bytes((folder / names[7]).read_bytes())
    there = {sha256_of(name): name for name in names if name != names[3]}
    asked: list[int] = []

    def known(digests: list[str]) -> dict[str, str]:
        asked.append(len(digests))
        assert uploader.uploaded == ([] if len(asked) < 3 else [names[3]])
        return {digest: there[digest] for digest in digests if digest in there}

    uploader.known = known
    uploader.existing = lambda image_ids: {name: image(name) for name in image_ids}
    run = run_of(uploader, folder, sorted([*names, "007 copy.png"]))
    assert asked == [1, 100, 100, 29]
    assert uploader.uploaded == [names[3]]
    expected = dict.fromkeys([*names, "007 copy.png"], "already there") | {names[3]: "success"}
    assert statuses(run) == expected
    entry = uploader.journal.find(sha256_of(names[7]))
    assert (entry["status"], entry["image_id"], entry["caption"]) == ("already there", names[7], "a tree")
    # A second run checks the images, and asks nothing else.
    uploader.known = lambda _: pytest.fail("nothing is new")
    assert statuses(run_of(uploader, folder, sorted(expected))) == expected
    assert uploader.uploaded == [names[3]]


def test_an_image_that_is_gone_may_be_there_as_another(uploader: Scripted, folder: Path) -> None:
    names = files(folder, 2)
    run_of(uploader, folder, names)
    uploader.uploaded.clear()
    uploader.known = lambda digests: {digest: "other" for digest in digests if digest == sha256_of(names[0])}
    uploader.existing = lambda image_ids: {"other": image("other")} if image_ids == ["other"] else {}
    run = run_of(uploader, folder, names)
    assert statuses(run) == {names[0]: "already there", names[1]: "success"}
    assert (uploader.uploaded, run.again) == ([names[1]], 1)
    # Then it is gone too.
    uploader.known, uploader.existing = lambda _: {}, lambda _: {}
    run = run_of(uploader, folder, names)
    assert (set(statuses(run).values()), run.again) == ({"success"}, 2)


def test_a_known_image_that_is_deleted_at_the_same_time_is_uploaded(uploader: Scripted, folder: Path) -> None:
    names = files(folder, 3)
    uploader.known = lambda digests: dict.fromkeys(digests, "gone")
    assert statuses(run_of(uploader, folder, names)) == dict.fromkeys(names, "success")
    assert uploader.uploaded == names


def test_an_api_that_does_not_tell_is_asked_once_about_one_file(uploader: Scripted, folder: Path) -> None:
    names, asked = files(folder, 150), list[list[str]]()

    def known(digests: list[str]) -> None:
        asked.append(digests)

    uploader.known = known
    assert set(statuses(run_of(uploader, folder, names)).values()) == {"success"}
    assert asked == [[sha256_of(names[0])]]


def test_the_api_is_asked_about_file_and_prompt(uploader: Scripted, folder: Path) -> None:
    uploader.prompt, asked = "a large", list[str]()

    def known(digests: list[str]) -> dict[str, str]:
        asked.extend(digests)
        return dict.fromkeys(digests, "1")

    uploader.known, uploader.existing = known, lambda image_ids: {each: image(each) for each in image_ids}
    (name,) = files(folder, 1)
    assert statuses(run_of(uploader, folder, [name])) == {name: "already there"}
    assert asked == [sha256(f"{sha256_of(name)} a large".encode()).hexdigest()]


def test_a_direct_upload_that_has_begun_goes_on(uploader: Scripted, folder: Path) -> None:
    (name,) = files(folder, 1)
    uploader.journal.update(sha256_of(name), image_id="1", form={"url": "https://bucket.example/"})
    uploader.known = lambda _: pytest.fail("it is not new")
    assert statuses(run_of(uploader, folder, [name])) == {name: "success"}


def test_files_that_are_not_asked_about_before_a_stop_are_not_tried(uploader: Scripted, folder: Path) -> None:
    names = files(folder, 30)

    def known(_: list[str]) -> dict[str, str]:
        uploader.known = strange
        return {}

    def strange(_: list[str]) -> dict[str, str]:
        raise RunError("no access")

    uploader.known = known
    run = run_of(uploader, folder, names)
    assert run.stopped == "no access"
    assert statuses(run) == {names[0]: "success"} | dict.fromkeys(names[1:], "not tried")


def test_after_a_stop_the_files_of_an_answer_are_not_tried(uploader: Scripted, folder: Path) -> None:
    names = files(folder, 80)
    uploader.known = lambda _: {}

    def step(name: str) -> Entry:
        uploader.client.stop.is_set = uploader.client.stop.is_set or name == names[9]
        return done(name)

    uploader.step = step
    run = run_of(uploader, folder, names, workers=1)
    assert len(uploader.uploaded) < 15
    assert len(run.results) == 80
    assert statuses(run)[names[79]] == "not tried"


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
