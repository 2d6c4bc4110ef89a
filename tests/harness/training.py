"""Trains a small, real classifier in a second or less and without a package, for tests that need models of their own.

The model is multinomial logistic regression over the bag of features that the project's own encoder makes of a text:
each feature has a weight for each label, and a logit is the sum of those of a text plus the label's bias.
"""

import hashlib
import json
import math
import os
import random
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from . import onnx
from .places import ROOT, fail

LABELS = ("keyword", "semantic", "hybrid", "unknown")
STEP = 0.01  # of the first epoch; it falls to 0 until the last one


class Model:
    """A trained model: its manifest, ready for json.dumps, and its graph, the bytes of an ONNX file."""

    def __init__(self, manifest, graph, weights, biases):
        self.manifest, self.graph = manifest, graph
        self._weights, self._biases = weights, biases

    def write(self, folder):
        """Makes a model folder that every user can read, or replaces what is in it; its path comes back."""
        folder = Path(folder)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        for name, content in ((self.manifest["file"], self.graph), ("manifest.json", json.dumps(self.manifest).encode())):
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o644)
        return folder

    def answers(self, queries):
        """The label of each query, by the weights: what the graph says as well."""
        rows = encode(queries, self.manifest["encoder"])
        return [self.manifest["labels"][_best(_logits(self._weights, self._biases, ids))] for ids in rows]


def train(rows, name, version, epochs=20, seed=1, labels=LABELS, buckets=4096):
    """A Model of (query, label) pairs; the same arguments always give the same one."""
    rows = list(rows)
    encoder = json.loads((ROOT / "models/query_type/manifest.json").read_text(encoding="utf-8"))["encoder"]
    encoder = {**{key: value for key, value in encoder.items() if key != "tokens"}, "buckets": buckets}
    examples = list(zip(encode([query for query, _ in rows], encoder), [labels.index(label) for _, label in rows]))
    weights, biases = _fit(examples, len(labels), buckets, epochs, seed)
    logits = [_logits(weights, biases, ids) for ids, _ in examples]
    graph = onnx.bag(list(zip(*weights)), biases)
    right = sum(_best(found) == label for found, (_, label) in zip(logits, examples))
    manifest = {
        "format": 1,
        "name": name,
        "version": version,
        "labels": list(labels),
        "encoder": encoder,
        "input": {"name": "features", "type": "int32"},
        "output": {"name": "logits", "type": "float32"},
        "calibration": {"method": "temperature", "temperature": 1},
        "file": "model.onnx",
        "sha256": hashlib.sha256(graph).hexdigest(),
        "golden": _golden(rows, logits, labels),
        "metrics": {"training": {"queries": len(rows), "accuracy": round(right / max(1, len(rows)), 4)}},
        "training": {"form": "logistic regression", "epochs": epochs, "seed": seed},
    }
    return Model(manifest, graph, weights, biases)


def rows_of(file):
    """The (query, label) pairs of a TSV file whose first line names its columns, query and label among them."""
    header, *lines = Path(file).read_text(encoding="utf-8").rstrip("\n").split("\n")
    query, label = (header.split("\t").index(column) for column in ("query", "label"))
    return [(cells[query], cells[label]) for cells in (line.split("\t") for line in lines)]


def encode(queries, encoder):
    """The feature ids of each query by an encoder's specification; a line break is read as a space."""
    lines = "".join(query.replace("\r", " ").replace("\n", " ") + "\n" for query in queries)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as spec:
        json.dump(encoder, spec)
        spec.flush()
        output = subprocess.run([_program(), spec.name], input=lines, stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout
    return [list(map(int, line.split())) for line in output.splitlines()]


@cache
def _program():
    """Path of harca_encode; $HARCA_ENCODE names one that is already built."""
    if "HARCA_ENCODE" in os.environ:
        return os.environ["HARCA_ENCODE"]
    command = ["cargo", "build", "--quiet", "--release", "--package", "harca_core", "--bin", "harca_encode"]
    command += ["--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    if built.returncode != 0:
        fail("harca_encode, the encoder of harca_core, did not compile; see the lines above.")
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "harca_encode")


def _fit(examples, labels, buckets, epochs, seed):
    """Weights, [labels][buckets + 1], and biases, by stochastic gradient descent."""
    weights, biases = [[0.0] * (buckets + 1) for _ in range(labels)], [0.0] * labels
    order, shuffle = list(examples), random.Random(seed).shuffle
    for epoch in range(epochs):
        shuffle(order)
        step = STEP * (1 - epoch / epochs)
        for ids, label in order:
            for i, probability in enumerate(_softmax(_logits(weights, biases, ids))):
                change = step * ((i == label) - probability)
                row = weights[i]
                biases[i] += change
                for feature in ids:
                    row[feature] += change
    return weights, biases


def _logits(weights, biases, ids):
    return [sum(map(row.__getitem__, ids)) + bias for row, bias in zip(weights, biases)]


def _softmax(logits):
    most = max(logits)
    powers = [math.exp(logit - most) for logit in logits]
    total = sum(powers)
    return [power / total for power in powers]


def _best(logits):
    return logits.index(max(logits))


def _golden(rows, logits, labels):
    """For each label the query that is most clearly of it, if any; one that holds no word never reaches a model."""
    best = {}
    for (query, label), found in zip(rows, logits):
        if labels[_best(found)] == label and (label == "unknown" or sum(map(str.isalnum, query)) > 1):
            best[label] = max(best.get(label, (0, "")), (max(_softmax(found)), query))
    return [{"query": best[label][1], "type": label} for label in labels if label in best]
