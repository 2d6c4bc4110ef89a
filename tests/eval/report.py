"""What was found, written as docs/SEARCH_QUALITY.md and docs/search_quality.json, with the bounds it is held to."""

import dataclasses
import json
import statistics
from pathlib import Path

from . import plots
from .measures import significance
from .requirements import REFERENCE, requirements
from .results import Results
from .ways import ALPHAS, HALF, STEPS

# Written by hand: what the columns mean, and, by the key of a model, remarks beside the figures that they speak of.
LEGEND = Path(__file__).with_name("legend.md")
REMARKS = {"use": Path(__file__).with_name("remarks.md")}


def write(measured, unmeasured, about, folder):
    """Writes the files into the folder; measured is a list of Results, unmeasured says of other models why there are none."""
    found = requirements(measured)
    folder.mkdir(parents=True, exist_ok=True)
    plots.draw(measured, folder / "plots")
    (folder / "SEARCH_QUALITY.md").write_text("\n".join(page(measured, unmeasured, about, found)), encoding="utf-8")
    content = {
        "about": about,
        "requirements": [dataclasses.asdict(each) for each in found],
        "not available": unmeasured | {results.model.title: results.missing for results in measured if results.missing},
        "models": {results.model.key: {"name": results.model.name, "collections": summary(results)} for results in measured},
    }
    (folder / "search_quality.json").write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(f"==> {sum(not each.met for each in found)} of {len(found)} figures outside their bounds, in {folder / 'SEARCH_QUALITY.md'}")
    for each in found:
        where = f", {each.where}" if each.where else ""
        print(f"    {'met' if each.met else 'missed'}: {each.model}: {each.what}: {each.measured} ({each.bound}{where})")


def page(measured, unmeasured, about, found):
    """The lines of SEARCH_QUALITY.md."""
    lines = [
        "# Search quality",
        "",
        "Written by `make eval`. Figures are nDCG@10 unless they say otherwise; all retrieval is PostgreSQL's, and nothing was",
        "tuned on the collection at hand, but in the tables that say so.",
        "",
        *(f"- {what}: {value}" for what, value in about.items()),
        *(f"- {title}: not available: {why}" for title, why in unmeasured.items()),
        *(f"- {r.model.title}, {name}: not available: {why}" for r in measured for name, why in r.missing.items()),
        "",
        "## All models",
        "",
        "Means over the collections of each; all-MiniLM-L6-v2 knows English alone.",
        "",
        *table(
            ["", "collections", *WAYS, "exact terms: auto ÷ BM25", "mixed: plain, best fixed", "auto", "recall@100: RRF 60", "auto"],
            map(means, measured),
        ),
        "",
        "![nDCG by the weight of the vector leg](plots/search_weights.svg)",
        "",
        "![nDCG by kind of query](plots/search_ways.svg)",
        "",
        "![The weight that a table has learned](plots/search_learned.svg)",
        "",
        "## Required",
        "",
        *table(
            ["model", "", "bound", "measured", "where", ""],
            [[r.model, r.what, r.bound, r.measured, r.where, "met" if r.met else "**missed**"] for r in found],
        ),
        "",
        *prose(LEGEND),
    ]
    for results in measured:
        lines += section(results)
    return lines


# By the name of a column: a figure of the collection's own queries.
WAYS = {
    "BM25": lambda results, name: results.way(name, "BM25"),
    "dense": lambda results, name: results.way(name, "dense"),
    "RRF 60": lambda results, name: results.way(name, "RRF 60"),
    "plain, 0.5": lambda results, name: results.half(name),
    "plain, on others": lambda results, name: results.on_others(name, "plain"),
    "plain, best fixed": lambda results, name: results.best(name, "plain"),
    "on others": lambda results, name: results.on_others(name, "fixed"),
    "best fixed": lambda results, name: results.best(name, "fixed"),
    "auto, new": lambda results, name: results.way(name, "auto, new"),
    "auto": lambda results, name: results.way(name, "auto"),
    "oracle": lambda results, name: results.natural[name].oracle(),
}

def prose(file):
    """The lines of a text that was written by hand."""
    return [*file.read_text(encoding="utf-8").splitlines(), ""]


def means(results):
    """The line of a model among all."""
    figures = [
        *WAYS.values(),
        Results.exact_share,
        lambda results, name: results.mixed_best(name, "plain"),
        lambda results, name: results.mixed(name, "auto"),
        lambda results, name: results.way(name, "RRF 60", "recall"),
        lambda results, name: results.way(name, "auto", "recall"),
    ]
    return [results.model.name, str(len(results.natural)), *(results.mean(figure) for figure in figures)]


def section(results):
    """The lines of one model."""
    return [
        f"## {results.model.title}",
        "",
        *(prose(REMARKS[results.model.key]) if results.model.key in REMARKS else []),
        "### Queries of the collections",
        "",
        *natural_tables(results),
        "### The weight that searches have told",
        "",
        *learned_table(results),
        "### Queries with an exact term",
        "",
        *exact_table(results),
        "### Tuned",
        "",
        *tuned_table(results),
    ]


def natural_tables(results):
    """nDCG by every way; then other measures, and whether the differences are more than chance."""
    first, *others = WAYS
    auto = {name: outcome.ways["auto"] for name, outcome in results.natural.items()}
    return [
        *table(
            ["", first, "reference", *others],
            [[name, WAYS[first](results, name), REFERENCE.get(name, "–"), *(WAYS[way](results, name) for way in others)] for name in results.natural],
            mean=True,
        ),
        "",
        *table(
            ["", "recall@100: BM25", "dense", "RRF 60", "auto", "MRR: BM25", "dense", "RRF 60", "auto", "ms a query", "auto and RRF 60, p", "auto and BM25, p"],
            [
                [name]
                + [outcome.ways[way].mean(measure) for measure in ("recall", "reciprocal_rank") for way in ("BM25", "dense", "RRF 60", "auto")]
                + [f"{1e3 * auto[name].seconds:.1f}"]
                + [f"{significance(auto[name].ndcg, outcome.ways[way].ndcg):.4f}" for way in ("RRF 60", "BM25")]
                for name, outcome in results.natural.items()
            ],
            mean=True,
        ),
        "",
    ]


def learned_table(results):
    """The weight of the vector leg by the number of searches, beside the best one."""
    best = lambda outcome: ALPHAS[max(range(len(ALPHAS)), key=lambda n: outcome.fixed[n].mean())]  # noqa: E731
    return [
        *table(
            ["", *(f"after {step:,}" if step else "new" for step in STEPS), "and exact terms", "best fixed"],
            [
                [
                    name, *(f"{weight:.2f}" for _, weight in outcome.learned), f"{results.exact[name].weight:.2f}", f"{best(outcome):.2f}",
                ]
                for name, outcome in results.natural.items()
            ],
        ),
        "",
    ]  # fmt: skip


def exact_table(results):
    """Of queries with an exact term, alone and among the collection's own."""
    return [
        *table(
            ["", "BM25", "dense", "RRF 60", "plain, 0.5", "auto", "auto ÷ BM25", "mixed: plain, best fixed", "best fixed", "auto"],
            [
                [
                    name, *(outcome.ways[way].mean() for way in ("BM25", "dense", "RRF 60")), outcome.plain[HALF].mean(),
                    outcome.ways["auto"].mean(), results.exact_share(name), results.mixed_best(name, "plain"), results.mixed_best(name, "fixed"),
                    results.mixed(name, "auto"),
                ]
                for name, outcome in results.exact.items()
            ],
            mean=True,
        ),
        "",
    ]  # fmt: skip


def tuned_table(results):
    """What tuning gains."""
    return [
        *table(
            ["", "plain", "fixed", "auto, as registered", "tuned", "weight", "weight of exact terms", "mixed: best plain", "plain", "auto, as registered", "tuned"],
            [
                [
                    name, outcome.plain, outcome.fixed, outcome.auto, outcome.tuned,
                    *("{:.2f} to {:.2f}".format(*limits(outcome, weight)) for weight in ("vector_weight", "exact_term_weight")),
                    *(getattr(results.mixed_tuned[name], kind) for kind in ("best_plain", "plain", "auto", "tuned")),
                ]
                for name, outcome in results.tuned.items()
            ],
            mean=True,
        ),
        "",
    ]  # fmt: skip


def limits(outcome, weight):
    """The lowest and the highest weight that tuning has found."""
    found = [setting[weight] for setting in outcome.settings]
    return min(found), max(found)


def summary(results):
    """The figures of a model by collection, for programs."""
    return {
        name: {
            "natural": ways_summary(results.natural[name]),
            "exact": ways_summary(results.exact[name]),
            "tuned": tuning_summary(results.tuned[name]),
            "tuned, mixed": tuning_summary(results.mixed_tuned[name]),
        }
        for name in results.natural
    }


def ways_summary(outcome):
    """The figures of an outcome."""
    return {
        "ways": {
            name: {"ndcg@10": scores.mean(), "recall@100": scores.mean("recall"), "mrr": scores.mean("reciprocal_rank"), "seconds": scores.seconds}
            for name, scores in outcome.ways.items()
        },
        "weights": ALPHAS,
        "plain": [scores.mean() for scores in outcome.plain],
        "fixed": [scores.mean() for scores in outcome.fixed],
        "oracle": outcome.oracle(),
        "keyword_found": outcome.keyword_found,
        "learned": outcome.learned,
        "weight": outcome.weight,
    }


def tuning_summary(outcome):
    """The figures of what tuning gains."""
    means = {kind: getattr(outcome, kind) for kind in ("plain", "fixed", "auto", "tuned", "best_plain")}
    return {**means, **{weight: list(limits(outcome, weight)) for weight in ("vector_weight", "exact_term_weight")}}


def table(header, rows, mean=False):
    """A table in Markdown; with mean, a last line with the means of the columns of numbers."""
    if mean and len(rows) > 1:
        columns = list(zip(*rows))[1:]
        rows = [*rows, ["mean", *(statistics.fmean(c) if all(isinstance(x, float) for x in c) else "" for c in columns)]]
    cell = lambda value: f"{value:.3f}" if isinstance(value, float) else str(value)  # noqa: E731
    return [f"| {' | '.join(header)} |", "|---" * len(header) + "|", *(f"| {' | '.join(map(cell, row))} |" for row in rows)]
