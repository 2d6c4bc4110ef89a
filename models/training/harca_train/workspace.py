"""The folder of a run: what each step has made, so that a run that was stopped goes on where it was."""

import hashlib
import json
import shutil
import time
from pathlib import Path

from harca_train.errors import TrainingError

_PREPARE = ["seed", "labels", "data", "synthetic"]
_EVALUATE = ["scored", "languages"]
# The steps of each kind of student in order, and what each depends on beside the steps before it: names of settings.
STEPS = {
    "features": {
        "prepare": _PREPARE,
        "teacher": ["groups", "folds", "teacher"],
        "distill": ["encoder", "template", "student"],
        "prune": ["prune"],
        "quantize": ["name"],
        "export": ["version", "golden", "ort", "quantize"],
        "evaluate": _EVALUATE,
        "curve": [],
        "report": [],
    },
    "transformer": {
        "prepare": _PREPARE,
        "finetune": ["groups", "folds", "teacher"],
        "export": ["name", "version", "golden", "student.transformer"],
        "evaluate": _EVALUATE,
        "report": [],
    },
}


class Workspace:
    """Folders of the steps below `root`.

    The key of a step is a hash of the settings it depends on, of the input files, and of the key of the step before
    it. What a step left behind under another key is removed before it is used.
    """

    def __init__(self, root, settings, data_root):
        self.root, self.settings, self.data_root = Path(root), settings, Path(data_root)
        kind = settings["student"]["kind"]
        if kind not in STEPS:
            raise TrainingError(f"there is no kind of student {kind!r}: {' or '.join(STEPS)}")
        self._steps = STEPS[kind]
        self.start = time.time()
        self._keys = {}

    def log(self, message):
        """Prints `message` with the minutes since the start."""
        print(f"[{(time.time() - self.start) / 60:5.1f} min] {message}", flush=True)

    def steps(self):
        """Names of the steps of this run, in order."""
        return list(self._steps)

    def key(self, step):
        """Hash of all that decides what `step` makes."""
        if step not in self._keys:
            place = self.steps().index(step)
            parts = [{name: self._setting(name) for name in self._steps[step]}]
            parts += [self.key(self.steps()[place - 1])] if place else self._inputs()
            text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
            self._keys[step] = hashlib.sha256(text.encode()).hexdigest()
        return self._keys[step]

    def folder(self, step, again=False):
        """The folder of `step`, empty when it held something of another key, or when it is to be made `again`."""
        folder = self.root / step
        stamp = folder / "key"
        known = stamp.read_text() if stamp.exists() else None
        if folder.exists() and (again or known != self.key(step)):
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        stamp.write_text(self.key(step))
        return folder

    def _setting(self, name):
        value = self.settings
        for part in name.split("."):
            value = value[part]
        return value

    def _inputs(self):
        data = self.settings["data"]
        paths = [data["labelled"], data["unlabelled"], *(texts["path"] for texts in data["texts"])]
        return [hashlib.sha256((self.data_root / path).read_bytes()).hexdigest() for path in paths if path]


def write_json(path, value):
    """Writes `value` as JSON in one piece: a reader never sees half a file."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def read_json(path):
    """The value that `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))
