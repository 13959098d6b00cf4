"""What all commands for a deployed stack do around their work."""

import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper

from botocore.exceptions import BotoCoreError, ClientError

from clients.stopping import on_request
from image_pipeline.errors import StorageError
from tools import stopping
from tools.stack import deployed, refusals
from tools.stack.tally import Tally


def run(tallies: Sequence[Tally], work: Callable[[], None]) -> int:
    """Do the work, and print what the tallies counted, however it ends. Return the exit status.

    It is 0 if all elements are done, 130 after Ctrl-C, 143 after SIGTERM, and otherwise 1. Refused access, and every
    other error of AWS that ends the work, is one line on stderr.
    """
    # A name that the terminal cannot show must not hide the summary.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    # Outside the work, signals are only noted, because one must not cut the summary.
    with on_request():
        try:
            status = _status(work)
        finally:
            for tally in tallies:
                print(*tally.summary(), sep="\n", flush=True)
    return status or (0 if all(tally.is_done for tally in tallies) else 1)


def _status(work: Callable[[], None]) -> int:
    """Do the work. Return the exit status if it did not come to its end, or 0."""
    try:
        with stopping.by_signals():
            deployed.connect()
            work()
    except stopping.Stopped as stopped:
        print("stopped. The same command continues", file=sys.stderr)
        return stopped.status
    except Exception as error:
        line = refusals.advice(error)
        if line is None and not isinstance(error, (ClientError, BotoCoreError, StorageError)):
            raise
        print(f"error: {line or refusals.reason(error)}", file=sys.stderr)
        return 1
    return 0
