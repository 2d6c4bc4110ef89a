"""Feature ids from `harca_encode`, the only encoder there is: training never re-implements it."""

import json
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from harca_train.errors import TrainingError

REPOSITORY = Path(__file__).resolve().parents[3]
ENCODER = {"id": "harca-template-1", "buckets": 16384, "max_features": 512, "max_chars": 512}


@cache
def binary():
    """Path of a release build of `harca_encode`; $HARCA_ENCODE names one that is already built."""
    if "HARCA_ENCODE" in os.environ:
        return Path(os.environ["HARCA_ENCODE"])
    command = ["cargo", "build", "--release", "--package", "harca_core", "--bin", "harca_encode"]
    command += ["--message-format", "json-render-diagnostics"]
    try:
        built = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise TrainingError(f"cargo cannot build harca_encode, the encoder of the core: {error}") from error
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "harca_encode":
            return Path(message["executable"])
    raise TrainingError("cargo built no harca_encode")


class Features:
    """Ragged feature ids of a list of texts: `ids` int64 [total], text i owns `ids[starts[i]:starts[i + 1]]`."""

    def __init__(self, ids, starts):
        self.ids, self.starts = ids, starts

    def __len__(self):
        return len(self.starts) - 1

    def row(self, i):
        """Ids of text i, int64 [features]."""
        return self.ids[self.starts[i]:self.starts[i + 1]]

    def select(self, rows):
        """Ids, offsets and lengths of the given rows, as an embedding bag wants them: int64 [total], [rows], [rows]."""
        rows = np.asarray(rows, dtype=np.int64)
        lengths = self.starts[rows + 1] - self.starts[rows]
        offsets = (np.cumsum(lengths) - lengths).astype(np.int64)
        places = np.arange(lengths.sum()) - np.repeat(offsets, lengths) + np.repeat(self.starts[rows], lengths)
        return self.ids[places], offsets, lengths

    def take(self, rows):
        """Features of the given rows alone."""
        ids, _, lengths = self.select(rows)
        return Features(ids, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    def padded(self, rows, extra=0):
        """Ids of the given rows as the graph takes them, int32 [rows, longest + extra], 0 on the right."""
        lengths = [len(self.row(i)) for i in rows]
        matrix = np.zeros((len(lengths), max([1, *lengths]) + extra), dtype=np.int32)
        for line, i in enumerate(rows):
            matrix[line, :lengths[line]] = self.row(i)
        return matrix


def encode(texts, spec=None):
    """Features of `texts` by the encoder specification `spec` (default ENCODER); a line break is read as a space."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as manifest:
        json.dump(spec or ENCODER, manifest)
        manifest.flush()
        lines = "".join(text.replace("\r", " ").replace("\n", " ") + "\n" for text in texts)
        done = subprocess.run(
            [binary(), manifest.name], input=lines.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    if done.returncode != 0:
        raise TrainingError(done.stderr.decode().strip())
    rows = done.stdout.decode().splitlines()
    if len(rows) != len(texts):
        raise TrainingError(f"{len(texts)} texts gave {len(rows)} rows of features")
    arrays = [np.array(row.split(), dtype=np.int64) for row in rows]
    starts = np.concatenate([[0], np.cumsum([len(array) for array in arrays])]).astype(np.int64)
    return Features(np.concatenate(arrays), starts)
