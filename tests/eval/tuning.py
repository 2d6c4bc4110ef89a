"""What tuning gains: what harca.tune_search finds on one half of the queries, measured on the other."""

import random
from dataclasses import dataclass, field

from .ways import ALPHAS

# So many times the queries are parted anew, and each half learned from in its turn: one parting alone is chance.
PARTINGS = 10


@dataclass
class Tuned:
    """Means over all partings of the nDCG of queries, by what was tuned on the half that they are not in.

    tuned and auto: by the extension, tuned and as registered; plain and fixed: by the fixed weight that was best on the other
    half, by the plain recipe and by the scales of the extension. best_plain: by the plain weight that is best for all queries.
    settings: what was found, each time.
    """

    tuned: float = 0.0
    auto: float = 0.0
    plain: float = 0.0
    fixed: float = 0.0
    best_plain: float = 0.0
    settings: list = field(default_factory=list)


@dataclass
class Query:
    """A judged query: what tuning knows of it, and its nDCG for each of ALPHAS by the plain recipe and by the extension's scales."""

    text: str
    exactness: float
    measure: float
    curves: list
    plain: list
    fixed: list

    def by(self, setting):
        """Its nDCG by a setting that tuning has found, as the core measures it."""
        steps = len(ALPHAS) - 1
        weight = (1 - self.exactness) * setting["vector_weight"] + self.exactness * setting["exact_term_weight"]
        return self.curves[(setting["setting"] - 1) * len(ALPHAS) + int(weight * steps + 0.5)]


def judge(engine, collection, embeddings, outcome):
    """The queries of a collection, which the engine holds, with what ways.compare has found for them."""
    known = engine.judge(collection.queries, embeddings, collection.judgements)
    return [
        Query(text, *known[text], [scores.ndcg[place] for scores in outcome.plain], [scores.ndcg[place] for scores in outcome.fixed])
        for place, (_, text) in enumerate(collection.queries)
        if text in known
    ]


def mix(name, natural, exact):
    """As many queries of the one kind as of the other."""
    draw, count = random.Random(f"mixed queries of {name}"), min(len(natural), len(exact))
    return draw.sample(natural, count) + draw.sample(exact, count)


def compare(engine, name, queries):
    """Learns on halves of the queries and measures on the others; the engine has judged them last, or all that they are from."""
    outcome = Tuned(best_plain=max(_mean(query.plain[place] for query in queries) for place in range(len(ALPHAS))))
    draw, rounds = random.Random(f"halves of {name}"), 2 * PARTINGS
    for _ in range(PARTINGS):
        order = draw.sample(queries, len(queries))
        halves = order[: len(order) // 2], order[len(order) // 2 :]
        for learned, held in (halves, halves[::-1]):
            setting = engine.tune([query.text for query in learned])
            # What does not gain is not applied.
            gains = setting["validated"] > setting["before"]
            outcome.settings.append(setting)
            outcome.tuned += _mean(query.by(setting) if gains else query.measure for query in held) / rounds
            outcome.auto += _mean(query.measure for query in held) / rounds
            for kind in ("plain", "fixed"):
                means = [_mean(getattr(query, kind)[place] for query in learned) for place in range(len(ALPHAS))]
                best = means.index(max(means))
                setattr(outcome, kind, getattr(outcome, kind) + _mean(getattr(query, kind)[best] for query in held) / rounds)
    return outcome


def _mean(values):
    values = list(values)
    return sum(values) / len(values)
