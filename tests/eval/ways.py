"""The ways to search that are compared, and what each makes of a set of queries."""

import random
from dataclasses import dataclass, field

from . import measures

# Every fixed weight of the vector leg, and where the one is that people begin with.
ALPHAS = [round(0.05 * step, 2) for step in range(21)]
HALF = ALPHAS.index(0.5)

# What anybody has to begin with: BM25 with the k1 of the target for all queries, of which the extension takes less for exact terms.
K1 = 0.9

# Searches after which the weight is looked at that a table has learned.
STEPS = [0, 20, 50, 100, 200, 1000]


@dataclass
class Scores:
    """The measures of one way for each query, and the seconds that a query takes, where it was timed."""

    ndcg: list
    recall: list
    reciprocal_rank: list
    seconds: float = None

    def mean(self, measure="ndcg"):
        """The mean over the queries."""
        values = getattr(self, measure)
        return sum(values) / len(values)


@dataclass
class Outcome:
    """What all ways make of the queries of a collection.

    ways: name → Scores. plain and fixed: a Scores for each of ALPHAS, by the plain recipe and by the scales of the
    extension. keyword_found: the share of the queries for which the keyword leg found something. learned: (searches, weight of
    the vector leg after them), in random order, from none to a thousand. weight: what it was when all of it was over.
    """

    ways: dict = field(default_factory=dict)
    plain: list = field(default_factory=list)
    fixed: list = field(default_factory=list)
    keyword_found: float = 0.0
    learned: list = field(default_factory=list)
    weight: float = 0.0

    def oracle(self):
        """The mean of each query's best fixed weight, by the scales of the extension."""
        best = [max(values) for values in zip(*(scores.ndcg for scores in self.fixed))]
        return sum(best) / len(best)


def compare(engine, collection, query_embeddings):
    """Searches by every way; the collection's documents are loaded already."""
    engine.ask(collection.queries, query_embeddings)
    grades = [collection.judgements[id_] for id_, _ in collection.queries]

    def judge(rankings, seconds=None):
        pairs = list(zip(rankings, grades))
        return Scores(
            [measures.ndcg(*pair) for pair in pairs],
            [measures.recall(*pair) for pair in pairs],
            [measures.reciprocal_rank(*pair) for pair in pairs],
            seconds,
        )

    engine.calibrate("off")
    new = judge(*engine.search())
    engine.calibrate("on")
    learned = learn(engine, len(collection.queries), collection.name)
    legs = engine.legs(k1=K1)
    outcome = Outcome(learned=learned, keyword_found=sum(bool(leg.keyword) for leg in legs) / len(legs))
    outcome.plain = [judge([plain(leg, alpha) for leg in legs]) for alpha in ALPHAS]
    outcome.fixed = [judge(rankings) for rankings in engine.fuse(engine.legs(), ALPHAS)]
    (by_rank,) = engine.fuse(legs, [0.5], "rrf")
    outcome.ways = {
        "BM25": judge([[id_ for id_, _ in leg.keyword] for leg in legs]),
        "dense": judge([[id_ for id_, _ in leg.vector] for leg in legs]),
        "RRF 60": judge(by_rank),
        "auto, new": new,
        "auto": judge(*engine.search()),
    }
    outcome.weight = engine.weight()
    return outcome


def learn(engine, queries, seed):
    """Searches for all queries in random order, again and again in other ones, and gives the weight after each of STEPS."""
    draw = random.Random(f"order of {seed}")
    order = [place for _ in range(0, STEPS[-1], queries) for place in draw.sample(range(queries), queries)]
    learned = [(0, engine.weight())]
    for former, step in zip(STEPS, STEPS[1:]):
        engine.ask_some(order[former:step])
        learned.append((step, engine.weight()))
    return learned


def plain(leg, alpha):
    """The recipe that people copy: dense scores between their minimum and maximum, BM25 by its maximum, one weight."""
    scores = {}
    if leg.vector:
        low, high = leg.vector[-1][1], leg.vector[0][1]
        for id_, score in leg.vector:
            scores[id_] = alpha * ((score - low) / (high - low) if high > low else 1.0)
    for id_, score in leg.keyword:
        scores[id_] = scores.get(id_, 0.0) + (1 - alpha) * score / leg.keyword[0][1]
    return sorted(scores, key=lambda id_: (-scores[id_], id_))
