"""Draws the dashboard from what load.py has written: plot.py FILE PICTURE. It needs matplotlib, so it runs in a Python of its own."""

import json
import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
# Text stays text, and the same figures give the same file.
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "pg_harca", "font.size": 7})

from matplotlib import pyplot  # noqa: E402

COLOURS = ("#336791", "#d98e04", "#4b8b3b", "#a03a5c", "#6b5b95", "#2a9d8f", "#8d6e63", "#5f6b73")
SCALES = {"percentunit": (100, "%"), "bytes": (1 / 1048576, "MB"), "s": (1000, "ms"), "reqps": (1, "a second"), "ops": (1, "a second"), "none": (1, "")}


def lines_of(axes, panel, factor):
    """A line for each series; at most eight have their names."""
    for n, (label, points) in enumerate(sorted(panel["series"].items())):
        known = [(x, y * factor) for x, y in points if not math.isnan(y)]
        axes.plot([x for x, _ in known], [y for _, y in known], color=COLOURS[n % len(COLOURS)], linewidth=1, label=label if n < len(COLOURS) else None)
    if panel["series"]:
        axes.legend(frameon=False, fontsize=5.5, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.1))
    if panel["unit"] != "none":
        axes.set_ylim(bottom=0)


def bars_of(axes, panel, factor):
    """A bar for the latest value of each series."""
    latest = {label: points[-1][1] * factor for label, points in panel["series"].items()}
    order = sorted(latest, key=lambda label: (float(label) if label.replace(".", "").isdigit() else 0, label))
    bars = axes.barh(range(len(order)), [latest[label] for label in order], color=COLOURS[0])
    axes.bar_label(bars, [f"{latest[label]:.3g}" for label in order], padding=2, fontsize=6)
    axes.set_yticks(range(len(order)), order)
    axes.margins(x=0.15)


def states_of(axes, panel):
    """A band for each series, green where it is 1."""
    names = sorted(panel["series"])
    for row, label in enumerate(names):
        points = [*panel["series"][label], (panel["series"][label][-1][0] + 4, None)]
        changes = [point for before, point in zip([(0, None), *points], points, strict=False) if before[1] != point[1]]
        for (begin, value), (end, _) in zip(changes, changes[1:], strict=False):
            axes.barh(row, end - begin, left=begin, height=0.8, color="#4b8b3b" if value else "#b3312c", linewidth=0)
    axes.set_yticks(range(len(names)), names, fontsize=5.5)


def main():
    """Draws it."""
    source, target = map(Path, sys.argv[1:])
    told = json.loads(source.read_text(encoding="utf-8"))
    heights = sorted({panel["place"]["y"] for panel in told["panels"]})
    figure, grid = pyplot.subplots(len(heights), 3, figsize=(13, 2.35 * len(heights)), squeeze=False)
    for cell in grid.flat:
        cell.set_visible(False)
    for panel in told["panels"]:
        axes = grid[heights.index(panel["place"]["y"])][panel["place"]["x"] // 8]
        axes.set_visible(True)
        factor, unit = SCALES[panel["unit"]]
        if panel["kind"] == "state-timeline":
            states_of(axes, panel)
        elif panel["kind"] == "bargauge":
            bars_of(axes, panel, factor)
        else:
            lines_of(axes, panel, factor)
            for points in told["alerts"].values():
                axes.axvspan(points[0][0], points[-1][0], color="#b3312c", alpha=0.07, linewidth=0)
        axes.set_title(panel["title"] + (f", {unit}" if unit and not panel["title"].endswith(unit) else ""), fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
