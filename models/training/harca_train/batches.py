"""Batches of texts of about one length."""

import numpy as np


def by_length(lengths, batch, chance):
    """Batches of indices in random order; each holds texts of about one length, so that little is padding."""
    shuffled = chance.permutation(len(lengths))
    batches = []
    for begin in range(0, len(shuffled), 16 * batch):
        part = shuffled[begin:begin + 16 * batch]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches += [part[i:i + batch] for i in range(0, len(part), batch)]
    return [batches[i] for i in chance.permutation(len(batches))]
