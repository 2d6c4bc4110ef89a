"""The step `distill`: a student learns from the labels and from the teacher's softened answers."""

import numpy as np

from harca_train import student
from harca_train.metrics import softmax


def lesson(settings, dataset, fold, says):
    """What the student of `fold` learns from: row numbers, probabilities, weights.

    `says` gives the teacher's probabilities of a view, "written" or "pool".
    """
    options = settings["student"]
    rows, targets, weights = fold.hard(dataset, options["synthetic_weight"])
    taught = [i for i in fold.trained for _ in dataset.views[i]]
    mixed = _soften(says("written")[taught], options["temperature"])
    targets[:len(taught)] = (1 - options["mix"]) * targets[:len(taught)] + options["mix"] * mixed
    if not len(fold.pool):
        return rows, targets, weights
    soft = says("pool")[fold.pool]
    sure = soft.max(axis=1) >= options["confidence_bar"]
    soft = _soften(soft[sure], options["temperature"])
    pool = dataset.pool_rows[:, fold.pool[sure]]
    rows = np.concatenate([rows, pool[0], pool[1]])
    weights = np.concatenate([weights, np.full(2 * len(soft), options["pseudo_weight"] / 2)])
    return rows, np.concatenate([targets, soft, soft]), weights


def distill(settings, dataset, fold, says, vectors):
    """Trains the student of `fold` on what its teacher `says`, see `lesson`; `vectors` as `student.train` takes them."""
    rows, targets, weights = lesson(settings, dataset, fold, says)
    name = f"{fold.name}, student on {len(rows)} texts"
    return student.train(dataset.features.take(rows), targets, weights, settings, name, vectors)


def _soften(probabilities, temperature):
    return softmax(np.log(np.maximum(probabilities, 1e-9)), temperature)
