"""What was found, written as docs/SEARCH_QUALITY.md and docs/search_quality.json, with the bounds it is held to."""

import json
import statistics
from pathlib import Path

from . import plots
from .embedding import NAME
from .measures import significance
from .ways import ALPHAS

# The keyword leg alone, by an independent BM25 on the same collections (k1 0.9, b 0.4, light stemming, bigrams of
# characters for Japanese).
REFERENCE = {
    "cisi": 0.354, "cacm": 0.463, "medline": 0.676, "vaswani": 0.428, "stackfaq": 0.705, "cosqa": 0.334, "jaquad_dev": 0.889,
    "niilc_distract": 0.531, "niilc_kw": 0.611,
}  # fmt: skip
# Written by hand, beside the figures that it speaks of.
REMARKS = Path(__file__).with_name("remarks.md")
JAPANESE = ("jaquad_dev", "niilc_distract", "niilc_kw")


def write(outcomes, about, folder):
    """Writes the files into the folder; outcomes has for each collection those of its natural and its exact queries."""
    natural = {name: both["natural"] for name, both in outcomes.items()}
    exact = {name: both["exact"] for name, both in outcomes.items()}
    tuned = {name: both["tuned"] for name, both in outcomes.items()}
    mixed_tuned = {name: both["tuned, mixed"] for name, both in outcomes.items()}
    found = requirements(natural, exact) + tuning_requirements(tuned, mixed_tuned)
    lines = [
        "# Search quality",
        "",
        "Written by `make eval`. Figures are nDCG@10 unless they say otherwise; all retrieval is PostgreSQL's, and nothing was",
        "tuned on the collection at hand, but in the last section.",
        "",
        f"- Embeddings: {NAME}",
        *(f"- {what}: {value}" for what, value in about.items()),
        "",
        "## Required",
        "",
        *table(["", "bound", "measured", ""], [[what, bound, value, "met" if met else "**missed**"] for what, bound, value, met in found]),
        "",
        *REMARKS.read_text(encoding="utf-8").splitlines(),
        "",
        "## Queries of the collections",
        "",
        "![nDCG by the weight of the vector leg](plots/search_weights.svg)",
        "",
        "![nDCG by kind of query](plots/search_ways.svg)",
        "",
        "*Best fixed* is the one weight that is best for this very collection, *on others* the one that is best for the mean of",
        "the other collections. *Plain* is the recipe that is copied most: similarity between minimum and maximum, BM25 by its",
        "maximum. The other weights are on the scales of the extension. The *oracle* knows the best weight of each query.",
        "",
        *table(
            ["", "BM25", "reference", "dense", "RRF 60", "plain, on others", "plain, best fixed", "on others", "best fixed", "auto", "oracle"],
            [
                [
                    name, outcome.ways["BM25"].mean(), REFERENCE.get(name, "–"), outcome.ways["dense"].mean(), outcome.ways["RRF 60"].mean(),
                    on_others(natural, name, "plain"), best(outcome.plain), on_others(natural, name, "fixed"), best(outcome.fixed),
                    outcome.ways["auto"].mean(), outcome.oracle(),
                ]
                for name, outcome in natural.items()
            ],
            mean=True,
        ),
        "",
        "Whether *auto* differs by more than chance: p of a sign-flip test over the queries.",
        "",
        *table(
            ["", "recall@100: BM25", "dense", "RRF 60", "auto", "MRR: BM25", "dense", "RRF 60", "auto", "ms a query", "auto and RRF 60, p", "auto and BM25, p"],
            [
                [name]
                + [outcome.ways[way].mean(measure) for measure in ("recall", "reciprocal_rank") for way in ("BM25", "dense", "RRF 60", "auto")]
                + [f"{1e3 * outcome.ways['auto'].seconds:.1f}"]
                + [f"{significance(outcome.ways['auto'].ndcg, outcome.ways[way].ndcg):.4f}" for way in ("RRF 60", "BM25")]
                for name, outcome in natural.items()
            ],
        ),
        "",
        "## Queries with an exact term",
        "",
        "Made from the documents: a term that 4 documents have at most, beside one that 20 documents to 5 % have; relevant are",
        "those with the rare one. *Mixed*: as many of them as of the collection's own queries, on one table.",
        "",
        *table(
            ["", "BM25", "dense", "RRF 60", "plain, 0.5", "auto", "auto ÷ BM25", "mixed: plain, best fixed", "best fixed", "auto"],
            [
                [
                    name, *(outcome.ways[way].mean() for way in ("BM25", "dense", "RRF 60", "plain fixed weight", "auto")),
                    outcome.ways["auto"].mean() / outcome.ways["BM25"].mean(), mixed_best(natural[name], outcome, "plain"),
                    mixed_best(natural[name], outcome, "fixed"), mixed(natural[name].ways["auto"], outcome.ways["auto"]),
                ]
                for name, outcome in exact.items()
            ],
            mean=True,
        ),
        "",
        "## Tuned",
        "",
        "What `harca.tune_search` finds on one half of the queries, measured on the other, over ten partings and each half in its",
        "turn. *Plain* and *fixed* are the fixed weights that are best on the same half, by the plain recipe and by the scales of",
        "the extension. The last columns are of mixed queries; *best plain* there is the weight that is best for all of them, those",
        "that it is measured on included.",
        "",
        *table(
            ["", "plain", "fixed", "auto, as registered", "tuned", "weight", "weight of exact terms", "mixed: best plain", "plain", "auto, as registered", "tuned"],
            [
                [
                    name, outcome.plain, outcome.fixed, outcome.auto, outcome.tuned,
                    *("{:.2f} to {:.2f}".format(*(f(setting[weight] for setting in outcome.settings) for f in (min, max)))
                      for weight in ("vector_weight", "exact_term_weight")),
                    *(getattr(mixed_tuned[name], kind) for kind in ("best_plain", "plain", "auto", "tuned")),
                ]
                for name, outcome in tuned.items()
            ],
            mean=True,
        ),
        "",
    ]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    plots.draw(outcomes, folder / "plots")
    (folder / "SEARCH_QUALITY.md").write_text("\n".join(lines), encoding="utf-8")
    content = {
        "about": about,
        "requirements": [dict(zip(("what", "bound", "measured", "met"), row)) for row in found],
        "collections": {
            name: {kind: (summary if kind in ("natural", "exact") else tuning_summary)(outcome) for kind, outcome in both.items()}
            for name, both in outcomes.items()
        },
    }
    (folder / "search_quality.json").write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(f"==> {sum(not met for *_, met in found)} of {len(found)} figures outside their bounds, in {folder / 'SEARCH_QUALITY.md'}")
    for what, bound, value, met in found:
        print(f"    {'met' if met else 'missed'}: {what}: {value} ({bound})")


def requirements(natural, exact):
    """What is required, the bound, what was measured, and whether it holds."""
    auto = {name: outcome.ways["auto"].mean() for name, outcome in natural.items()}
    mean = statistics.fmean(auto.values())
    rows = []

    def add(what, value, bound, least=True):
        rows.append((what, f"{'≥' if least else '≤'} {bound:.3f}", f"{value:.3f}", value >= bound - 5e-7 if least else value <= bound + 5e-7))

    known = [name for name in natural if name in REFERENCE]
    if known:
        add("BM25, farthest below the reference", max(REFERENCE[name] - natural[name].ways["BM25"].mean() for name in known), 0.02, False)
    add("auto, mean", mean, statistics.fmean(outcome.ways["RRF 60"].mean() for outcome in natural.values()) + 0.04)
    for kind, of in (("plain", "plain fixed weight"), ("fixed", "fixed weight")):
        if len(natural) > 1:
            others = {name: on_others(natural, name, kind) for name in natural}
            add(f"auto, mean, beside the {of} that is best on the others", mean, statistics.fmean(others.values()))
            add(f"auto, farthest below the {of} that is best on the others", max(others[name] - auto[name] for name in natural), 0.02, False)
    add("aim beyond: auto, mean, beside the best fixed weight of each", mean, statistics.fmean(best(outcome.fixed) for outcome in natural.values()))
    add("exact terms: auto ÷ BM25, lowest", min(o.ways["auto"].mean() / o.ways["BM25"].mean() for o in exact.values()), 0.97)
    for kind, of in (("plain", "plain fixed weight"), ("fixed", "fixed weight")):
        gains = [mixed(natural[n].ways["auto"], exact[n].ways["auto"]) - mixed_best(natural[n], exact[n], kind) for n in natural]
        add(f"mixed: auto above the best {of} of each, mean", statistics.fmean(gains), 0.015)
        add(f"mixed: auto above the best {of} of each, lowest", min(gains), 0.0)
    japanese = [natural[name].keyword_found for name in JAPANESE if name in natural]
    if japanese:
        add("Japanese queries with a keyword leg", min(japanese), 0.95)
    return rows


def tuning_requirements(tuned, mixed_tuned):
    """The same of what tuning gains."""
    rows = []

    def add(what, value, bound):
        rows.append((what, f"≥ {bound:g}", f"{value:.3f}" if isinstance(value, float) else str(value), value >= bound - 5e-7))

    for kind, of in (("plain", "plain fixed weight"), ("fixed", "fixed weight")):
        gains = [outcome.tuned - getattr(outcome, kind) for outcome in tuned.values()]
        add(f"tuned: above the {of} tuned on the same half, mean", statistics.fmean(gains), 0.005)
        add(f"tuned: above the {of} tuned on the same half, lowest", min(gains), -0.005)
        add(f"tuned: ahead of the {of} tuned on the same half, collections of {len(gains)}", sum(gain > 0 for gain in gains), round(len(gains) * 6 / 9))
    gains = [outcome.tuned - outcome.best_plain for outcome in mixed_tuned.values()]
    add("mixed, tuned: above the best plain fixed weight of each, mean", statistics.fmean(gains), 0.015)
    add("mixed, tuned: above the best plain fixed weight of each, lowest", min(gains), 0.0)
    return rows


def best(scores):
    """The mean of the best fixed weight."""
    return max(s.mean() for s in scores)


def on_others(outcomes, name, kind):
    """The mean by the weight that is best for the mean of the other collections."""
    others = [getattr(outcome, kind) for other, outcome in outcomes.items() if other != name] or [getattr(outcomes[name], kind)]
    means = [statistics.fmean(scores[i].mean() for scores in others) for i in range(len(ALPHAS))]
    return getattr(outcomes[name], kind)[means.index(max(means))].mean()


def mixed(natural, exact):
    """The mean over as many queries of the one kind as of the other."""
    return (natural.mean() + exact.mean()) / 2


def mixed_best(natural, exact, kind):
    """The same by the best fixed weight."""
    return max(mixed(*pair) for pair in zip(getattr(natural, kind), getattr(exact, kind)))


def summary(outcome):
    """The figures of an outcome, for programs."""
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
    }


def tuning_summary(outcome):
    """The figures of what tuning gains, for programs."""
    means = {kind: getattr(outcome, kind) for kind in ("plain", "fixed", "auto", "tuned", "best_plain")}
    weights = {
        weight: [limit(setting[weight] for setting in outcome.settings) for limit in (min, max)]
        for weight in ("vector_weight", "exact_term_weight")
    }
    return {**means, **weights}


def table(header, rows, mean=False):
    """A table in Markdown; with mean, a last line with the means of the columns of numbers."""
    if mean and len(rows) > 1:
        columns = list(zip(*rows))[1:]
        rows = [*rows, ["mean", *(statistics.fmean(c) if all(isinstance(x, float) for x in c) else "" for c in columns)]]
    cell = lambda value: f"{value:.3f}" if isinstance(value, float) else str(value)  # noqa: E731
    return [f"| {' | '.join(header)} |", "|---" * len(header) + "|", *(f"| {' | '.join(map(cell, row))} |" for row in rows)]
