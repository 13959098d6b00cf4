"""The charts of docs/scale.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def latency(path: Path, by_mode: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Draw the seconds of each image over its arrival, by StartMode."""
    figure, axes = _chart("Arrival, seconds after the start of 100 images per second", "Seconds until the response")
    for name, finished in by_mode.items():
        axes.plot(*zip(*finished, strict=True), ".", markersize=3, label=name)
    _save(figure, axes, path)


def backlog(path: Path, by_workers: Mapping[str, Sequence[tuple[float, int]]]) -> None:
    """Draw the length of the queue over time, by the number of workers."""
    figure, axes = _chart("Seconds. 50 images per second arrive during the first minute", "Images that wait")
    for name, history in by_workers.items():
        axes.step(*zip(*history, strict=True), where="post", label=name)
    _save(figure, axes, path)


def _chart(horizontal: str, vertical: str) -> tuple[Figure, Axes]:
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    axes.set(xlabel=horizontal, ylabel=vertical)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Figure, axes: Axes, path: Path) -> None:
    axes.set(xlim=(0, None), ylim=(0, None))
    axes.legend(frameon=False, markerscale=4)
    figure.savefig(path, dpi=120)
    plt.close(figure)
