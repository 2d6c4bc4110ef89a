"""What was found with one embedding model, and the figures that are made of it."""

import statistics
from dataclasses import dataclass, field

from .ways import ALPHAS, HALF


@dataclass
class Results:
    """By the name of a collection: ways.Outcome of its own queries (natural) and of those with an exact term, tuning.Tuned of
    its own and of mixed queries. japanese: those whose documents are. missing: why there are none of others, which the model
    is meant for.
    """

    model: object
    natural: dict = field(default_factory=dict)
    exact: dict = field(default_factory=dict)
    tuned: dict = field(default_factory=dict)
    mixed_tuned: dict = field(default_factory=dict)
    japanese: set = field(default_factory=set)
    missing: dict = field(default_factory=dict)

    def mean(self, figure):
        """The mean over the collections of a figure, which is asked for by these results and the name of a collection."""
        return statistics.fmean(figure(self, name) for name in self.natural)

    def way(self, name, way, measure="ndcg"):
        """A measure of a collection's own queries."""
        return self.natural[name].ways[way].mean(measure)

    def half(self, name):
        """By the plain recipe at the weight 0.5."""
        return self.natural[name].plain[HALF].mean()

    def best(self, name, kind):
        """By the fixed weight that is best for the collection."""
        return max(scores.mean() for scores in getattr(self.natural[name], kind))

    def on_others(self, name, kind):
        """By the weight that is best for the mean of the other collections."""
        others = [getattr(outcome, kind) for other, outcome in self.natural.items() if other != name] or [getattr(self.natural[name], kind)]
        means = [statistics.fmean(scores[i].mean() for scores in others) for i in range(len(ALPHAS))]
        return getattr(self.natural[name], kind)[means.index(max(means))].mean()

    def exact_share(self, name):
        """What auto has of BM25's figure for queries with an exact term."""
        return self.exact[name].ways["auto"].mean() / self.exact[name].ways["BM25"].mean()

    def drift(self, name):
        """How far queries with an exact term have moved the weight from where the collection's own queries had put it."""
        return abs(self.exact[name].weight - self.natural[name].weight)

    def mixed(self, name, way):
        """The mean over as many queries of the one kind as of the other."""
        return (self.natural[name].ways[way].mean() + self.exact[name].ways[way].mean()) / 2

    def mixed_best(self, name, kind):
        """The same by the best fixed weight."""
        pairs = zip(getattr(self.natural[name], kind), getattr(self.exact[name], kind))
        return max((natural.mean() + exact.mean()) / 2 for natural, exact in pairs)
