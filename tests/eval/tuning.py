"""What harca.tune_search gains: tuned on one half of the queries, measured on the other, each half in its turn."""

import random
from dataclasses import dataclass, field

from . import measures
from .collection import Collection
from .ways import ALPHAS


@dataclass
class Tuned:
    """nDCG of each query, by what was tuned on the half it is not in.

    tuned and auto: by the extension, tuned and as registered; plain and fixed: by the fixed weight that was best on the other
    half, by the plain recipe and by the scales of the extension. best_plain: the mean by the plain weight that is best for all
    queries. settings: what harca.tune_search has found on each half.
    """

    tuned: list = field(default_factory=list)
    auto: list = field(default_factory=list)
    plain: list = field(default_factory=list)
    fixed: list = field(default_factory=list)
    best_plain: float = 0.0
    settings: list = field(default_factory=list)

    def gain(self, over):
        """The mean of tuned above that of another way."""
        return (sum(self.tuned) - sum(getattr(self, over))) / len(self.tuned)


def mix(collection, exact):
    """As many queries of the one kind as of the other, on the documents of both; and the places that they have in either."""
    count = min(len(collection.queries), len(exact.queries))
    draw = random.Random(f"mixed queries of {collection.name}")
    places = [sorted(draw.sample(range(len(some.queries)), count)) for some in (collection, exact)]
    queries = [some.queries[place] for some, chosen in zip((collection, exact), places) for place in chosen]
    return Collection(collection.name, collection.documents, queries, {**collection.judgements, **exact.judgements}), places


def compare(engine, collection, embeddings, plain, fixed):
    """Tunes and measures.

    plain and fixed: for each of ALPHAS, the nDCG of each query of the collection by that weight.
    """
    outcome = Tuned(best_plain=max(sum(values) / len(values) for values in plain))
    places = list(range(len(collection.queries)))
    random.Random(f"halves of {collection.name}").shuffle(places)
    halves = places[: len(places) // 2], places[len(places) // 2 :]
    for learned, held in (halves, halves[::-1]):
        queries = [collection.queries[place] for place in held]
        grades = [collection.judgements[id_] for id_, _ in queries]
        engine.ask(queries, embeddings[held])

        def judged(engine=engine, grades=grades):
            rankings, _ = engine.search()
            return [measures.ndcg(*pair) for pair in zip(rankings, grades)]

        outcome.auto += judged()
        outcome.settings.append(engine.tune([collection.queries[place] for place in learned], embeddings[learned], collection.judgements))
        outcome.tuned += judged()
        engine.undo_tuning()
        for name, curves in (("plain", plain), ("fixed", fixed)):
            means = [sum(values[place] for place in learned) for values in curves]
            getattr(outcome, name).extend(curves[means.index(max(means))][place] for place in held)
    assert all(len(values) == len(ALPHAS) for values in (plain, fixed))
    return outcome
