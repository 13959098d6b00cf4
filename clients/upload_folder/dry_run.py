"""What a run would send, without any request."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from clients import cells, prices
from clients.progress import Progress
from clients.stopping import StopRequest
from clients.upload_folder.journal import ALREADY_THERE, Journal
from clients.upload_folder.uploader import digest_of


def lines(  # noqa: PLR0913 - what a run works with
    folder: Path, names: Iterable[str], journal: Journal, shown: Progress, stop: StopRequest, *, retry_failed: bool
) -> Iterable[str]:
    """Yield the lines that tell how many files would be sent, how large they are, and what they cost.

    Raises JournalError.
    """
    numbers: Counter[str] = Counter()
    wanted: set[str] = set()
    total = 0
    for name in names:
        if stop.is_set:
            yield "stopped: these are not all files"
            break
        shown.advance()
        try:
            digest, size = digest_of(folder / name), (folder / name).stat().st_size
        except OSError as error:
            yield f"{cells.printed(name)} cannot be read: {error.strerror}"
            continue
        status = journal.find(digest).get("status")
        if status == "success":
            numbers["done before"] += 1
        elif status == ALREADY_THERE:
            numbers[ALREADY_THERE] += 1
        elif status == "failure" and not retry_failed:
            numbers["refused before"] += 1
        elif digest in wanted:
            numbers["equal to others"] += 1
        else:
            wanted.add(digest)
            total += size
    number = len(wanted)
    others = "".join(f", {count:,} {kind}" for kind, count in numbers.items())
    yield f"{number:,} files would be sent, {total / 1e6:,.1f} MB{others}"
    yield (
        f"AWS charges about {number * prices.TYPICAL_DOLLARS:,.2f} US dollars for them, and at most "
        f"{number * prices.MAX_DOLLARS:,.2f}, if every attempt took its whole time"
    )
