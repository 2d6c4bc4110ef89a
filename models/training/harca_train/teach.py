"""The step `teacher`, and what a teacher says: for each fold of held-out sources and for the whole.

A teacher is a fine-tuned pretrained encoder and a few template models (students that learnt from the labels alone),
which err in different places; its answer is the weighted mean of their probabilities. The first are slow and know
nothing of the core's encoder; the second are trained with the student.
"""

import copy

import numpy as np

from harca_train import student, teacher
from harca_train.metrics import softmax


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


def teach(settings, dataset, fold, pretrained, states):
    """Fine-tunes the pretrained encoders of `fold`.

    Returns their logits of all labelled queries (`written`, `plain`) and of the `pool` as written.
    """
    options, seed = settings["teacher"], settings["seed"]
    chance = np.random.default_rng(seed)
    some = min(len(fold.made), int(options["synthetic_share"] * len(fold.trained)))
    chosen = chance.choice(fold.made, some, replace=False) if some else []
    shown = [dataset.views[i] for i in fold.trained] + [[dataset.made_rows[i]] for i in chosen]
    targets = dataset.one_hot([dataset.labelled[i] for i in fold.trained] + [dataset.made[i] for i in chosen])
    shares = [1.0] * len(fold.trained) + [options["synthetic_weight"]] * some
    views = _views(dataset)
    del views["pool_plain"]
    logits = {name: 0.0 for name in views}
    for number in range(options["models"]):
        name = f"{fold.name}, teacher {number + 1}"
        model = teacher.train(pretrained, states, shown, targets, shares, options, seed + number, name)
        for view, places in views.items():
            logits[view] = logits[view] + teacher.logits_of(model, states, places, f"{name}, {view}")
    return {name: total / options["models"] for name, total in logits.items()}


def teach_templates(settings, dataset, fold, vectors):
    """Trains the template models of `fold`; their mean probabilities of `written`, `plain`, `pool`, `pool_plain`."""
    options = settings["template"]
    views = _views(dataset)
    sums = {name: 0.0 for name in views}
    for number in range(options["models"]):
        model = template(settings, dataset, fold, vectors, f"{fold.name}, template model {number + 1}", number)
        for view, places in views.items():
            sums[view] = sums[view] + softmax(student.logits_of(model, dataset.features.take(places)))
    return {name: total / options["models"] for name, total in sums.items()}


def template(settings, dataset, fold, vectors, name, seed=0):
    """A template model of `fold`: a student of the labels alone; `vectors` and `seed` as `student.train` takes them."""
    rows, targets, weights = fold.hard(dataset, settings["student"]["synthetic_weight"])
    options, learner = settings["template"], settings["student"]
    epochs = {"epochs": options["epochs"]}
    sequence = learner["sequence"] | epochs | {"share": options["share"]}
    learner = learner | epochs | {"width": options["width"], "hidden": options["hidden"], "sequence": sequence}
    learner = settings | {"student": learner}
    return student.train(dataset.features.take(rows), targets, weights, learner, name, vectors, seed)


def answer(pretrained, template, view, settings):
    """The teacher's probabilities of `view` (written, plain or pool), [texts, labels].

    `pretrained` and `template` are what `teach` and `teach_templates` returned; without the first, None, the template
    models teach alone.
    """
    probabilities = template[view]
    if view == "pool":
        probabilities = (probabilities + template["pool_plain"]) / 2
    if pretrained is None:
        return probabilities
    share = settings["template"]["weight"]
    return share * probabilities + (1 - share) * softmax(pretrained[view])


def _views(dataset):
    return {
        "written": np.array([rows[0] for rows in dataset.views]),
        "plain": dataset.plain_rows,
        "pool": dataset.pool_rows[0],
        "pool_plain": dataset.pool_rows[1],
    }
