"""The CSV file with what failed, and why."""

from contextlib import suppress
from pathlib import Path
from typing import TextIO

from clients import cells
from clients.progress import tell

_COLUMNS = ("key", "status", "reason")


class FailuresFile:
    """A CSV file that gets each failure at once. A file of an earlier run stays until the first result of this one.

    If the disk is full, this is told once on stderr, and then each failure is printed there.
    """

    def __init__(self, path: Path) -> None:
        """Check that the file can be opened. Raises OSError."""
        path.open("a").close()
        self._path = path
        self._file: TextIO | None = None
        self.is_written = True
        self.rows = 0

    def add(self, key: str, status: str, reason: str) -> None:
        """Write one row."""
        row = (cells.shown(key), status, reason)
        self.begin()
        self._try(row)
        if not self.is_written:
            tell(cells.printed(f"{key}: {reason}"))
        self.rows += 1

    def begin(self) -> None:
        """Remove the rows of an earlier run, unless this run has already done so."""
        if self._file is None and self.is_written:
            self._try(_COLUMNS)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def _try(self, row: tuple[str, str, str]) -> None:
        if not self.is_written:
            return
        try:
            self._file = self._file or self._path.open("w", encoding=cells.ENCODING, newline="")
            cells.write_row(self._file, row)
            self._file.flush()
        except OSError as error:
            self.is_written = False
            tell(f"error: {self._path} is not complete: {error.strerror}. Failures are printed here")
