"""The results: a CSV file, a JSON file, and what the command prints."""

import csv
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, TextIO, cast

from clients import cells
from clients.upload_folder.files import LeftOut
from clients.upload_folder.journal import DONE, Journal
from clients.upload_folder.run import NOT_TRIED, Result

_COLUMNS = ("image_id", "status", "width", "height", "caption", "error")
_HEADER = ",".join(("file", *_COLUMNS))
_JSON_START = '[\n{"file": '
_NO_ROWS = "[]\n"
_MAX_PRINTED = 20

Row = Mapping[str, Any]


class ReportError(Exception):
    """A file with results cannot be written. The message says why, and what to do."""


def require_replaceable(path: Path, *starts: str) -> None:
    """Raise ReportError unless a file with results may be written here. An older one begins with one of `starts`."""
    if not path.absolute().parent.is_dir():
        raise ReportError(f"the folder of {path} does not exist")
    if not path.exists():
        return
    is_ours = False
    try:
        if path.is_file():
            with path.open(encoding=cells.ENCODING, errors="replace") as file:
                start = file.read(max(map(len, starts)))
            is_ours = not start or start.startswith(starts)
    except OSError as error:
        raise ReportError(f"{path} cannot be replaced: {error.strerror}") from error
    if not is_ours:
        raise ReportError(f"{path} exists, and is no result of this command. Please name another file")


def require_replaceable_csv(path: Path) -> None:
    """Raise ReportError unless `path` may become the CSV file."""
    require_replaceable(path, _HEADER)


def require_replaceable_json(path: Path) -> None:
    """Raise ReportError unless `path` may become the JSON file."""
    require_replaceable(path, _JSON_START, _NO_ROWS)


class Report:
    """The results of a run. `csv_file` is the CSV file, which may have the results of an earlier run."""

    def __init__(self, results: Sequence[Result], journal: Journal, csv_file: Path) -> None:
        self._results, self._journal, self._csv_file = results, journal, csv_file
        # After a stop, a file that was not tried keeps what an earlier run has found.
        untried = {cells.shown(result.name) for result in results if result.status == NOT_TRIED}
        self._earlier = _rows_of(csv_file, untried) if untried else {}

    def rows(self, *, only: Sequence[Result] | None = None) -> Iterator[Row]:
        """Yield one row per file, or only those of some results."""
        for result in self._results if only is None else only:
            name = cells.shown(result.name)
            entry = self._journal.find(result.digest) if result.digest else self._earlier.get(name, {})
            row = {column: entry.get(column) for column in _COLUMNS}
            yield {"file": name, **row, "status": result.status, "error": result.error or row["error"]}

    def write_csv(self) -> None:
        """Write one row per file, with its name relative to the folder. Raises ReportError and JournalError."""

        def write(file: TextIO) -> None:
            file.write(f"{_HEADER}\r\n")
            for row in self.rows():
                cells.write_row(file, (row["file"], *(row[column] for column in _COLUMNS)))

        _replace(self._csv_file, cells.ENCODING, write)

    def write_json(self, path: Path) -> None:
        """Write a list with one object per file, one per line. Raises ReportError and JournalError."""

        def write(file: TextIO) -> None:
            start = "[\n"
            for row in self.rows():
                file.write(start + json.dumps(row))
                start = ",\n"
            file.write(_NO_ROWS if start == "[\n" else "\n]\n")

        _replace(path, "utf-8", write)

    def summary(self, left: LeftOut) -> Iterator[str]:
        """Yield what the command prints: how many files have each status, and what is not a finished image."""
        counts = Counter(result.status for result in self._results)
        yield "  ".join(f"{status}: {number:,}" for status, number in counts.most_common()) or "no files"
        unfinished = [result for result in self._results if result.status not in DONE | {NOT_TRIED}]
        for row in self.rows(only=unfinished[:_MAX_PRINTED]):
            yield f"  {cells.printed(row['file'])}  {row['status']}: {row['error']}"
        if len(unfinished) > _MAX_PRINTED:
            yield f"  and {len(unfinished) - _MAX_PRINTED:,} more, which are in {self._csv_file}"
        yield from left_out(left)


def left_out(left: LeftOut) -> Iterator[str]:
    """Yield what a walk through the folder did not give."""
    for numbers, kind in ((left.numbers, ""), (left.other_pictures, ". The API does not accept these pictures")):
        if numbers:
            listed = ", ".join(f"{number:,} {cells.printed(name)}" for name, number in numbers.most_common())
            yield f"left out: {listed}{kind}"
    for names, kind in (
        (left.hidden_folders, "a hidden or system folder"),
        (left.linked_folders, "a link to a folder"),
    ):
        for name in names[:_MAX_PRINTED]:
            yield f"left out: {cells.printed(name)}, {kind}"
        if len(names) > _MAX_PRINTED:
            yield f"left out: {len(names) - _MAX_PRINTED:,} more of this kind"
    for pattern in sorted(left.unused):
        yield f"note: --exclude {cells.printed(pattern)} has excluded nothing"
    for name, reason in left.unreadable_folders.items():
        yield f"error: the folder {cells.printed(name)} cannot be read: {reason}"


def _rows_of(path: Path, names: set[str]) -> dict[str, Row]:
    """Return the rows of these files in an older CSV file, by file name."""
    # Spreadsheet programs may have changed the file, so nothing in it is certain.
    try:
        with path.open(encoding=cells.ENCODING, errors="replace", newline="") as file:
            rows = ((row.get("file") or "", row) for row in csv.DictReader(file))
            return {cells.unprotected(name): row for name, row in rows if cells.unprotected(name) in names}
    except (OSError, csv.Error):
        return {}


def _replace(path: Path, encoding: str, write: Callable[[TextIO], None]) -> None:
    """Write a new file, and put it in the place of the old one when it is whole."""
    target = path.resolve()
    new: Path | None = None
    try:
        with NamedTemporaryFile(
            "w", encoding=encoding, errors="backslashreplace", newline="", dir=target.parent, delete=False
        ) as file:
            new = Path(file.name)
            write(cast("TextIO", file))
            file.flush()
            os.fsync(file.fileno())
        # Like any other new file, and not only for its owner.
        umask = os.umask(0)
        os.umask(umask)
        new.chmod(0o666 & ~umask)
        new.replace(target)
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror}. The older file is unchanged") from error
    finally:
        if new is not None:
            new.unlink(missing_ok=True)
