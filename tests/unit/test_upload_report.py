"""The results of the command that uploads a folder."""

import csv
import json
import resource
from hashlib import sha256
from pathlib import Path

import pytest

from clients.upload_folder import report
from clients.upload_folder.files import LeftOut
from clients.upload_folder.journal import Journal
from clients.upload_folder.report import Report, ReportError
from clients.upload_folder.run import Result

URL = "https://api.example/"
DIGEST, OTHER = (sha256(content).hexdigest() for content in (b"a", b"b"))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    with Journal(tmp_path / "captions.journal", URL) as journal:
        journal.update(DIGEST, status="success", image_id="1", caption='=HYPERLINK("x")', width=3, height=2)
        journal.update(OTHER, status="failure", error="The image is damaged.")
        return journal


RESULTS = [
    Result("+a.png", DIGEST, "success"),
    Result("b.png", OTHER, "failure"),
    Result("caf\udce9.png", None, "not uploaded", "ReadTimeout"),
    Result("d.png", None, "not tried"),
]


def test_the_csv_file_is_safe_to_open_with_a_spreadsheet_program(journal: Journal, tmp_path: Path) -> None:
    Report(RESULTS, journal, tmp_path / "captions.csv").write_csv()
    content = (tmp_path / "captions.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbffile,image_id,status,width,height,caption,error\r\n")
    rows = list(csv.reader(content.decode("utf-8-sig").splitlines()))
    assert rows[1:] == [
        ["'+a.png", "1", "success", "3", "2", '\'=HYPERLINK("x")', ""],
        ["b.png", "", "failure", "", "", "", "The image is damaged."],
        [r"caf\xe9.png", "", "not uploaded", "", "", "", "ReadTimeout"],
        ["d.png", "", "not tried", "", "", "", ""],
    ]


def test_the_json_file_has_the_same_results(journal: Journal, tmp_path: Path) -> None:
    Report(RESULTS, journal, tmp_path / "captions.csv").write_json(tmp_path / "captions.json")
    rows = json.loads((tmp_path / "captions.json").read_text())
    assert [row["file"] for row in rows] == ["+a.png", "b.png", r"caf\xe9.png", "d.png"]
    assert rows[0]["caption"] == '=HYPERLINK("x")'
    Report([], journal, tmp_path / "captions.csv").write_json(tmp_path / "captions.json")
    assert json.loads((tmp_path / "captions.json").read_text()) == []


def test_a_result_that_cannot_be_written_leaves_the_older_one(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "captions.csv"
    Report(RESULTS, journal, path).write_csv()
    before = path.read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Not the disk is full, but files may not grow.
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before), limit[1]))
    try:
        with pytest.raises(ReportError, match="cannot be written: File too large"):
            Report(RESULTS * 1000, journal, path).write_csv()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert path.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {"captions.csv", "captions.journal", "captions.lock"}


def test_only_an_older_result_is_replaced(journal: Journal, tmp_path: Path) -> None:
    report.require_replaceable_csv(tmp_path / "captions.csv")
    Report(RESULTS, journal, tmp_path / "captions.csv").write_csv()
    Report(RESULTS, journal, tmp_path / "captions.csv").write_json(tmp_path / "captions.json")
    report.require_replaceable_csv(tmp_path / "captions.csv")
    report.require_replaceable_json(tmp_path / "captions.json")
    # Older versions wrote no byte order mark.
    (tmp_path / "old.csv").write_text("file,image_id,status,width,height,caption,error\r\n")
    report.require_replaceable_csv(tmp_path / "old.csv")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    (tmp_path / "settings.ini").write_text("[main]\n")
    others = ["photo.png", "settings.ini", ".", "nowhere/a.csv", "captions.journal", "/dev/null"]
    for path in (tmp_path / name for name in others):
        for check in (report.require_replaceable_csv, report.require_replaceable_json):
            with pytest.raises(ReportError):
                check(path)


def test_a_file_that_was_not_tried_keeps_what_an_earlier_run_has_found(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "captions.csv"
    Report(RESULTS, journal, path).write_csv()
    Report([Result("+a.png", None, "not tried"), Result("new.png", None, "not tried")], journal, path).write_csv()
    rows = list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))
    assert [row["file"] for row in rows] == ["'+a.png", "new.png"]
    assert (rows[0]["status"], rows[0]["caption"], rows[0]["image_id"]) == ("not tried", '\'=HYPERLINK("x")', "1")


def test_the_summary_tells_everything(journal: Journal, tmp_path: Path) -> None:
    left = LeftOut(
        linked_folders=["more"],
        hidden_folders=[".thumbnails"],
        unreadable_folders={"locked\n": "Permission denied"},
        unused={"drafts"},
    )
    left.numbers[".J\udce4nner files"] = 2
    left.other_pictures[".heic files"] = 8000
    assert list(Report(RESULTS, journal, tmp_path / "captions.csv").summary(left)) == [
        "success: 1  failure: 1  not uploaded: 1  not tried: 1",
        "  b.png  failure: The image is damaged.",
        r"  caf\xe9.png  not uploaded: ReadTimeout",
        r"left out: 2 .J\xe4nner files",
        "left out: 8,000 .heic files. The API does not accept these pictures",
        "left out: .thumbnails, a hidden or system folder",
        "left out: more, a link to a folder",
        "note: --exclude drafts has excluded nothing",
        r"error: the folder locked\n cannot be read: Permission denied",
    ]
    *_, last = Report([RESULTS[2]] * 25, journal, tmp_path / "captions.csv").summary(LeftOut())
    assert last == f"  and 5 more, which are in {tmp_path / 'captions.csv'}"
