"""Draws the plots of benchmarks.json: plots.py FILE FOLDER. The one part that needs matplotlib, so it runs in a Python of its own."""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
# Text stays text, and the same figures give the same file.
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "pg_harca", "font.size": 9})

from matplotlib import pyplot  # noqa: E402
from matplotlib.ticker import LogLocator  # noqa: E402

COLOURS = ("#336791", "#d98e04", "#4b8b3b", "#a03a5c", "#6b5b95")


def draw_lines(plot, file):
    """A line for each label over the ticks; what is compared with a label has its name and a comma before its own."""
    figure, axes = pyplot.subplots(figsize=(7, 4.2))
    colours = {}
    for label, values in plot["series"].items():
        name, _, other = label.partition(", ")
        colour = colours.setdefault(name, COLOURS[len(colours) % len(COLOURS)])
        axes.plot(plot["ticks"], values, color=colour, marker="o", markersize=4, linestyle="--" if other else "-", label=label)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    axes.set_ylabel(plot["unit"])
    axes.set_title(plot["title"], fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)


def draw_bars(plot, file):
    """Horizontal bars, one for each label, or one for one client and one for two."""
    labels = list(plot["series"])
    values = [value if isinstance(value, list) else [value] for value in plot["series"].values()]
    figure, axes = pyplot.subplots(figsize=(7, 0.9 + 0.32 * len(labels) * len(values[0]) ** 0.5))
    height = 0.8 / len(values[0])
    for part in range(len(values[0])):
        places = [place + part * height for place in range(len(labels))]
        shown = [value[part] for value in values]
        name = ("1 client", "2 clients")[part] if len(values[0]) > 1 else None
        bars = axes.barh(places, shown, height=height, color=COLOURS[part], label=name)
        axes.bar_label(bars, [f"{v:,.0f}" if v >= 100 else f"{v:.3g}" for v in shown], padding=3, fontsize=8)
    axes.set_yticks([place + (len(values[0]) - 1) * height / 2 for place in range(len(labels))], labels)
    axes.invert_yaxis()
    axes.set_xlabel(plot["unit"])
    axes.set_title(plot["title"], fontsize=10)
    axes.margins(x=0.15)
    if plot["kind"] == "log":
        axes.set_xscale("log")
    if len(values[0]) > 1:
        axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)


def main():
    """Draws them all."""
    source, folder = map(Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    for name, plot in json.loads(source.read_text(encoding="utf-8"))["plots"].items():
        (draw_lines if plot["kind"] == "lines" else draw_bars)(plot, folder / f"{name}.svg")


if __name__ == "__main__":
    main()
