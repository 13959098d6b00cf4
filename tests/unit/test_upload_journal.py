"""What the command that uploads a folder remembers."""

import resource
from hashlib import sha256
from pathlib import Path

import pytest

from clients.upload_folder.journal import Journal, JournalError

URL = "https://api.example/"
DIGEST, OTHER = (sha256(content).hexdigest() for content in (b"a", b"b"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "captions.journal"


def test_the_last_line_about_a_file_counts(path: Path) -> None:
    with Journal(path, URL) as journal:
        assert journal.find(DIGEST) == {}
        journal.update(DIGEST, key="1", begun=1)
        journal.update(OTHER, status="failure")
        journal.update(DIGEST, key=None, status="success")
        expected = {"url": URL, "sha256": DIGEST, "prompt": "", "begun": 1, "status": "success"}
        assert journal.find(DIGEST) == expected
    with Journal(path, URL) as journal:
        assert journal.find(DIGEST) == expected
        assert journal.find(OTHER)["status"] == "failure"
    # Another API, and another prompt, are other uploads.
    with Journal(path, "https://other.example/") as journal:
        assert journal.find(DIGEST) == {}
    with Journal(path, URL, "a photo of") as journal:
        assert journal.find(DIGEST) == {}
        journal.update(DIGEST, status="failure")
    with Journal(path, URL) as journal:
        assert journal.find(DIGEST)["status"] == "success"


def test_a_journal_of_an_older_version_stays_valid(path: Path) -> None:
    path.write_text(f'\n{{"url": "{URL}", "sha256": "{DIGEST}", "status": "success", "image_id": "1"}}')
    with Journal(path, URL) as journal:
        assert journal.find(DIGEST)["image_id"] == "1"


@pytest.mark.parametrize(
    "damage",
    [b'\n{"url": "https', b"\n\xff\xfe", b"\n[1]", b'\n{"url": 1}', b'\n{"url": "%s", "sha256": "x"}', b"\n\0"],
)
def test_lines_that_cannot_be_read_are_passed_over(path: Path, damage: bytes) -> None:
    with Journal(path, URL) as journal:
        journal.update(DIGEST, key="1")
    path.write_bytes(damage.replace(b"%s", URL.encode()) + path.read_bytes() + damage)
    with Journal(path, URL) as journal:
        assert journal.find(DIGEST)["key"] == "1"
        journal.update(OTHER, key="2")
    with Journal(path, URL) as journal:
        assert journal.find(OTHER)["key"] == "2"


def test_a_second_run_is_told_who_has_the_journal(path: Path) -> None:
    with Journal(path, URL) as journal:
        journal.note_folder("/pictures")
        with (
            pytest.raises(JournalError, match=r"another run uses .*captions.journal: process \d+ on .+, since 2"),
            Journal(path, URL),
        ):
            pass
    with Journal(path, URL) as journal:
        assert journal.folder == "/pictures"


def test_a_journal_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.journal").mkdir()
    (tmp_path / "b.lock").mkdir()
    for name in ("a.journal", "b.journal"):
        with pytest.raises(JournalError, match="cannot be"), Journal(tmp_path / name, URL):
            pass


def test_a_full_disk_is_an_error_of_the_journal(path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal(path, URL) as journal:
        journal.update(OTHER, key="1")
        # Not the disk is full, but the file may not grow.
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, before[1]))
        try:
            with pytest.raises(JournalError, match="cannot be written: File too large"):
                journal.update(DIGEST, key="2")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert journal.find(OTHER)["key"] == "1"
        assert journal.find(DIGEST) == {}


def test_a_journal_that_is_deleted_or_is_none_is_an_error(path: Path) -> None:
    with Journal(path, URL) as journal:
        journal.update(OTHER, key="1")
        path.unlink()
        with pytest.raises(JournalError, match="cannot be written"):
            journal.update(DIGEST, key="2")
        with pytest.raises(JournalError, match="cannot be read"):
            journal.find(OTHER)
    path.write_text("my own journal\n")
    with pytest.raises(JournalError, match="is no journal of this command"), Journal(path, URL):
        pass
    assert path.read_text() == "my own journal\n"


def test_reading_needs_no_lock_and_makes_no_file(path: Path) -> None:
    journal = Journal(path, URL)
    journal.read()
    assert not [*path.parent.iterdir()]
    with Journal(path, URL) as writer:
        writer.update(DIGEST, status="success")
        journal.read()
        assert journal.find(DIGEST)["status"] == "success"
