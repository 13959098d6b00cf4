"""Which files of a folder are sent, and what is told about the others."""

import os
import socket
from pathlib import Path

import pytest

from clients import cells, left_out
from clients.stopping import StopRequest
from clients.upload_folder import files
from clients.upload_folder.files import LeftOut
from tests.pictures import scene_png

JPEG_START = b"\xff\xd8\xff\xe0"


def found(folder: Path, *excluded: str) -> tuple[list[str], LeftOut]:
    left = LeftOut()
    return list(files.walk(folder, excluded, left, StopRequest())), left


def test_files_are_chosen_by_their_first_bytes_or_their_extension(tmp_path: Path) -> None:
    pictures = ["a.JPG", "b.jfif", "c.jpe", "d", "e.txt", "f.png"]
    for name in pictures:
        (tmp_path / name).write_bytes(JPEG_START)
    # Its own verdict is better than silence.
    (tmp_path / "g.jpeg").write_bytes(b"")
    (tmp_path / "h.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "i").write_bytes(b"text")
    (tmp_path / "j.heic").write_bytes(b"\0\0\0\x18ftypheic")
    names, left = found(tmp_path)
    assert names == [*pictures, "g.jpeg"]
    assert left.numbers == {"other files": 1}
    assert left.other_pictures == {".heic files": 2}


def test_system_files_and_hidden_folders_are_left_out_and_counted(tmp_path: Path) -> None:
    left_out_names = [
        "._a.jpg",
        ".DS_Store",
        "Thumbs.db",
        "@eaDir/a.jpg",
        "__MACOSX/a.jpg",
        ".thumbnails/a.jpg",
        ".Trash-1000/files/a.jpg",
        "more/@eaDir/a.jpg",
    ]
    for name in ["a.jpg", ".hidden.jpg", "more/a.jpg", *left_out_names]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(JPEG_START)
        assert left_out.is_left_out(name) == (name in left_out_names)
    names, left = found(tmp_path)
    assert sorted(names) == [".hidden.jpg", "a.jpg", "more/a.jpg"]
    assert left.numbers == {"system files": 3}
    assert left.hidden_folders == [".Trash-1000", ".thumbnails", "@eaDir", "__MACOSX", "more/@eaDir"]


def test_patterns_exclude_files_and_folders(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png", "drafts/c.jpg", "trips/drafts/d.jpg", "trips/e.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(JPEG_START)
    names, left = found(tmp_path, "*.png", "drafts/", "*.gif")
    assert names == ["a.jpg", "trips/e.jpg"]
    assert left.numbers == {"excluded": 3}
    assert left.unused == {"*.gif"}
    assert found(tmp_path, "trips/*")[0] == ["a.jpg", "b.png", "drafts/c.jpg"]


def test_names_may_have_any_bytes(tmp_path: Path) -> None:
    raw = [b"caf\xe9.jpg", b"new\nline.jpg", "\u202eright.jpg".encode(), b" space .jpg", b"\xff"]
    for name in raw:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(JPEG_START)
    names, _ = found(tmp_path)
    assert {os.fsencode(name) for name in names} == set(raw)
    assert [cells.shown(name).encode() for name in names if "caf" in name] == [rb"caf\xe9.jpg"]


def test_links_and_loops(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.jpg").write_bytes(JPEG_START)
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "file.jpg").symlink_to(tmp_path / "real" / "a.jpg")
    (tmp_path / "gone.jpg").symlink_to("nothing")
    names, left = found(tmp_path)
    # What cannot be opened is wanted, so that its error is shown.
    assert names == ["file.jpg", "gone.jpg", "real/a.jpg", "self"]
    assert left.linked_folders == ["folder", "real/loop"]


@pytest.fixture
def unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that cannot be listed. The tests may run as root, who can list all."""
    folder, scandir = tmp_path / "locked", os.scandir
    folder.mkdir()

    def refuse(path: Path) -> object:
        if Path(path) == folder:
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    return folder


def test_unreadable_folders_are_named_and_the_others_are_read(tmp_path: Path, unreadable: Path) -> None:
    for name in ("a", "z"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(JPEG_START)
    names, left = found(tmp_path)
    assert names == ["a/a.jpg", "z/a.jpg"]
    assert left.unreadable_folders == {unreadable.name: "Permission denied"}


def test_after_a_stop_no_file_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.jpg", "b.jpg", "c", "d.heic"):
        (tmp_path / name).write_bytes(JPEG_START)
    left, stop = LeftOut(), StopRequest()
    names = files.walk(tmp_path, [], left, stop)
    assert next(names) == "a.jpg"
    stop.set()
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("a file was opened"))
    assert list(names) == ["b.jpg"]
    assert left.numbers + left.other_pictures == {"not looked at after the stop": 2}


def test_pipes_and_sockets_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.jpg"))
        names, left = found(tmp_path)
    assert names == []
    assert left.numbers == {"pipes, sockets and devices": 2}


def test_deep_folders_do_not_end_the_walk(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(1200):
        folder /= "a"
        if len(str(folder)) > 3900:
            break
        folder.mkdir()
        deepest = folder
    (deepest / "a.jpg").write_bytes(JPEG_START)
    assert len(found(tmp_path)[0]) == 1
    # Python removes such a tree only with a recursion that is too deep.
    (deepest / "a.jpg").unlink()
    while deepest != tmp_path:
        deepest.rmdir()
        deepest = deepest.parent


def test_the_first_name_comes_before_the_folder_is_read(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "a.jpg").write_bytes(JPEG_START)
    names = files.walk(tmp_path, [], LeftOut(), StopRequest())
    assert next(names) == "0/a.jpg"
    (tmp_path / "2" / "b.jpg").write_bytes(JPEG_START)
    assert list(names) == ["1/a.jpg", "2/a.jpg", "2/b.jpg"]


@pytest.mark.parametrize(
    ("start", "name", "expected"),
    [
        (scene_png()[:16], "a.jpg", "image/png"),
        (JPEG_START, "a", "image/jpeg"),
        (b"GIF89a", "a.JPEG", "image/jpeg"),
        (b"", "a", ""),
    ],
)
def test_the_media_type_comes_from_the_content(start: bytes, name: str, expected: str) -> None:
    assert files.media_type(start, name) == expected
