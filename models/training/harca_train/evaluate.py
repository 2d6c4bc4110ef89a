"""The step `evaluate`: figures on held-out sources, of the teacher, of the student and of every compressed form."""

import numpy as np

from harca_train import quantize
from harca_train.metrics import calibration_error, class_f1, fit_temperature, macro_f1, reliability, softmax
from harca_train.workspace import read_json


TIMED = 1000


def scored(settings, dataset):
    """Indices of the labels that macro-F1 is taken over."""
    return [dataset.labels.index(label) for label in settings["scored"] or dataset.labels]


def figures(truth, found, labels):
    """Macro-F1 over the label indices `labels` and accuracy, of the queries whose true label is one of these."""
    rows = np.isin(truth, labels)
    return {
        "queries": int(rows.sum()),
        "macro_f1": round(macro_f1(truth[rows], found[rows], labels), 4),
        "accuracy": round(float((truth == found)[rows].mean()), 4) if rows.any() else 0.0,
    }


class HeldOut:
    """Answers of the fold models to the queries that each has not seen, put together again.

    `logits` maps each form to float [2, labelled, labels], as written and plain; `teacher` holds its probabilities alike,
    and is None where nobody teaches. Queries outside every fold are NaN.
    """

    def __init__(self, pipeline):
        dataset = pipeline.dataset
        self.truth = dataset.truth
        shape = (2, len(dataset.labelled), len(dataset.labels))
        self.logits, self.fold = {}, np.full(len(dataset.labelled), -1)
        self.teacher = None
        for fold in pipeline.folds():
            if fold.number is None:
                continue
            self.fold[fold.held] = fold.number
            says = pipeline.teacher_of(fold)
            if says:
                self.teacher = np.full(shape, np.nan) if self.teacher is None else self.teacher
                for view, name in enumerate(["written", "plain"]):
                    self.teacher[view, fold.held] = says(name)[fold.held]
            for form, values in pipeline.logits(fold).items():
                self.logits.setdefault(form, np.full(shape, np.nan))[:, fold.held] = values[:, fold.held]
        self.measured = self.fold >= 0

    def temperature(self, form, without=None):
        """Temperature of `form` fitted on the held-out answers, as written and plain, of all folds but `without`."""
        rows = self.measured & (self.fold != without)
        return fit_temperature(np.concatenate(self.logits[form][:, rows]), np.concatenate([self.truth[rows]] * 2))

    def calibrated(self, form):
        """Probabilities [2, labelled, labels]; each fold by the temperature that the other folds ask for."""
        found = np.full_like(self.logits[form], np.nan)
        for fold in np.unique(self.fold[self.measured]):
            rows = self.fold == fold
            temperature = self.temperature(form, without=fold)
            for view in range(2):
                found[view, rows] = softmax(self.logits[form][view, rows], temperature)
        return found


def evaluate(pipeline):
    """All figures of the run, as a JSON value; `pipeline` has gone through the steps up to export."""
    dataset, settings = pipeline.dataset, pipeline.settings
    held = HeldOut(pipeline)
    labels = scored(settings, dataset)
    chosen = read_json(pipeline.workspace.folder("export") / "choice.json")
    form = chosen["form"]
    answers = {name: held.logits[name].argmax(axis=2) for name in held.logits}
    if held.teacher is not None:
        answers["teacher"] = held.teacher.argmax(axis=2)
    languages = np.array([query.language for query in dataset.labelled])
    sources = np.array([query.source for query in dataset.labelled])
    truth, shown = held.truth, answers[form]

    def both(rows, found):
        plain = figures(truth[rows], found[1][rows], labels)
        return figures(truth[rows], found[0][rows], labels) | {
            "macro_f1_plain": plain["macro_f1"],
            "accuracy_plain": plain["accuracy"],
        }

    known = settings["languages"] or sorted(set(languages))
    parts = {name: held.measured & (languages == name) for name in known}
    rest = held.measured & ~np.isin(languages, known)
    if rest.any():
        parts["other"] = rest
    probabilities = held.calibrated(form)
    return {
        "form": form,
        "temperature": chosen["temperature"],
        "overall": {name: both(held.measured, found) for name, found in answers.items()},
        "languages": {name: both(rows, shown) for name, rows in parts.items()},
        "teacher_languages": {
            name: both(rows, answers["teacher"]) for name, rows in parts.items() if held.teacher is not None
        },
        "sources": {name: both(held.measured & (sources == name), shown) for name in sorted(set(sources[held.measured]))},
        "class_f1": {
            dataset.labels[i]: round(float(f1), 4)
            for i, f1 in zip(labels, class_f1(truth[held.measured], shown[0][held.measured], labels))
        },
        "confusion": [
            [int(np.sum(held.measured & (truth == i) & (shown[0] == j))) for j in range(len(dataset.labels))]
            for i in range(len(dataset.labels))
        ],
        "calibration_error": {
            name: round(calibration_error(probabilities[view][held.measured], truth[held.measured]), 4)
            for view, name in enumerate(["written", "plain"])
        },
        "uncalibrated_error": round(
            calibration_error(softmax(held.logits[form][0][held.measured]), truth[held.measured]), 4
        ),
        "reliability": reliability(probabilities[0][held.measured], truth[held.measured]),
        "forms": chosen["forms"],
    }


def mistakes(pipeline, form, file):
    """Writes the held-out mistakes of `form` to `file`: source, truth, found, confidence, teacher's answer, query.

    The teacher's answer is empty where nobody teaches.
    """
    held = HeldOut(pipeline)
    probabilities, labels = held.calibrated(form)[0], pipeline.dataset.labels
    for i in np.flatnonzero(held.measured):
        found = probabilities[i].argmax()
        if found != held.truth[i]:
            query = pipeline.dataset.labelled[i]
            taught = "" if held.teacher is None else labels[held.teacher[0, i].argmax()]
            row = (query.source, query.label, labels[found], f"{probabilities[i].max():.2f}", taught, query.text)
            file.write("\t".join(row) + "\n")


def timed(dataset):
    """Indices of about `TIMED` labelled queries, evenly spread, that speed is measured on."""
    return list(range(0, len(dataset.labelled), max(1, len(dataset.labelled) // TIMED)))


def sweep(pipeline):
    """Size, latency, accuracy and macro-F1 of every form: held-out quality over the folds, the rest on the whole."""
    dataset = pipeline.dataset
    held = HeldOut(pipeline)
    labels = scored(pipeline.settings, dataset)
    features = pipeline.encoded.features.take([dataset.views[i][0] for i in timed(dataset)])
    table = {}
    for form in held.logits:
        model = pipeline.form(pipeline.whole(), form)
        found = held.logits[form][0].argmax(axis=1)
        measured = figures(held.truth[held.measured], found[held.measured], labels)
        table[form] = {
            "bytes": len(model),
            **quantize.latency(model, features),
            **measured,
            "batch_difference": quantize.batch_difference(model, features),
        }
    return table
