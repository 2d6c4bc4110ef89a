"""Folds of held-out sources: what each learns from and is measured on."""

import copy

import numpy as np


class Fold:
    """What fold `number` learns from and is measured on; number None is the whole, with nothing held out."""

    def __init__(self, dataset, splits, number):
        self.number = number
        self.name = "whole" if number is None else f"fold {number + 1}"
        held = [] if number is None else [i for i, fold in enumerate(splits.fold) if fold == number]
        self.held = np.array(held, dtype=np.int64)
        hidden = {dataset.plain_texts[i] for i in held}
        inside = set(held)
        self.trained = np.array(
            [
                i
                for i, query in enumerate(dataset.labelled)
                if i not in inside and query.use == "train" and dataset.plain_texts[i] not in hidden
            ]
        )

        # A made-up query or a phrase that happens to equal a held-out query would give its answer away.
        def usable(query):
            held_out = number is not None and splits.held_out(number, query.source)
            return not held_out and query.text.lower() not in hidden

        self.made = np.array([i for i, query in enumerate(dataset.made) if usable(query)], dtype=np.int64)
        self.pool = np.array([i for i, query in enumerate(dataset.pool) if usable(query)], dtype=np.int64)

    def share(self, share, seed):
        """This fold with a random `share` of the labelled queries that it learns from."""
        part = copy.copy(self)
        chance = np.random.default_rng(seed)
        part.trained = np.sort(chance.choice(self.trained, round(share * len(self.trained)), replace=False))
        return part

    def seen(self, dataset):
        """Numbers of the rows that a model of this fold may learn from, labelled or not."""
        views = [row for i in self.trained for row in dataset.views[i]]
        return np.concatenate([views, dataset.made_rows[self.made], dataset.pool_rows[0, self.pool]]).astype(np.int64)

    def hard(self, dataset, synthetic_weight):
        """Rows with known labels: their numbers, certain probabilities, and weights."""
        rows = [row for i in self.trained for row in dataset.views[i]] + list(dataset.made_rows[self.made])
        labelled = dataset.one_hot(dataset.labelled)
        targets = [labelled[i] for i in self.trained for _ in dataset.views[i]]
        weights = [weight for i in self.trained for weight in dataset.view_weights[i]]
        if len(self.made):
            targets += list(dataset.one_hot([dataset.made[i] for i in self.made]))
            weights += [synthetic_weight] * len(self.made)
        return np.array(rows), np.array(targets), np.array(weights)
