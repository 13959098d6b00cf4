"""Shows how far a long command is: a bar on a terminal, and otherwise a line now and then."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Never

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 30


@dataclass
class Progress:
    """The number of finished elements. `unit` is the name of one element, such as "file"."""

    unit: str
    total: int | None
    bar: "tqdm[Never] | None"
    done: int = 0
    _printed_at: float = 0

    def advance(self) -> None:
        """Count one element."""
        self.done += 1
        if self.bar is not None:
            self.bar.update()
        elif time.monotonic() - self._printed_at >= _SECONDS_BETWEEN_LINES:
            self._printed_at = time.monotonic()
            of_all = "" if self.total is None else f" of {self.total:,}"
            self.write(f"{self.done:,}{of_all} {self.unit}s")

    def write(self, line: str) -> None:
        """Print a line on stderr, above the bar."""
        if self.bar is None:
            tell(line)
        else:
            with suppress(OSError):
                self.bar.write(line, file=sys.stderr)


def tell(line: str) -> None:
    """Print a line on stderr. The terminal may be gone, or its file full. That does not end the work."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


@contextmanager
def progress(unit: str, total: int | None = None) -> Iterator[Progress]:
    """Show the progress of the block."""
    if sys.stderr.isatty():
        with tqdm(total=total, unit=unit) as bar:
            yield Progress(unit, total, bar)
    else:
        yield Progress(unit, total, None, _printed_at=time.monotonic())
