"""The step `teacher`, and what a teacher says: for each fold of held-out sources and for the whole.

A teacher is a fine-tuned pretrained encoder and a few template models (students that learnt from the labels alone),
which err in different places; its answer is the weighted mean of their probabilities. The first are slow and know
nothing of the core's encoder; the second are trained with the student.
"""

import numpy as np

from harca_train import student, teacher
from harca_train.metrics import softmax


def teach(settings, dataset, fold, pretrained, states):
    """Fine-tunes the pretrained encoders of `fold`.

    Returns their logits of all labelled queries (`written`, `plain`) and of the `pool` as written.
    """
    options = settings["teacher"]
    views = _views(dataset)
    del views["pool_plain"]
    logits = {name: 0.0 for name in views}
    for number in range(options["models"]):
        name = f"{fold.name}, teacher {number + 1}"
        model = fine_tune(settings, dataset, fold, pretrained, states, name, number)
        for view, places in views.items():
            logits[view] = logits[view] + teacher.logits_of(model, states, places, f"{name}, {view}")
    return {name: total / options["models"] for name, total in logits.items()}


def fine_tune(settings, dataset, fold, pretrained, states, name, seed=0):
    """The upper layers of the pretrained encoder, fine-tuned to the labels of `fold`; `seed` is added to the settings'.

    What is drawn beside the network, made-up queries, does not depend on `seed`.
    """
    options = settings["teacher"]
    chance = np.random.default_rng(settings["seed"])
    some = min(len(fold.made), int(options["synthetic_share"] * len(fold.trained)))
    chosen = chance.choice(fold.made, some, replace=False) if some else []
    shown = [dataset.views[i] for i in fold.trained] + [[dataset.made_rows[i]] for i in chosen]
    targets = dataset.one_hot([dataset.labelled[i] for i in fold.trained] + [dataset.made[i] for i in chosen])
    shares = [1.0] * len(fold.trained) + [options["synthetic_weight"]] * some
    return teacher.train(pretrained, states, shown, targets, shares, options, settings["seed"] + seed, name)


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
