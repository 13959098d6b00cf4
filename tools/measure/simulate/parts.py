"""The parts of the system: limits per second, environments of Lambda, queues with workers."""

from collections import deque
from collections.abc import Callable, Generator
from typing import Any

import simpy

Process = Generator[simpy.Event, Any, None]
Seconds = Callable[[], float]


class Bucket:
    """A limit of `rate` units per second. Up to `capacity` unused units are kept."""

    def __init__(self, env: simpy.Environment, rate: float, capacity: float) -> None:
        self._env, self._rate, self._capacity = env, rate, capacity
        self._units, self._filled_at = capacity, 0.0

    def take(self, units: float = 1) -> bool:
        """Take units, or nothing if there are not enough."""
        self._units = min(self._capacity, self._units + self._rate * (self._env.now - self._filled_at))
        self._filled_at = self._env.now
        if self._units < units:
            return False
        self._units -= units
        return True


class Environments:
    """The environments of a Lambda function. A request gets an idle one, or a new one, or is refused."""

    def __init__(self, env: simpy.Environment, most: int, new: Bucket, start_seconds: float, ready: int = 0) -> None:
        self._most, self._new, self._start_seconds = most, new, start_seconds
        self._idle, self.number = ready, ready
        self.busy = Level(env)

    def acquire(self) -> float | None:
        """Return the seconds until the environment is ready, or None if the request is refused."""
        if self._idle:
            self._idle -= 1
            seconds = 0.0
        elif self.number < self._most and self._new.take():
            self.number += 1
            seconds = self._start_seconds
        else:
            return None
        self.busy.change(1)
        return seconds

    def release(self) -> None:
        """Give the environment back. It stays ready."""
        self._idle += 1
        self.busy.change(-1)


class Queue:
    """A queue with workers.

    `workers` returns how many there may be at a time. `work` is what one does with an item that came at a time.
    `waited` has the seconds that each item was in the queue.
    """

    def __init__(
        self,
        env: simpy.Environment,
        workers: Callable[[float], float],
        work: Callable[[float], Process],
        tick: float = 1,
    ) -> None:
        self._env, self._workers, self._work = env, workers, work
        self._waiting: deque[float] = deque()
        self._busy = 0
        self.length = Level(env)
        self.waited: list[float] = []
        env.process(self._watch(tick))

    def put(self) -> None:
        self._waiting.append(self._env.now)
        self.length.change(1)
        self._start()

    def _start(self) -> None:
        while self._waiting and self._busy < int(self._workers(self._env.now)):
            self._busy += 1
            came = self._waiting.popleft()
            self.waited.append(self._env.now - came)
            self.length.change(-1)
            self._env.process(self._worker(came))

    def _worker(self, came: float) -> Process:
        yield from self._work(came)
        self._busy -= 1
        self._start()

    def _watch(self, tick: float) -> Process:
        # The number of workers grows with time.
        while True:
            yield self._env.timeout(tick)
            self._start()


class Level:
    """A number that changes with time, such as that of busy environments."""

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._changed_at, self._area = 0.0, 0.0
        self.now = 0
        self.history: list[tuple[float, int]] = [(0.0, 0)]

    def change(self, by: int) -> None:
        self._area += self.now * (self._env.now - self._changed_at)
        self.now += by
        self._changed_at = self._env.now
        self.history.append((self._env.now, self.now))

    def mean(self) -> float:
        """Return the mean over all time so far."""
        return (self._area + self.now * (self._env.now - self._changed_at)) / self._env.now
