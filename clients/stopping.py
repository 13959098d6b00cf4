"""Lets a command end in order after Ctrl-C, SIGTERM and the end of its terminal."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TICK_SECONDS = 0.2
_MESSAGE = b"\nstopping when the requests that are running have ended; another signal stops at once\n"


@dataclass
class StopRequest:
    """Whether something must stop. `signal` is the number of the signal that asked for it, if there was one.

    It has no lock, so a signal handler can set it at any moment.
    """

    signal: int | None = None
    is_set: bool = False

    @property
    def status(self) -> int | None:
        """The exit status that shells expect after the signal, such as 130 after Ctrl-C."""
        return None if self.signal is None else 128 + self.signal

    def set(self) -> None:
        """Ask to stop."""
        self.is_set = True

    def wait(self, seconds: float) -> bool:
        """Wait, but not longer than until this is set. Return whether it is."""
        end = time.monotonic() + seconds
        while not self.is_set and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _TICK_SECONDS))
        return self.is_set


@contextmanager
def on_request() -> Iterator[StopRequest]:
    """Yield what the first signal sets. It raises nothing, so no result is lost. A second signal ends the process."""
    request = StopRequest()

    def note(number: int, _: object) -> None:
        if request.status is not None:
            os._exit(request.status)
        request.signal = number
        request.set()
        # print() is not allowed here: it may be running.
        with suppress(OSError):
            os.write(2, _MESSAGE)

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
