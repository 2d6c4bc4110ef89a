"""The bounds that search is held to."""

import statistics
from dataclasses import dataclass

from .results import Results

# The keyword leg alone, by an independent BM25 on the same collections (k1 0.9, b 0.4, light stemming, bigrams of
# characters for Japanese).
REFERENCE = {
    "cisi": 0.354, "cacm": 0.463, "medline": 0.676, "vaswani": 0.428, "stackfaq": 0.705, "cosqa": 0.334, "jaquad_dev": 0.889,
    "niilc_distract": 0.531, "niilc_kw": 0.611,
}  # fmt: skip
# By the key of a model: the mean of auto that is asked for, and of how many of these collections it is one.
LEAST_AUTO = {"e5": (0.675, 9), "minilm": (0.638, 6), "use": (0.625, 9)}
KINDS = (("plain", "plain fixed weight"), ("fixed", "fixed weight"))


@dataclass
class Requirement:
    """A bound and what was measured, as text; where: the model and the collection of a figure that is the worst of many."""

    model: str
    what: str
    bound: str
    measured: str
    where: str
    met: bool


class Checks:
    """Collects requirements, of one model or of all."""

    def __init__(self, model):
        self.model, self.rows = model, []

    def least(self, what, value, bound, where=""):
        """Asks for a value of at least so much."""
        self._add(what, value, "≥", bound, where, value >= bound - 5e-7)

    def most(self, what, value, bound, where=""):
        """Asks for one of at most so much."""
        self._add(what, value, "≤", bound, where, value <= bound + 5e-7)

    def _add(self, what, value, sign, bound, where, met):
        text = lambda number: f"{number:.3f}" if isinstance(number, float) else str(number)  # noqa: E731
        self.rows.append(Requirement(self.model, what, f"{sign} {text(bound)}", text(value), where, met))


def requirements(measured):
    """Those of all models, then what is asked of one beside them; measured is a list of Results."""
    rows = of_all(measured)
    for results in measured:
        rows += of_one(results)
        if results.model.key == "use":
            rows += of_the_published(results)
    return rows


def of_all(measured):
    """What has to hold with every model and on every table."""
    checks = Checks("all")
    tables = [(results, name) for results in measured for name in results.natural]

    def worst(pick, figure):
        """The figure that is farthest on one side, and where it is."""
        return pick((figure(*table), f"{table[1]}, {table[0].model.title}") for table in tables)

    def mean(figure):
        return statistics.fmean(figure(*table) for table in tables)

    def below_leg(results, name):
        return max(results.way(name, "BM25"), results.way(name, "dense")) - results.way(name, "auto")

    def below_half(results, name):
        return results.half(name) - results.way(name, "auto")

    for what, figure, bound in (("better leg alone", below_leg, 0.012), ("plain recipe at the weight 0.5", below_half, 0.008)):
        value, where = worst(max, figure)
        checks.most(f"auto, farthest below the {what}", value, bound, where)
    value, where = worst(min, Results.exact_share)
    checks.least("exact terms: auto ÷ BM25, lowest", value, 0.985, where)
    value, where = worst(max, Results.drift)
    checks.most("exact terms: how far they move the weight of a table", value, 0.05, where)
    checks.least(
        "mixed: auto above the best plain fixed weight of each, mean",
        mean(lambda r, name: r.mixed(name, "auto") - r.mixed_best(name, "plain")),
        0.012,
    )
    checks.least("tuned: above the fixed weight tuned on the same half, mean", mean(lambda r, name: r.tuned[name].tuned - r.tuned[name].fixed), 0.005)
    return checks.rows


def of_one(results):
    """What is asked of each model."""
    checks = Checks(results.model.title)
    least, collections = LEAST_AUTO[results.model.key]
    known = [name for name in results.natural if name in REFERENCE]
    # A mean of others, or of a part, has nothing to do with it.
    if len(known) == len(results.natural) == collections:
        checks.least(f"auto, mean of {collections}", results.mean(lambda r, name: r.way(name, "auto")), least)
    gain = results.mean(lambda r, name: r.way(name, "auto", "recall") - r.way(name, "RRF 60", "recall"))
    checks.least("recall@100: auto beside RRF 60, mean", gain, -0.003)
    return checks.rows


def of_the_published(results):
    """What is asked beside that of the model whose figures are published, for this very recipe among others."""
    checks = Checks(results.model.title)
    auto = {name: results.way(name, "auto") for name in results.natural}
    mean = statistics.fmean(auto.values())
    known = [name for name in results.natural if name in REFERENCE]
    if known:
        checks.most("BM25, farthest below the reference", max(REFERENCE[name] - results.way(name, "BM25") for name in known), 0.02)
    checks.least("auto, mean, beside that of RRF 60 + 0.04", mean, results.mean(lambda r, name: r.way(name, "RRF 60")) + 0.04)
    for kind, of in KINDS:
        if len(auto) > 1:
            others = {name: results.on_others(name, kind) for name in auto}
            checks.least(f"auto, mean, beside the {of} that is best on the others", mean, statistics.fmean(others.values()))
            checks.most(f"auto, farthest below the {of} that is best on the others", max(others[name] - auto[name] for name in auto), 0.02)
    checks.least("aim beyond: auto, mean, beside the best fixed weight of each", mean, results.mean(lambda r, name: r.best(name, "fixed")))
    for kind, of in KINDS:
        gains = [results.mixed(name, "auto") - results.mixed_best(name, kind) for name in auto]
        if kind == "fixed":
            checks.least(f"mixed: auto above the best {of} of each, mean", statistics.fmean(gains), 0.015)
        checks.least(f"mixed: auto above the best {of} of each, lowest", min(gains), 0.0)
    japanese = [outcome.keyword_found for name, outcome in results.natural.items() if name in results.japanese]
    if japanese:
        checks.least("Japanese queries with a keyword leg", min(japanese), 0.95)
    for kind, of in KINDS:
        gains = [outcome.tuned - getattr(outcome, kind) for outcome in results.tuned.values()]
        checks.least(f"tuned: above the {of} tuned on the same half, mean", statistics.fmean(gains), 0.005)
        checks.least(f"tuned: above the {of} tuned on the same half, lowest", min(gains), -0.005)
        ahead = sum(gain > 0 for gain in gains)
        checks.least(f"tuned: ahead of the {of} tuned on the same half, collections of {len(gains)}", ahead, round(len(gains) * 6 / 9))
    gains = [outcome.tuned - outcome.best_plain for outcome in results.mixed_tuned.values()]
    checks.least("mixed, tuned: above the best plain fixed weight of each, mean", statistics.fmean(gains), 0.015)
    checks.least("mixed, tuned: above the best plain fixed weight of each, lowest", min(gains), 0.0)
    return checks.rows
