"""The steps to a small student over the core's features, each over all folds and the whole."""

import numpy as np

from harca_train import curve, distill, export, features, prune, quantize, report, student, teach
from harca_train.pipeline import Pipeline, save_arrays
from harca_train.pretrained import Pretrained, States
from harca_train.vectors import Vocabulary, WordVectors
from harca_train.workspace import read_json, write_json


class FeaturesPipeline(Pipeline):
    """Teacher, distillation, pruning, quantization, and what measures them."""

    def __init__(self, workspace, out):
        super().__init__(workspace, out)
        self._vectors = None

    def teacher(self, folder):
        """Fine-tunes the pretrained encoders and keeps their answers."""
        missing = [fold for fold in self.folds() if not self._file(folder, fold, "npz").exists()]
        if not missing or not self.settings["teacher"]["models"]:
            return
        pretrained = Pretrained(self.settings["teacher"]["frozen_layers"])
        # All texts but the plain forms of the pool, which come last and which only the template models read.
        read = len(self.dataset.texts) - len(self.dataset.pool)
        kept = folder / "states.npz"
        states = States.load(kept) if kept.exists() else pretrained.states(self.dataset.texts[:read])
        if not kept.exists():
            states.save(kept)
        self.workspace.log(f"lower layers done for {len(states)} texts")
        for fold in missing:
            logits = teach.teach(self.settings, self.dataset, fold, pretrained, states)
            save_arrays(self._file(folder, fold, "npz"), logits)
            self._say(fold, "pretrained encoder", logits["written"][fold.held].argmax(axis=1))
        kept.unlink()

    def distill(self, folder):
        """Trains the template models and the students."""
        for fold in self._missing(folder):
            vectors = self.vectors(fold)
            answers = self._file(folder, fold, "npz")
            if not answers.exists():
                save_arrays(answers, teach.teach_templates(self.settings, self.encoded, fold, vectors))
            says = self.teacher_of(fold)
            self._say(fold, "teacher", says("written")[fold.held].argmax(axis=1))
            self._keep(folder, fold, distill.distill(self.settings, self.encoded, fold, says, vectors))

    def prune(self, folder):
        """Prunes the students."""
        for fold in self._missing(folder):
            says, model = self.teacher_of(fold), self.model("distill", fold)
            model, counts = prune.prune(self.settings, self.encoded, fold, says, model)
            self._keep(folder, fold, model)
            write_json(self._file(folder, fold, "json"), counts)
        self.workspace.log(f"kept: {read_json(self._file(folder, self.whole(), 'json'))}")

    def quantize(self, folder):
        """Makes every form of every student, and keeps the logits of the held-out queries."""
        dataset = self.encoded
        rows = np.concatenate([[views[0] for views in dataset.views], dataset.plain_rows])
        for fold in self.folds():
            if self._file(folder, fold, "npz").exists():
                continue
            some = fold.trained[::max(1, len(fold.trained) // 300)]
            calibration = dataset.features.take([dataset.views[i][0] for i in some])
            made = quantize.forms(
                self.model("distill", fold), self.model("prune", fold), self.settings["name"], calibration
            )
            for form, model in made.items():
                target = folder / fold.name.replace(" ", "-")
                target.mkdir(exist_ok=True)
                (target / f"{form.replace(' ', '-')}.onnx").write_bytes(model)
            # The whole is run on everything, too: the report compares forms on it, though it has seen the queries.
            logits = {form: quantize.logits_of(model, dataset.features.take(rows)) for form, model in made.items()}
            save_arrays(self._file(folder, fold, "npz"), logits)
            self._say(fold, "pruned student", logits["pruned"][fold.held].argmax(axis=1))

    def export(self, folder):
        """Chooses a form, fits its temperature on held-out sources and writes the model folder."""
        export.export(self, folder)

    def curve(self, folder):
        """Measures how much more labels help."""
        if not (folder / "curve.json").exists():
            write_json(folder / "curve.json", curve.curve(self))

    def report(self, folder):
        """Writes the card, the stage table and the plots into the model folder."""
        report.of_features(self)

    @property
    def encoded(self):
        """The prepared dataset with its features."""
        if self.dataset.features is None:
            self.dataset.features = features.encode(self.dataset.texts, self.settings["encoder"])
        return self.dataset

    def vectors(self, fold):
        """Pretrained vectors of the token table for the models of `fold`, None without a pretrained encoder."""
        if not self.settings["teacher"]["models"]:
            return None
        if self._vectors is None:
            encoder, pieces = self.settings["encoder"], self.settings["student"]["sequence"]["vocabulary"]
            vocabulary = Vocabulary(self.dataset.texts, self.encoded.features, encoder)
            self._vectors = WordVectors(Pretrained(0), vocabulary, encoder, pieces)
        return self._vectors.table(fold.seen(self.dataset))

    def teacher_of(self, fold):
        """What the teacher of `fold` says: a function of the view (written, plain, pool) to probabilities."""
        pretrained = None
        if self.settings["teacher"]["models"]:
            pretrained = dict(np.load(self._existing("teacher", fold, "npz")))
        template = dict(np.load(self._existing("distill", fold, "npz")))
        return lambda view: teach.answer(pretrained, template, view, self.settings)

    def model(self, step, fold):
        """The student of `fold` after `step` (distill or prune)."""
        return student.load(self._existing(step, fold, "pt"), self.settings["student"])

    def logits(self, fold):
        """Logits of every labelled query by each form of the student of `fold`: form → [2, labelled, labels].

        The first of the two is the text as written, the second in lower case without final punctuation.
        """
        stored = np.load(self._existing("quantize", fold, "npz"))
        return {form: values.reshape(2, -1, values.shape[1]) for form, values in stored.items()}

    def form(self, fold, form):
        """Bytes of the ONNX model of `fold` in `form`."""
        name = f"{fold.name.replace(' ', '-')}/{form.replace(' ', '-')}.onnx"
        return (self.workspace.folder("quantize") / name).read_bytes()

    def _keep(self, folder, fold, model):
        super()._keep(folder, fold, model)
        rows = [self.encoded.views[i][0] for i in fold.held]
        self._say(fold, "student", student.logits_of(model, self.encoded.features.take(rows)).argmax(axis=1))
