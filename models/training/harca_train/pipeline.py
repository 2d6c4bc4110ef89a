"""What a run of either kind of student goes through; every artefact that is there already is used as it is."""

import io

import numpy as np
import torch

from harca_train import evaluate
from harca_train.corpus import Splits
from harca_train.dataset import Dataset, prepare
from harca_train.errors import TrainingError
from harca_train.folds import Fold
from harca_train.workspace import write_json


class Pipeline:
    """A run in `workspace`; `out` is the model folder that export and report write.

    A kind of student adds a method for each of its steps, and what `evaluate` asks of it: `teacher_of` and `logits`.
    """

    def __init__(self, workspace, out):
        self.workspace, self.settings, self.out = workspace, workspace.settings, out
        self._dataset = None
        self._folds = None
        # Fixed, because sums depend on how they are divided among threads.
        torch.set_num_threads(2)
        torch.use_deterministic_algorithms(True)

    def run(self, steps, again=False):
        """Runs `steps` in order; `again` makes the first of them anew, and with it what depends on it."""
        every = self.workspace.steps()
        for number, step in enumerate(steps):
            if step not in every:
                kind = self.settings["student"]["kind"]
                raise TrainingError(f"a student of the kind {kind} has no step {step}: {', '.join(every)}")
            self.workspace.log(step)
            getattr(self, step)(self.workspace.folder(step, again))
            if again and number == 0:
                for later in every[every.index(step) + 1:]:
                    self.workspace.folder(later, again=True)

    def prepare(self, folder):
        """Makes the dataset."""
        if not (folder / "dataset.json").exists():
            self._dataset = prepare(self.settings, self.workspace.data_root, self.workspace.log)
            self._dataset.save(folder)

    def evaluate(self, folder):
        """Measures everything on held-out sources."""
        write_json(folder / "metrics.json", evaluate.evaluate(self))

    @property
    def dataset(self):
        """The prepared dataset."""
        if self._dataset is None:
            folder = self.workspace.folder("prepare")
            if not (folder / "dataset.json").exists():
                raise TrainingError("run the step prepare first: the settings or the data are others than before")
            self._dataset = Dataset.load(folder)
        return self._dataset

    def folds(self):
        """Every fold, then the whole."""
        if self._folds is None:
            folds = self.settings["folds"]
            splits = Splits(self.dataset.labelled, self.settings["groups"], folds["groups"], folds["count"])
            self._folds = [Fold(self.dataset, splits, number) for number in [*sorted(set(splits.fold)), None]]
        return self._folds

    def whole(self):
        """The fold that holds nothing out."""
        return self.folds()[-1]

    def _missing(self, folder):
        return [fold for fold in self.folds() if not self._file(folder, fold, "pt").exists()]

    def _file(self, folder, fold, suffix):
        return folder / f"{fold.name.replace(' ', '-')}.{suffix}"

    def _existing(self, step, fold, suffix):
        path = self._file(self.workspace.folder(step), fold, suffix)
        if not path.exists():
            raise TrainingError(f"run the step {step} first: the settings or the data are others than before")
        return path

    def _keep(self, folder, fold, model):
        buffer = io.BytesIO()
        torch.save(model.state_dict(), buffer)
        self._file(folder, fold, "pt").write_bytes(buffer.getvalue())

    def _say(self, fold, who, found):
        if not len(fold.held):
            return
        truth = self.dataset.truth[fold.held]
        scored = evaluate.scored(self.settings, self.dataset)
        measured = evaluate.figures(truth, found, scored)
        self.workspace.log(f"{fold.name}: {who} macro-F1 {measured['macro_f1']:.4f} accuracy {measured['accuracy']:.4f}")


def save_arrays(path, arrays):
    """Writes `arrays` (name → array) in float32 to `path` in one piece."""
    buffer = io.BytesIO()
    np.savez(buffer, **{name: np.asarray(values, dtype=np.float32) for name, values in arrays.items()})
    path.write_bytes(buffer.getvalue())
