"""The step `curve`: how much a model gains from more labelled queries, on held-out sources."""

import numpy as np

from harca_train import evaluate, student, teach

SHARES = [0.125, 0.25, 0.5, 1.0]


def curve(pipeline):
    """Rows of the learning curve: number of labelled queries, macro-F1 and accuracy of a template model.

    A template model learns from labels alone. It is trained per fold on a random share of the labelled queries and on
    all made-up ones.
    """
    dataset, settings = pipeline.encoded, pipeline.settings
    written = np.array([rows[0] for rows in dataset.views])
    labels = evaluate.scored(settings, dataset)
    folds = [(fold, pipeline.vectors(fold)) for fold in pipeline.folds() if fold.number is not None]
    found = []
    for share in SHARES:
        answers, sizes = np.full(len(dataset.labelled), -1), []
        for fold, vectors in folds:
            part, name = fold.share(share, settings["seed"]), f"{fold.name}, {share:.0%} of the labels"
            model = teach.template(settings, dataset, part, vectors, name)
            answers[fold.held] = student.logits_of(model, dataset.features.take(written[fold.held])).argmax(axis=1)
            sizes.append(len(part.trained))
        measured = answers >= 0
        row = evaluate.figures(dataset.truth[measured], answers[measured], labels)
        found.append({"labelled": round(float(np.mean(sizes)))} | row)
        pipeline.workspace.log(f"{found[-1]['labelled']} labelled queries: macro-F1 {row['macro_f1']:.4f}")
    return found
