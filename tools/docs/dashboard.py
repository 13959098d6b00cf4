"""Draw the dashboard of options/monitoring.yaml in docs/images, with made-up curves.

Usage: `python -m tools.docs.dashboard`.
"""

import json
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from tools import template

_IMAGE = template.ROOT / "docs" / "images" / "dashboard.png"
_COLUMNS = 24  # of a CloudWatch dashboard
_POINTS = 60


def widgets() -> list[dict[str, Any]]:
    """Return the widgets as options/monitoring.yaml defines them in CloudWatch's JSON."""
    described = template.read_option("monitoring", {"CreateDashboard": "true"})["Resources"]["Dashboard"]["Properties"]
    found: list[dict[str, Any]] = json.loads(described["DashboardBody"]["Fn::Sub"])["widgets"]
    return found


def main() -> None:
    """Draw each widget at its place, with one curve per metric."""
    mpl.use("Agg")
    described = widgets()
    rows = max(widget["y"] + widget["height"] for widget in described)
    figure = plt.figure(figsize=(14, 0.55 * rows), layout="constrained")
    figure.suptitle("The layout of the dashboard. The curves are made up.", x=0.01, ha="left", fontsize=11)
    grid = figure.add_gridspec(rows, _COLUMNS)
    random = np.random.default_rng(1)
    for widget in described:
        down = slice(widget["y"], widget["y"] + widget["height"])
        across = slice(widget["x"], widget["x"] + widget["width"])
        axes = figure.add_subplot(grid[down, across])
        for number, metric in enumerate(widget["properties"]["metrics"]):
            steps = random.normal(0, 0.3, _POINTS)
            axes.plot(np.abs(10 / (1 + number) + np.cumsum(steps)), label=metric[-1]["label"], linewidth=1.2)
        axes.set_title(widget["properties"]["title"], loc="left", fontsize=10)
        axes.set(xticks=[], yticks=[], ylim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.02))
    figure.savefig(_IMAGE, dpi=100)


if __name__ == "__main__":
    main()
