"""Texts as a transformer's graph reads them."""

import numpy as np

from harca_train import encoder_graph


class Tokens:
    """Token ids of texts; text i begins at `starts[i]` of them all."""

    def __init__(self, ids):
        """`ids` are the token ids of each text, lists of int."""
        self._ids = ids
        self.starts = np.concatenate([[0], np.cumsum([len(one) for one in ids])]).astype(np.int64)

    def __len__(self):
        return len(self._ids)

    def inputs(self, rows):
        """Inputs of the graph for the texts `rows`: int64 [rows, longest], padded on the right, and which are tokens."""
        chosen = [self._ids[row] for row in rows]
        ids = np.zeros((len(chosen), max(map(len, chosen))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for line, one in enumerate(chosen):
            ids[line, :len(one)], mask[line, :len(one)] = one, 1
        return {encoder_graph.IDS: ids, encoder_graph.MASK: mask}
