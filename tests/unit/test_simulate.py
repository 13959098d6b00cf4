"""The simulation agrees with closed forms where these exist."""

import math
import random
from statistics import fmean

import pytest
import simpy

from tools import template
from tools.measure.simulate.__main__ import stack_limits
from tools.measure.simulate.parts import Bucket, Environments, Queue
from tools.measure.simulate.system import Limits, System


def erlang_b(servers: int, load: float) -> float:
    """The part of the arrivals that finds all servers busy and is lost (M/M/c/c)."""
    states = [load**number / math.factorial(number) for number in range(servers + 1)]
    return states[-1] / sum(states)


def erlang_c(servers: int, load: float) -> float:
    """The part of the arrivals that must wait (M/M/c)."""
    lost = erlang_b(servers, load)
    return lost / (1 - (1 - lost) * load / servers)


def exponential(seed: int) -> Limits:
    service = random.Random(seed)
    return Limits(service=lambda: service.expovariate(1), concurrency=8, workers=lambda _: 8, queue_seconds=0)


def test_environments_refuse_as_erlang_b_says() -> None:
    system = System(exponential(1))
    outcome = system.run(lambda _: 7, 7, 3_000)
    arrivals = len(outcome.finished) + outcome.refused["429, concurrency"]
    assert outcome.refused["429, concurrency"] / arrivals == pytest.approx(erlang_b(8, 7), rel=0.05)


def test_direct_uploads_wait_as_erlang_c_says() -> None:
    system = System(exponential(2))
    system.run(lambda _: 6.4, 6.4, 8_000, direct=True)
    waited = system.uploads.waited
    assert fmean(seconds > 0 for seconds in waited) == pytest.approx(erlang_c(8, 6.4), rel=0.05)
    assert fmean(waited) == pytest.approx(erlang_c(8, 6.4) / (8 - 6.4), rel=0.1)


def test_littles_law_holds() -> None:
    system = System(exponential(3))
    outcome = system.run(lambda _: 5, 5, 2_000)
    in_system = system.environments.busy.mean()
    throughput = len(outcome.finished) / 2_000
    assert in_system == pytest.approx(throughput * fmean(seconds for _, seconds in outcome.finished), rel=0.02)
    # A queue, too: its mean length is the arrival rate times the mean wait.
    system = System(exponential(4))
    system.run(lambda _: 7, 7, 2_000, direct=True)
    assert system.uploads.length.mean() == pytest.approx(7 * fmean(system.uploads.waited), rel=0.05)


def test_the_rate_limit_accepts_its_rate() -> None:
    system = System(Limits(service=lambda: 1, upload_rate=5, upload_burst=10))
    outcome = system.run(lambda _: 50, 50, 200)
    assert outcome.refused["429, rate limit"] == pytest.approx(45 * 200, rel=0.05)
    assert len(outcome.finished) == pytest.approx(5 * 200, rel=0.05)


def test_a_partition_bounds_the_writes() -> None:
    limits = Limits(service=lambda: 0.01, partition_writes=10, new_environments=1e9, new_environments_at_once=1e9)
    outcome = System(limits).run(lambda _: 200, 200, 60)
    # Eight shards of the statistics take five images per second each. The list takes 40.
    assert len(outcome.finished) / 60 <= 42
    assert outcome.refused["503, table"] > 0


def test_new_environments_come_at_their_rate() -> None:
    env = simpy.Environment()
    environments = Environments(env, most=1000, new=Bucket(env, rate=2, capacity=3), start_seconds=1.5, ready=1)
    assert [environments.acquire() for _ in range(5)] == [0, 1.5, 1.5, 1.5, None]
    env.run(1)
    assert [environments.acquire() for _ in range(3)] == [1.5, 1.5, None]
    environments.release()
    assert environments.acquire() == 0
    assert environments.busy.now == environments.number == 6


def test_more_workers_come_with_time() -> None:
    env = simpy.Environment()

    def work(_: float):  # type: ignore[no-untyped-def]  # noqa: ANN202
        yield env.timeout(1)

    queue = Queue(env, lambda now: 1 + now, work)
    for _ in range(10):
        queue.put()
    env.run(3.5)
    # 1 begins at once, 2 after a second, 3 after two, 4 after three.
    assert queue.length.now == 0
    assert sorted(queue.waited) == [0, 1, 1, 2, 2, 2, 3, 3, 3, 3]


def test_the_limits_of_a_stack_come_from_the_template() -> None:
    found = stack_limits()
    parameters = template.read()["Parameters"]
    assert found.followers == 4 * parameters["MaxConcurrentFollowers"]["Default"]
    outcome = System(found).run(lambda _: 5, 5, 20)
    assert outcome.finished
