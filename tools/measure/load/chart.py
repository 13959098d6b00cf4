"""A chart of rates and times over the number of clients."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from tools.measure.load.measuring import Step

_UPLOAD, _LIST = "#b3541e", "#0a7355"


def draw(steps: Sequence[Step], path: Path) -> None:
    """Draw requests per second on the left, and the times of uploads and lists on the right."""
    mpl.use("Agg")
    figure, (rates, times) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    clients = [step.clients for step in steps]
    rates.plot(clients, [step.requests for step in steps], "o-", color="black", label="all requests")
    rates.plot(clients, [step.uploads for step in steps], "o-", color=_UPLOAD, label="uploads")
    rates.set(ylabel="Requests per second")
    for name, color in (("upload", _UPLOAD), ("list", _LIST)):
        p50 = [getattr(step, f"{name}_p50") for step in steps]
        p95 = [getattr(step, f"{name}_p95") for step in steps]
        times.plot(clients, p95, "o-", color=color, label=f"{name}, p95")
        times.plot(clients, p50, "o--", color=color, label=f"{name}, p50")
    times.set(ylabel="Seconds")
    for axes in (rates, times):
        axes.set(xlabel="Clients", xscale="log", xticks=clients, xticklabels=clients)
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
