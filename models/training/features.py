"""Feature ids from `harca_encode`, the only encoder there is: training never re-implements it."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
ENCODER = {"id": "harca-template-1", "buckets": 16384, "max_features": 512, "max_chars": 512}


def encoder_binary():
    """Path of a release build of `harca_encode`; $HARCA_ENCODE names one that is already built."""
    if "HARCA_ENCODE" in os.environ:
        return Path(os.environ["HARCA_ENCODE"])
    command = ["cargo", "build", "--release", "--package", "harca_core", "--bin", "harca_encode"]
    command += ["--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True)
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "harca_encode":
            return Path(message["executable"])
    raise RuntimeError("cargo built no harca_encode")


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
        """Ids and offsets of the given rows, as an embedding bag wants them: int64 [total], int64 [rows]."""
        parts = [self.row(i) for i in rows]
        lengths = np.array([len(p) for p in parts])
        return np.concatenate(parts), np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths


def encode(texts, spec=None):
    """Features of `texts`; a line break inside a text is read as a space."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as manifest:
        json.dump(spec or ENCODER, manifest)
        manifest.flush()
        lines = "".join(t.replace("\r", " ").replace("\n", " ") + "\n" for t in texts)
        done = subprocess.run([_binary(), manifest.name], input=lines.encode(), check=True, stdout=subprocess.PIPE)
    rows = done.stdout.decode().splitlines()
    if len(rows) != len(texts):
        raise RuntimeError(f"{len(texts)} texts gave {len(rows)} rows of features")
    arrays = [np.fromstring(row, dtype=np.int64, sep=" ") for row in rows]
    starts = np.concatenate([[0], np.cumsum([len(a) for a in arrays])])
    return Features(np.concatenate(arrays), starts)


_BINARY = None


def _binary():
    global _BINARY
    if _BINARY is None:
        _BINARY = encoder_binary()
    return _BINARY
