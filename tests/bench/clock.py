"""Timing: variants take turns, so that a slower minute of the machine slows all of them."""

import statistics


def interleaved(rounds, variants, before=None):
    """Calls every variant once a round, each round beginning with another one, and before() ahead of each round.

    A variant returns what it measured; the result has a list of that for each name.
    """
    names = list(variants)
    measured = {name: [] for name in names}
    for turn in range(rounds):
        if before:
            before()
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            measured[name].append(variants[name]())
    return measured


def medians(measured):
    """The median of each list."""
    return {name: statistics.median(values) for name, values in measured.items()}


def late(values):
    """What 95 % of the values are at most."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def spread(values):
    """The quartiles' distance as a share of the median: how far one round can be trusted."""
    if len(values) < 4:
        return (max(values) - min(values)) / statistics.median(values)
    low, _, high = statistics.quantiles(values, n=4)
    return (high - low) / statistics.median(values)
