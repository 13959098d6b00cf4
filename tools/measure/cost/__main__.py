"""Print and draw what a million images cost, by the memory of the functions: `python -m tools.measure.cost`."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from tools import template
from tools.measure.cost import ceiling, chart, inputs, usage
from tools.measure.cost.points import SERVICES, Point, point
from tools.measure.cost.usage import Usage

_CHART = template.ROOT / "docs" / "costs.png"
# One vCPU, the default of template.yaml, 2, 3, 4 and 5 vCPUs, and the most that Lambda has.
_MEMORY_SIZES = (1769, 3008, 3538, 5307, 7076, 8845, 10240)
_SECONDS_PER_DAY = 86_400
_DAYS_PER_MONTH = 365 / 12
_MILLION = 1_000_000
_GIGA = 1_000_000_000


def main() -> int:
    """Run the command. Return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--goal", type=float, default=2, help="longest time until the result (default: %(default)s s)")
    options = parser.parse_args()
    values = inputs.read()
    ways = {"form": usage.of_form(), "direct": usage.of_direct_upload()}
    points = [point(way, used, memory, values) for way, used in ways.items() for memory in _MEMORY_SIZES]
    print("\n".join(table(points, values)))
    chart.draw(points, _CHART)
    for way, used in ways.items():
        print(f"\nper image, {way}: {_counts(used)}")
        print(_storage(used, values))
        print(_cheapest([found for found in points if found.way == way], options.goal))
    print("\n".join(["", *worst_day(values)]))
    print(idle(values["prices"]))
    return 0


def table(points: list[Point], values: Mapping[str, Any]) -> list[str]:
    """Return the lines of a Markdown table: dollars per million images."""
    lines = [
        f"US dollars per million images, at the prices of {values['prices']['date']}.",
        f"Captions were measured on {values['captions']['measured']}. ~ is an estimate: that machine has two cores.",
        "",
        f"| way | memory | seconds | total | {' | '.join(SERVICES)} |",
        "|---|---|---|---|" + "---|" * len(SERVICES),
    ]
    for found in points:
        mark = "" if found.is_measured else "~"
        shares = [f"{found.dollars[service]:.2f} ({found.dollars[service] / found.total:.0%})" for service in SERVICES]
        lines.append(
            f"| {found.way} | {found.memory} MB | {mark}{found.seconds:.2f} | {mark}{found.total:.2f} | "
            f"{' | '.join(shares)} |"
        )
    return lines


def _cheapest(points: list[Point], goal: float) -> str:
    fast_enough = [found for found in points if found.seconds <= goal]
    if not fast_enough:
        return f"No memory size gives the result within {goal:g} s."
    best = min(fast_enough, key=lambda found: found.total)
    estimate = "" if best.is_measured else ", an estimate"
    return f"The cheapest with the result within {goal:g} s: {best.memory} MB, {best.total:.2f} dollars{estimate}."


def _counts(used: Usage) -> str:
    functions = ", ".join(f"{count} {name.removesuffix('Function')}" for name, count in sorted(used.calls.items()))
    units = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(used.units.items()))
    return f"{functions}; {units}; {used.stored_bytes:,} bytes of thumbnails"


def _storage(used: Usage, values: Mapping[str, Any]) -> str:
    dollars = used.stored_bytes / _GIGA * values["prices"]["s3_gb_month"] * _MILLION
    return f"The thumbnails of a million images cost {dollars:.2f} dollars a month more."


def worst_day(values: Mapping[str, Any]) -> list[str]:
    """Return the lines of a Markdown table: dollars of a day on which clients do the worst they can.

    With tokens, because no other value of ApiAuth costs as much.
    """
    found = ceiling.sources(template.read({"ApiAuth": "JWT"}), values)
    return [
        "| what clients can keep busy | bounded by | environments | dollars per day | with the whole timeout each |",
        "|---|---|---|---|---|",
        *(
            f"| {row.name} | {row.bound} | {row.environments:.2f} | {row.dollars:.2f} | {row.at_timeout:.2f} |"
            for row in found
        ),
        f"| all | | | {sum(source.dollars for source in found):.2f} | |",
    ]


def idle(prices: Mapping[str, float]) -> str:
    """Return what the start modes of the upload function cost while there are no uploads."""
    memory = template.read()["Parameters"]["UploadMemorySize"]["Default"]
    gigabytes = memory / 1024
    month = _DAYS_PER_MONTH * _SECONDS_PER_DAY * gigabytes
    provisioned, snapshot = (month * prices[f"lambda_{name}_gb_second"] for name in ("provisioned", "snapshot"))
    restore = gigabytes * prices["lambda_restore_gb"]
    return (
        f"A provisioned environment of {memory} MB: {provisioned:.0f} dollars a month. "
        f"A snapshot: {snapshot:.0f} dollars a month for each version, and {restore:.4f} for each restore."
    )


if __name__ == "__main__":
    sys.exit(main())
