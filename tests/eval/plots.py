"""Draws what SEARCH_QUALITY.md shows: how the weight of the vector leg counts, and the ways beside one another."""

import matplotlib

matplotlib.use("svg")
# Text stays text, and the same figures give the same file.
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "pg_harca", "font.size": 9})

from matplotlib import pyplot  # noqa: E402

from .ways import ALPHAS  # noqa: E402

WAYS = {"BM25": "#9a9a9a", "dense": "#c9c9c9", "RRF 60": "#d98e04", "auto, new": "#8fb4d3", "auto": "#336791"}


def draw(measured, folder):
    """Writes search_weights.svg, search_ways.svg and search_learned.svg into the folder, from a list of Results: one below the other."""
    folder.mkdir(parents=True, exist_ok=True)
    _save(measured, _weights, 3.6, folder / "search_weights.svg")
    _save(measured, _ways, 2.6, folder / "search_ways.svg")
    _save(measured, _learned, 2.6, folder / "search_learned.svg")


def _weights(axes, results, first, last):
    """nDCG by the weight, for each collection; a collection has its colour in all drawings, by its place in the first."""
    for name, outcome in results.natural.items():
        curve = [scores.mean() for scores in outcome.fixed]
        (line,) = axes.plot(ALPHAS, curve, linewidth=1.5, label=name, color=f"C{list(first.natural).index(name)}" if name in first.natural else None)
        axes.plot(ALPHAS[curve.index(max(curve))], max(curve), "o", color=line.get_color(), markersize=4)
    axes.set_ylabel("nDCG@10")
    if results is first:
        axes.legend(frameon=False, fontsize=7, ncol=3)
    if last:
        axes.set_xlabel("weight of the vector leg; a dot marks the best")


def _learned(axes, results, first, last):
    """The weight by the number of searches, for each collection, in the colours of the weights."""
    for name, outcome in results.natural.items():
        color = f"C{list(first.natural).index(name)}" if name in first.natural else None
        axes.plot(*zip(*outcome.learned), linewidth=1.5, marker=".", label=name, color=color)
    axes.set_ylabel("weight of the vector leg")
    axes.set_ylim(0, 1)
    # From the new table, at 0, on.
    axes.set_xscale("symlog", linthresh=20, linscale=0.3)
    axes.set_xticks([step for step, _ in outcome.learned], [f"{step:,}" for step, _ in outcome.learned])
    axes.minorticks_off()
    if results is first:
        axes.legend(frameon=False, fontsize=7, ncol=3)
    if last:
        axes.set_xlabel("searches, in random order; each query again and again")


def _ways(axes, results, first, last):
    """The mean nDCG of each way, on the collections' own queries, on exact terms and on both."""
    kinds = {
        "own queries": lambda way: results.mean(lambda r, name: r.way(name, way)),
        "exact terms": lambda way: results.mean(lambda r, name: r.exact[name].ways[way].mean()),
        "mixed": lambda way: results.mean(lambda r, name: r.mixed(name, way)),
    }
    height = 0.8 / len(WAYS)
    for part, (way, colour) in enumerate(WAYS.items()):
        means = [measure(way) for measure in kinds.values()]
        bars = axes.barh([place + part * height for place in range(len(kinds))], means, height=height, color=colour, label=way)
        axes.bar_label(bars, [f"{mean:.3f}" for mean in means], padding=3, fontsize=8)
    axes.set_yticks([place + (len(WAYS) - 1) * height / 2 for place in range(len(kinds))], list(kinds))
    axes.invert_yaxis()
    axes.margins(x=0.12)
    if results is first:
        axes.legend(frameon=False, fontsize=8, ncol=len(WAYS), loc="upper center", bbox_to_anchor=(0.5, 1.3))
    if last:
        axes.set_xlabel("nDCG@10, mean of the collections")


def _save(measured, drawing, height, file):
    figure, drawings = pyplot.subplots(len(measured), squeeze=False, sharex=True, figsize=(7, height * len(measured)), layout="constrained")
    for axes, results in zip(drawings[:, 0], measured):
        drawing(axes, results, measured[0], results is measured[-1])
        axes.set_title(f"{results.model.title}, {len(results.natural)} collections", fontsize=10, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
