"""BM25 without an index and without the server: what the first rows of a search have to be."""

import heapq
import math
from array import array

# Those of a search target as it is registered.
K1, B = 0.9, 0.4


class BruteForce:
    """Counts some terms in documents that pass by, and ranks these documents for queries of such terms."""

    def __init__(self, terms):
        # term: the documents that have it, and how often
        self._postings = {term: (array("I"), array("H")) for term in terms}
        self._terms = frozenset(self._postings)
        self._lengths = array("H")

    def add(self, document, tokens):
        """Takes the next document; they come in the order of their numbers, from 0."""
        self._lengths.append(len(tokens))
        for term in self._terms.intersection(tokens):
            documents, counts = self._postings[term]
            documents.append(document)
            counts.append(tokens.count(term))

    def documents(self, term):
        """How many documents have a term."""
        return len(self._postings[term][0])

    def scores(self, terms):
        """document → BM25 of those with any of the terms."""
        total = len(self._lengths)
        slope = K1 * B * total / sum(self._lengths)
        scores = {}
        for term in terms:
            documents, counts = self._postings[term]
            weight = math.log1p((total - len(documents) + 0.5) / (len(documents) + 0.5))
            for document, count in zip(documents, counts):
                value = weight * count / (count + K1 * (1 - B) + slope * self._lengths[document])
                scores[document] = scores.get(document, 0) + value
        return scores


def agreement(page, scores, rows):
    """The share of the best rows that a page has; documents that score like the last of the best are as good as it."""
    best = heapq.nlargest(rows, scores.values())
    if not best:
        return 1.0
    least = best[-1] * (1 - 1e-6)
    return sum(scores.get(document, 0) >= least for document in page[: len(best)]) / len(best)
