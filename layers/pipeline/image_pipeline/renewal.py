"""Data that is read from somebody else, and read again from time to time.

Data that was good stays good for a stated time, so a failure of its source is not a failure of ours.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from math import inf
from time import monotonic
from typing import Generic, TypeVar

from image_pipeline.observability import logger

T = TypeVar("T")

# One read takes at most this long, with all its connections and bytes.
READ_SECONDS = 5
# After a read, the next one begins no sooner than this, also if somebody wants newer data.
PAUSE_SECONDS = 30
# Each further failure doubles the pause, up to this.
MAX_PAUSE_SECONDS = 300


class NotReadError(Exception):
    """There is no data that may be used. The message says why the last read failed."""


class Renewed(Generic[T]):
    """The newest data that `read` returned.

    It is renewed when it is older than `renew_after` seconds. If that fails, it is used until it is older than
    `max_age()` seconds. One thread reads at a time. Meanwhile, others use the data that is there.
    """

    def __init__(self, read: Callable[[], T], renew_after: float, max_age: Callable[[], float]) -> None:
        self._read = read
        self._renew_after = renew_after
        self._max_age = max_age
        self._lock = threading.Lock()
        # The data and the time of its read are one value, so threads never see one without the other.
        self._got: tuple[T, float] | None = None
        self._next_read = -inf
        self._failures = 0
        self._reason = ""

    def get(self, *, newer: bool = False) -> T:
        """Return the data. `newer` reads it again, unless that happened within PAUSE_SECONDS. Raises NotReadError."""
        max_age = PAUSE_SECONDS if newer else self._renew_after
        # Without data that may be used, all threads wait for the one that reads.
        if self._is_due(max_age) and self._lock.acquire(blocking=self._is_older(self._max_age())):
            try:
                if self._is_due(max_age):
                    self._renew()
            finally:
                self._lock.release()
        got = self._got
        if got is None or self._is_older(self._max_age()):
            raise NotReadError(self._reason)
        return got[0]

    def _is_older(self, seconds: float) -> bool:
        got = self._got
        return got is None or monotonic() - got[1] > seconds

    def _is_due(self, max_age: float) -> bool:
        return self._is_older(max_age) and monotonic() >= self._next_read

    def _renew(self) -> None:
        start = monotonic()
        try:
            data = _within(READ_SECONDS, self._read)
        except Exception as error:  # noqa: BLE001 - the data of somebody else can fail in any way
            self._reason = str(error) or type(error).__name__
            pause = min(PAUSE_SECONDS * 2**self._failures, MAX_PAUSE_SECONDS)
            self._next_read = monotonic() + pause
            self._failures += 1
            logger.warning("not renewed", reason=self._reason, next_read_seconds=pause)
        else:
            self._got, self._failures = (data, start), 0


def _within(seconds: float, read: Callable[[], T]) -> T:
    """Return what `read` returns. Raises TimeoutError if that takes longer.

    A thread reads, because the time limits of sockets are for one operation only: a server that sends one byte a second
    never reaches them. Nobody waits for a thread that is late.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(read())
        except Exception as error:  # noqa: BLE001 - raised again by future.result
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return future.result(seconds)
    except TimeoutError:
        raise TimeoutError(f"no response within {seconds} s") from None
