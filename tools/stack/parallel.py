"""Work on many elements at the same time, without a list of all of them."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Semaphore, Thread
from typing import Generic, TypeVar

from clients.stopping import StopRequest

T = TypeVar("T")
R = TypeVar("R")

_TICK_SECONDS = 0.1
# After a request to stop, the work that has begun gets this time to end.
_GRACE_SECONDS = 10


class NotTriedError(Exception):
    """The command was stopped before the work on this element began."""


class UnfinishedError(Exception):
    """The command was stopped during the work on this element, so it is not known how it ended."""

    def __init__(self, message: str = "the command was stopped meanwhile; the same command continues") -> None:
        super().__init__(message)


def run(
    items: Iterable[T], work: Callable[[T], R], threads: int, stop: StopRequest
) -> Iterator[tuple[T, R | BaseException]]:
    """Yield each item with the result of `work` or the exception that it raised, in the order in which they end.

    `items` is read in a thread as well, and at most 2 * `threads` of them are in work. After `stop` is set, the items
    that were read before come with NotTriedError or UnfinishedError. At the end, raises what reading `items` raised.
    The threads are daemons, so a call that hangs does not keep the process alive.
    """
    crew = _Crew(work, stop, Semaphore(2 * threads))
    Thread(target=crew.read, args=(items,), daemon=True).start()
    for _ in range(threads):
        Thread(target=crew.serve, daemon=True).start()
    try:
        yield from crew.results()
    finally:
        stop.set()
        crew.slots.release()
        for _ in range(threads):
            crew.jobs.put(None)
    if crew.endings and crew.endings[0] is not None:
        raise crew.endings[0]


@dataclass
class _Crew(Generic[T, R]):
    """A thread that reads items, and threads that work on them. `taken` has the items that are in work, by number."""

    work: Callable[[T], R]
    stop: StopRequest
    slots: Semaphore
    jobs: SimpleQueue[tuple[int, T] | None] = field(default_factory=SimpleQueue)
    done: SimpleQueue[tuple[int, R | BaseException]] = field(default_factory=SimpleQueue)
    taken: dict[int, T] = field(default_factory=dict)
    # Why reading ended, once it has: an exception, or None.
    endings: list[BaseException | None] = field(default_factory=list)

    def read(self, items: Iterable[T]) -> None:
        error: BaseException | None = None
        try:
            for number, item in enumerate(items):
                self.slots.acquire()
                self.taken[number] = item
                self.jobs.put((number, item))
                if self.stop.is_set:
                    break
        except BaseException as caught:  # noqa: BLE001 - the thread that takes the results raises it
            error = caught
        self.endings.append(error)

    def serve(self) -> None:
        while job := self.jobs.get():
            number, item = job
            self.done.put((number, NotTriedError() if self.stop.is_set else attempt(self.work, item)))

    def results(self) -> Iterator[tuple[T, R | BaseException]]:
        end = math.inf
        # All items are taken before the ending is there.
        while (not self.endings or self.taken) and time.monotonic() < end:
            if self.stop.is_set:
                end = min(end, time.monotonic() + _GRACE_SECONDS)
            try:
                number, result = self.done.get(timeout=_TICK_SECONDS)
            except Empty:
                continue
            self.slots.release()
            yield self.taken.pop(number), result
        for number in list(self.taken):
            yield self.taken.pop(number), UnfinishedError()


def attempt(work: Callable[[T], R], item: T) -> R | BaseException:
    """Return the result of the work, or the exception that it raised."""
    try:
        return work(item)
    except BaseException as error:  # noqa: BLE001 - one element must not end the work on the others
        return error


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of at most `size`."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
