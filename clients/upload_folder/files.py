"""The files of a folder: which are sent, and which are left out."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Literal

from clients import left_out
from clients.stopping import StopRequest
from image_pipeline.models import MEDIA_TYPES, ImageFormat

_SIGNATURE_BYTES = max(len(row.signature) for row in ImageFormat)
# Pictures of other formats are counted on their own, because people expect them to be uploaded.
_OTHER_PICTURES = {
    *(".heic", ".heif", ".avif", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".jxl", ".jp2"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"),
}
Kind = Literal["wanted", "folder", "linked folder", "left out"]


@dataclass
class LeftOut:
    """What a walk through a folder did not give: numbers by kind, and the names that the user should know.

    Names are relative to the folder, and may have bytes that are not UTF-8 (PEP 383). `unused` are the patterns that
    have excluded nothing.
    """

    numbers: Counter[str] = field(default_factory=Counter)
    other_pictures: Counter[str] = field(default_factory=Counter)
    hidden_folders: list[str] = field(default_factory=list)
    linked_folders: list[str] = field(default_factory=list)
    unreadable_folders: dict[str, str] = field(default_factory=dict)
    unused: set[str] = field(default_factory=set)


def walk(folder: Path, excluded: Sequence[str], left: LeftOut, stop: StopRequest) -> Iterator[str]:
    """Yield the names of the files to send, relative to the folder, in alphabetical order within each folder.

    These are the files that begin like an accepted format or have its extension, and those that cannot be read: opening
    them tells why. `excluded` are patterns such as *.png and drafts/*. Everything else is noted in `left`.

    After `stop` is set, no file is opened: only the extension decides.
    """
    patterns = {pattern: pattern.rstrip("/") for pattern in excluded}
    left.unused = set(patterns)
    # A loop, because folders may be nested more deeply than functions may be called.
    waiting = [_entries(folder, "", left)]
    while waiting:
        entry = next(waiting[-1], None)
        if entry is None:
            waiting.pop()
            continue
        name = os.path.relpath(entry.path, folder)
        fitting = {
            written
            for written, pattern in patterns.items()
            if fnmatchcase(name, pattern) or fnmatchcase(entry.name, pattern)
        }
        if fitting:
            left.unused -= fitting
            left.numbers["excluded"] += 1
            continue
        match _kind_of(entry, name, left, stop):
            case "wanted":
                yield name
            case "folder":
                waiting.append(_entries(folder, name, left))
            case "linked folder":
                left.linked_folders.append(name)


def media_type(content_start: bytes, name: str) -> str:
    """Return the media type of a file by its first bytes, or else by its extension, or an empty text."""
    for row in ImageFormat:
        if content_start.startswith(row.signature):
            return row.media_type
    return MEDIA_TYPES.get(PurePath(name).suffix.lower().removeprefix("."), "")


def _entries(folder: Path, name: str, left: LeftOut) -> "Iterator[os.DirEntry[str]]":
    try:
        with os.scandir(folder / name) as entries:
            return iter(sorted(entries, key=lambda entry: entry.name))
    except OSError as error:
        left.unreadable_folders[name or "."] = error.strerror or type(error).__name__
        return iter(())


def _kind_of(entry: "os.DirEntry[str]", name: str, left: LeftOut, stop: StopRequest) -> Kind:
    """Return what an entry is. If it is left out, this is noted."""
    try:
        if entry.is_dir(follow_symlinks=False):
            if not left_out.is_folder_left_out(entry.name):
                return "folder"
            left.hidden_folders.append(name)
            return "left out"
        if entry.is_dir():
            return "linked folder"
        kind = _kind_of_file(entry, stop)
    except OSError:
        # Opening the file again tells the reason to the user.
        return "wanted"
    if kind is None:
        return "wanted"
    is_picture = PurePath(entry.name).suffix.lower() in _OTHER_PICTURES
    (left.other_pictures if is_picture else left.numbers)[kind] += 1
    return "left out"


def _kind_of_file(entry: "os.DirEntry[str]", stop: StopRequest) -> str | None:
    """Return as what a file is left out, or None if it is wanted. Raises OSError."""
    if left_out.is_file_left_out(entry.name):
        return "system files"
    # A broken link is no file, and must be named. Opening a pipe would wait for a writer.
    if not entry.is_file() and not (entry.is_symlink() and not Path(entry).exists()):
        return "pipes, sockets and devices"
    if media_type(b"" if stop.is_set else _start(entry), entry.name):
        return None
    return "not looked at after the stop" if stop.is_set else f"{PurePath(entry.name).suffix.lower() or 'other'} files"


def _start(entry: "os.DirEntry[str]") -> bytes:
    with Path(entry).open("rb") as file:
        return file.read(_SIGNATURE_BYTES)
