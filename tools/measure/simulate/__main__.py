"""Simulate the deployed system, and print and draw where it reaches its limits: `python -m tools.measure.simulate`."""

import random
import sys
from collections.abc import Callable
from statistics import quantiles
from typing import Any

from tools import template
from tools.measure.cost import inputs, points
from tools.measure.simulate import charts
from tools.measure.simulate.system import Limits, Outcome, System

_DOCS = template.ROOT / "docs"
_RATES = (1, 10, 100, 1000, 10_000)
_SECONDS = 60
_VARIATION = 0.2  # of the time of an image, as a part of its mean
_UNLIMITED = 1_000_000


def main() -> int:
    """Run the command. Return its exit status."""
    parameters = template.read()["Parameters"]
    rate, burst = parameters["UploadRateLimit"]["Default"], parameters["UploadBurstLimit"]["Default"]
    stacks = {
        "defaults": stack_limits(upload_rate=rate, upload_burst=burst),
        "no rate limit": stack_limits(),
        "no rate limit, concurrency 30,000": stack_limits(concurrency=30_000),
    }
    print("| stack | arrivals/s | finished/s | refused | p50 | p99 | cold | environments | stream behind |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, limits in stacks.items():
        for rate in _RATES:
            system = System(limits)
            print(_row(name, rate, system, system.run(_constant(rate), rate, _SECONDS)), flush=True)
    charts.latency(_DOCS / "scale-start.png", _after_a_step())
    charts.backlog(_DOCS / "scale-backlog.png", _backlogs())
    return 0


def stack_limits(mode: str = "on-demand", **changes: Any) -> Limits:  # noqa: ANN401
    """Return the limits of a stack with the memory of the template. `changes` are fields of Limits."""
    values = inputs.read()
    limits, assumed = values["limits"], values["assumptions"]
    times = random.Random(7)
    mean = points.processing_seconds(template.read()["Parameters"]["UploadMemorySize"]["Default"], values)
    fields: dict[str, Any] = {
        "service": lambda: max(0.1, times.gauss(mean, _VARIATION * mean)),
        "start_seconds": assumed["start_seconds"][mode],
        "upload_rate": _UNLIMITED,
        "upload_burst": _UNLIMITED,
        "concurrency": limits["account_concurrency"],
        "new_environments": limits["environments_per_10_seconds"] / 10,
        "new_environments_at_once": limits["environments_per_10_seconds"],
        "partition_writes": limits["partition_writes_per_second"],
        "follow_seconds": assumed["follow_seconds"],
        "followers": limits["table_partitions"] * _parallel_batches(),
        "queue_seconds": assumed["queue_seconds"],
    }
    return Limits(**fields | changes)


def _parallel_batches() -> int:
    described = template.read()
    source = template.functions(described)["FollowImagesFunction"]["Events"]["ImageGone"]["Properties"]
    return int(template.number(described, source["ParallelizationFactor"]))


def _constant(rate: float) -> Callable[[float], float]:
    return lambda _: rate


def _row(name: str, rate: int, system: System, outcome: Outcome) -> str:
    reasons = [f"{count / _SECONDS:,.0f}/s {reason}" for reason, count in sorted(outcome.refused.items())]
    seconds = [seconds for _, seconds in outcome.finished]
    percentiles = quantiles(seconds, n=100) if len(seconds) > 1 else [0.0] * 99
    return (
        f"| {name} | {rate:,} | {len(outcome.finished) / _SECONDS:,.1f} | {', '.join(reasons) or 'none'} "
        f"| {percentiles[49]:.2f} s | {percentiles[98]:.2f} s | {outcome.cold:,} | {system.environments.number:,} "
        f"| {system.stream.length.now:,} |"
    )


def _after_a_step() -> dict[str, list[tuple[float, float]]]:
    """Return for each StartMode the arrival and the seconds of each image, if 100 images per second begin at once."""
    modes = {
        "on-demand": stack_limits(),
        "snapstart": stack_limits(mode="snapstart"),
        "provisioned, 120 environments": stack_limits(mode="provisioned", ready=120),
    }
    return {name: System(limits).run(_constant(100), 100, 20).finished for name, limits in modes.items()}


def _backlogs() -> dict[str, list[tuple[float, int]]]:
    """Return for each number of workers the length of the queue, for 50 direct uploads per second during a minute."""
    ramp = inputs.read()["limits"]["workers_per_minute"] / 60
    found = {}
    for most in (10, 50, 200):
        system = System(stack_limits(workers=lambda now, most=most: min(most, 5 + ramp * now)))
        system.run(lambda now: 50 if now < _SECONDS else 0, 50, 420, direct=True)
        found[f"MaxConcurrentWorkers = {most}"] = system.uploads.length.history
    return found


if __name__ == "__main__":
    sys.exit(main())
