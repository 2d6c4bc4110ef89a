"""Draws what SEARCH_QUALITY.md shows: how the weight of the vector leg counts, and the ways beside one another."""

import statistics

import matplotlib

matplotlib.use("svg")
# Text stays text, and the same figures give the same file.
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "pg_harca", "font.size": 9})

from matplotlib import pyplot  # noqa: E402

from .ways import ALPHAS  # noqa: E402

WAYS = {"BM25": "#9a9a9a", "dense": "#c9c9c9", "RRF 60": "#d98e04", "auto": "#336791"}


def draw(outcomes, folder):
    """Writes search_weights.svg and search_ways.svg into the folder, from what command.main has found."""
    folder.mkdir(parents=True, exist_ok=True)
    _save(_weights(outcomes), folder / "search_weights.svg")
    _save(_ways(outcomes), folder / "search_ways.svg")


def _weights(outcomes):
    """nDCG by the weight, for each collection."""
    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for name, found in outcomes.items():
        curve = [scores.mean() for scores in found["natural"].fixed]
        (line,) = axes.plot(ALPHAS, curve, linewidth=1.5, label=name)
        axes.plot(ALPHAS[curve.index(max(curve))], max(curve), "o", color=line.get_color(), markersize=4)
    axes.set_xlabel("weight of the vector leg; a dot marks the best")
    axes.set_ylabel("nDCG@10")
    axes.legend(frameon=False, fontsize=7, ncol=3)
    axes.set_title("One fixed weight does not suit all tables", fontsize=10)
    return figure, axes


def _ways(outcomes):
    """The mean nDCG of each way, on the collections' own queries, on exact terms and on both."""
    kinds = {
        "own queries": lambda found, way: found["natural"].ways[way].mean(),
        "exact terms": lambda found, way: found["exact"].ways[way].mean(),
        "mixed": lambda found, way: (found["natural"].ways[way].mean() + found["exact"].ways[way].mean()) / 2,
    }
    figure, axes = pyplot.subplots(figsize=(7, 3.2))
    height = 0.8 / len(WAYS)
    for part, (way, colour) in enumerate(WAYS.items()):
        means = [statistics.fmean(measure(found, way) for found in outcomes.values()) for measure in kinds.values()]
        bars = axes.barh([place + part * height for place in range(len(kinds))], means, height=height, color=colour, label=way)
        axes.bar_label(bars, [f"{mean:.3f}" for mean in means], padding=3, fontsize=8)
    axes.set_yticks([place + (len(WAYS) - 1) * height / 2 for place in range(len(kinds))], list(kinds))
    axes.invert_yaxis()
    axes.set_xlabel("nDCG@10, mean of the collections")
    axes.margins(x=0.12)
    axes.legend(frameon=False, fontsize=8, ncol=len(WAYS), loc="upper center", bbox_to_anchor=(0.5, 1.14))
    return figure, axes


def _save(drawn, file):
    figure, axes = drawn
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
