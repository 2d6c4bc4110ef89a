"""Measures of a ranked list, and whether two ways differ by more than chance."""

import math

import numpy

DRAWS = 10_000


def ndcg(ranking, grades, depth=10):
    """Normalised discounted cumulative gain at a depth, with the gain 2^grade − 1 (Burges et al., 2005)."""
    gain = sum((2 ** grades.get(id_, 0) - 1) / math.log2(place + 2) for place, id_ in enumerate(ranking[:depth]))
    ideal = sorted(grades.values(), reverse=True)[:depth]
    return gain / sum((2**grade - 1) / math.log2(place + 2) for place, grade in enumerate(ideal))


def recall(ranking, grades, depth=100):
    """The share of the relevant documents that are in a list."""
    return len(set(ranking[:depth]) & set(grades)) / len(grades)


def reciprocal_rank(ranking, grades, depth=100):
    """1 / the place of the first relevant document; 0 without one."""
    return next((1 / (place + 1) for place, id_ in enumerate(ranking[:depth]) if id_ in grades), 0.0)


def significance(values, others):
    """The probability that chance alone parts the means of two lists of paired values so far: a sign-flip test."""
    differences = numpy.asarray(values) - numpy.asarray(others)
    observed = abs(differences.mean())
    signs = numpy.random.default_rng(0).choice([-1.0, 1.0], size=(DRAWS, len(differences)))
    drawn = abs((signs * differences).mean(axis=1))
    return float((1 + (drawn >= observed - 1e-12).sum()) / (1 + DRAWS))
