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
    """What the encoder makes of a list of texts, ragged.

    `ids` int64 [total]: text i owns the feature ids `ids[starts[i]:starts[i + 1]]`. `tokens`, None when the encoder gives
    no tokens, holds the same for the sequence: int64 [total tokens, 3], text i owns the rows from `token_starts[i]`.
    """

    def __init__(self, ids, starts, tokens=None, token_starts=None):
        self.ids, self.starts, self.tokens, self.token_starts = ids, starts, tokens, token_starts

    def __len__(self):
        return len(self.starts) - 1

    def row(self, i):
        """Ids of text i, int64 [features]."""
        return self.ids[self.starts[i]:self.starts[i + 1]]

    def select(self, rows):
        """Ids, offsets and lengths of the given rows, as an embedding bag wants them: int64 [total], [rows], [rows]."""
        places, offsets, lengths = _places(self.starts, rows)
        return self.ids[places], offsets, lengths

    def take(self, rows):
        """Features of the given rows alone."""
        ids, _, lengths = self.select(rows)
        if self.tokens is None:
            return Features(ids, _starts(lengths))
        places, _, counts = _places(self.token_starts, rows)
        return Features(ids, _starts(lengths), self.tokens[places], _starts(counts))

    def padded(self, rows, extra=0):
        """Ids of the given rows as the graph takes them, int32 [rows, longest + extra], 0 on the right."""
        lengths = [len(self.row(i)) for i in rows]
        matrix = np.zeros((len(lengths), max([1, *lengths]) + extra), dtype=np.int32)
        for line, i in enumerate(rows):
            matrix[line, :lengths[line]] = self.row(i)
        return matrix

    def padded_tokens(self, rows):
        """Tokens of the given rows, int32 [rows, longest, 3], 0 on the right."""
        rows = np.asarray(rows, dtype=np.int64)
        counts = self.token_starts[rows + 1] - self.token_starts[rows]
        steps = np.arange(max(1, int(counts.max(initial=1))))
        places = np.minimum(self.token_starts[rows][:, None] + steps, len(self.tokens) - 1)
        return np.where((steps < counts[:, None])[:, :, None], self.tokens[places], 0).astype(np.int32)

    def inputs(self, rows):
        """The inputs of a graph for the given rows: input name → array."""
        found = {"features": self.padded(rows)}
        if self.tokens is not None:
            found["tokens"] = self.padded_tokens(rows)
        return found


def encode(texts, spec=None):
    """Features of `texts` by the encoder specification `spec` (default ENCODER); a line break is read as a space."""
    spec = spec or ENCODER
    ids, tokens = [], []
    for line in _ask(texts, spec):
        features, _, sequence = line.partition("\t")
        ids.append(np.array(features.split(), dtype=np.int64))
        tokens.append(np.array(sequence.split(), dtype=np.int64).reshape(-1, 3))
    starts = _starts([len(row) for row in ids])
    if "tokens" not in spec:
        return Features(np.concatenate(ids), starts)
    return Features(np.concatenate(ids), starts, np.concatenate(tokens), _starts([len(row) for row in tokens]))


def words(texts, spec):
    """The words behind the tokens of each text, lists of str in the order of the tokens."""
    return [line.split("\t") for line in _ask(texts, spec, "--words")]


def _ask(texts, spec, *options):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as manifest:
        json.dump(spec, manifest)
        manifest.flush()
        lines = "".join(text.replace("\r", " ").replace("\n", " ") + "\n" for text in texts)
        command = [binary(), *options, manifest.name]
        done = subprocess.run(command, input=lines.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise TrainingError(done.stderr.decode().strip())
    rows = done.stdout.decode().split("\n")[:-1]
    if len(rows) != len(texts):
        raise TrainingError(f"{len(texts)} texts gave {len(rows)} rows of features")
    return rows


def _starts(lengths):
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _places(starts, rows):
    """Where the parts of the given rows lie, where each row starts among them, and how many each has."""
    rows = np.asarray(rows, dtype=np.int64)
    lengths = starts[rows + 1] - starts[rows]
    offsets = (np.cumsum(lengths) - lengths).astype(np.int64)
    return np.arange(lengths.sum()) - np.repeat(offsets, lengths) + np.repeat(starts[rows], lengths), offsets, lengths
