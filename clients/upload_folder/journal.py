"""The journal: what is known about each file, so that a later run does not upload it again."""

import json
import os
import socket
import threading
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

Entry = dict[str, Any]
# The status of a file that the API had before, from another client or another journal.
ALREADY_THERE = "already there"
# The statuses of files with a finished image.
DONE = frozenset({"success", ALREADY_THERE})


class JournalError(Exception):
    """The journal cannot be used. The message says why, and what to do."""


class Journal:
    """The entries of the files that were uploaded to the API at `url`, by the SHA-256 of the file and the prompt.

    The file has one JSON object per line, and only grows: the last line about a file counts. A change is on disk before
    the next request is sent. In memory are only the positions of the lines.

    A process that uses it in a `with` block has it alone. All methods raise JournalError.
    """

    def __init__(self, path: Path, url: str, prompt: str = "") -> None:
        self._path, self._url, self._prompt = path, url, prompt
        self._positions: dict[bytes, int] = {}
        self._file: FileIO | None = None
        self._lock = threading.Lock()
        self._process_lock = FileLock(path.with_suffix(".lock"))
        self._holder, self._is_ours = "an unknown process", False
        # The folder of the last results, if there are any.
        self.folder: str | None = None

    def __enter__(self) -> Self:
        try:
            self._process_lock.acquire(blocking=False)
        except Timeout:
            self.read()
            raise JournalError(
                f"another run uses {self._path}: {self._holder}. Please wait until it ends, or choose another --csv"
            ) from None
        except OSError as error:
            raise JournalError(f"{self._path} cannot be locked: {error}") from error
        try:
            self.read()
            self._file = FileIO(self._path, "a")
        except (OSError, JournalError) as error:
            self._process_lock.release()
            raise JournalError(f"{self._path} cannot be used: {error}") from error
        begun = datetime.now(UTC).isoformat(timespec="seconds")
        self._append({"holder": f"process {os.getpid()} on {socket.gethostname()}, since {begun}"})
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()
        self._process_lock.release()

    def read(self) -> None:
        """Find the entries, without having the journal alone. Half a line of a killed process is passed over."""
        try:
            with self._path.open("rb") as file:
                position = 0
                for line in file:
                    self._note(line, position)
                    position += len(line)
        except FileNotFoundError:
            return
        except OSError as error:
            raise JournalError(f"{self._path} cannot be read: {error.strerror}") from error
        if position and not self._is_ours:
            raise JournalError(f"{self._path} is no journal of this command. Please choose another --csv")

    def note_folder(self, folder: str) -> None:
        """Note that the results of this folder come next."""
        self.folder = folder
        self._append({"folder": folder})

    def find(self, digest: str) -> Entry:
        """Return the entry of a file, or an empty one."""
        position = self._positions.get(_key(digest, self._prompt))
        if position is None:
            return {}
        try:
            with self._path.open("rb") as file:
                file.seek(position)
                entry: Entry = json.loads(file.readline())
        except (OSError, ValueError) as error:
            raise JournalError(f"{self._path} cannot be read: {error}") from error
        return entry

    def update(self, digest: str, **changes: object) -> Entry:
        """Change the entry of a file, and return it. A change to None removes a value."""
        entry = {**self.find(digest), "url": self._url, "sha256": digest, "prompt": self._prompt, **changes}
        entry = {name: value for name, value in entry.items() if value is not None}
        self._positions[_key(digest, self._prompt)] = self._append(entry)
        return entry

    def _append(self, line: Entry) -> int:
        """Write a line to the disk, and return its position."""
        assert self._file
        # A killed process may have left half a line before this one.
        content = b"\n" + json.dumps(line).encode()
        try:
            with self._lock:
                position = self._file.seek(0, os.SEEK_END) + 1
                # A full disk may take a part of the line at first.
                while content:
                    content = content[self._file.write(content) :]
                os.fsync(self._file.fileno())
                # If somebody has deleted the journal, this raises FileNotFoundError.
                self._path.stat()
                return position
        except OSError as error:
            raise JournalError(f"{self._path} cannot be written: {error.strerror}") from error

    def _note(self, line: bytes, position: int) -> None:
        try:
            match json.loads(line):
                case {"holder": str(holder)}:
                    self._holder, self._is_ours = holder, True
                case {"folder": str(folder)}:
                    self.folder = folder
                case {"url": str(url), "sha256": str(digest), **others}:
                    self._is_ours = True
                    if url == self._url:
                        self._positions[_key(digest, str(others.get("prompt", "")))] = position
        except ValueError:
            pass


def _key(digest: str, prompt: str) -> bytes:
    return bytes.fromhex(digest) + prompt.encode()
