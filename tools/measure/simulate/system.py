"""The system: uploads by form, direct uploads, and the followers of the stream."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import simpy

from image_pipeline.storage import keys
from tools.measure.simulate.parts import Bucket, Environments, Process, Queue, Seconds

# A write in a transaction costs two units. Its copy in the index costs one (tools/measure/cost/usage.py).
_STATISTICS_UNITS = 2
_LISTING_UNITS = 1
# The values of storage/table.py.
_TRIES = 8
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True)
class Limits:
    """What the system can run into. Rates are per second."""

    service: Seconds
    start_seconds: float = 0
    ready: int = 0
    upload_rate: float = 10_000
    upload_burst: float = 5_000
    concurrency: int = 1000
    new_environments: float = 100
    new_environments_at_once: float = 1000
    partition_writes: float = 1000
    follow_seconds: float = 0.11
    followers: int = 40
    workers: Callable[[float], float] = lambda _: 10
    queue_seconds: float = 0.5


@dataclass
class Outcome:
    """What happened: seconds of each finished image by its arrival, and how many images ended in another way."""

    finished: list[tuple[float, float]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    cold: int = 0


class System:
    """The deployed system in an environment of SimPy."""

    def __init__(self, limits: Limits, seed: int = 1) -> None:
        self.env = simpy.Environment()
        self.limits = limits
        self.outcome = Outcome()
        self._random = random.Random(seed)
        env = self.env
        self._gateway = Bucket(env, limits.upload_rate, limits.upload_burst)
        new = Bucket(env, limits.new_environments, limits.new_environments_at_once)
        self.environments = Environments(env, limits.concurrency, new, limits.start_seconds, limits.ready)
        self._listing = [self._partition() for _ in keys.LISTING_SHARDS]
        self._statistics = [self._partition() for _ in keys.STATISTICS_SHARDS]
        # All captions have a word in common, such as "photograph".
        self._frequent_term = self._partition()
        self.stream = Queue(env, lambda _: limits.followers, self._follow)
        self.uploads = Queue(env, limits.workers, self._work)

    def run(self, rate: Callable[[float], float], highest: float, seconds: float, *, direct: bool = False) -> Outcome:
        """Let images arrive at random (a Poisson process) at `rate`, which never exceeds `highest`, and stop then."""
        self.env.process(self._arrivals(rate, highest, direct=direct))
        self.env.run(seconds)
        return self.outcome

    def _partition(self) -> Bucket:
        return Bucket(self.env, self.limits.partition_writes, self.limits.partition_writes)

    def _arrivals(self, rate: Callable[[float], float], highest: float, *, direct: bool) -> Process:
        while True:
            yield self.env.timeout(self._random.expovariate(highest))
            if self._random.random() * highest > rate(self.env.now):
                continue
            if direct:
                self.env.process(self._direct())
            else:
                self.env.process(self._form())

    def _form(self) -> Process:
        arrived = self.env.now
        if not self._gateway.take():
            self.outcome.refused["429, rate limit"] += 1
            return
        starting = self.environments.acquire()
        if starting is None:
            self.outcome.refused["429, concurrency"] += 1
            return
        self.outcome.cold += starting > 0
        yield self.env.timeout(starting + self.limits.service())
        yield from self._store(arrived)
        self.environments.release()

    def _direct(self) -> Process:
        yield self.env.timeout(self.limits.queue_seconds)
        self.uploads.put()

    def _work(self, came: float) -> Process:
        yield self.env.timeout(self.limits.service())
        yield from self._store(came - self.limits.queue_seconds)

    def _store(self, arrived: float) -> Process:
        """Commit the transaction, whose partitions may be busy."""
        listing = self._random.choice(self._listing)
        statistics = self._random.choice(self._statistics)
        for tries in range(1, _TRIES + 1):
            if listing.take(_LISTING_UNITS) and statistics.take(_STATISTICS_UNITS):
                self.outcome.finished.append((arrived, self.env.now - arrived))
                self.stream.put()
                return
            yield self.env.timeout(self._random.uniform(0, _PAUSE_SECONDS * 2**tries))
        self.outcome.refused["503, table"] += 1

    def _follow(self, _: float) -> Process:
        yield self.env.timeout(self.limits.follow_seconds)
        while not self._frequent_term.take():
            yield self.env.timeout(self._random.uniform(0, _PAUSE_SECONDS * 4))
