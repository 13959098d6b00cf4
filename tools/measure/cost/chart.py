"""Draws docs/costs.png: the cost per million images over the time per image."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from tools.measure.cost.points import Point

_LABELS = {"form": "POST /api/images", "direct": "POST /api/uploads"}
_COLORS = {"form": "#0a7355", "direct": "#b3541e"}


def draw(points: Sequence[Point], path: Path) -> None:
    """Draw dollars over seconds, one line per way and one mark per memory size. Estimates are hollow."""
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for way, color in _COLORS.items():
        line = [point for point in points if point.way == way]
        axes.plot([point.seconds for point in line], [point.total for point in line], color=color, label=_LABELS[way])
        for number, point in enumerate(line):
            face = color if point.is_measured else "white"
            axes.plot(point.seconds, point.total, "o", color=color, markerfacecolor=face)
            # Above and below in turns, because neighbours are close. Above the measured forms are the direct uploads.
            is_above = number % 2 == 0 and not (way == "form" and point.is_measured)
            offset, rotation, side = ((0, 8), 60, "bottom") if is_above else ((0, -8), -60, "top")
            axes.annotate(
                f"{point.memory} MB",
                (point.seconds, point.total),
                offset,
                textcoords="offset points",
                rotation=rotation,
                va=side,
                fontsize=8,
            )
    axes.set(
        xlabel="Seconds until the result, without cold starts and the network",
        ylabel="US dollars per million images",
        ylim=(0, 1.3 * max(point.total for point in points)),
        xlim=(0, 1.1 * max(point.seconds for point in points)),
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=150)
    plt.close(figure)
