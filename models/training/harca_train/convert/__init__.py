"""Turns models of other tools into graphs that the extension loads.

- pytorch: a file of torch.export.save, or `package.module:function` that gives a module;
  `module(ids int64 [batch, n])` → logits [batch, labels]
- sklearn: a file of joblib.dump; `pipeline.predict_proba(counts [batch, buckets])`, column i − 1 counts id i
- keras: a `.keras` file; `model(ids int32 [batch, n])` → logits [batch, labels]

Ids are 1..=buckets, as `harca_train.features.encode` gives them; 0 is padding on the right and must count for nothing.
Each kind is a module with `convert(source, labels, buckets)` that returns a `Converted`.
"""

from dataclasses import dataclass
from typing import Callable

import numpy as np

from harca_train import manifest, ort_format
from harca_train.errors import TrainingError
from harca_train.metrics import softmax

# Largest difference of a probability that is put down to the order of sums in 32 bits.
TOLERANCE = 1e-4
HINTS = {
    True: "The converter does not keep a part of this model: replace that part.",
    False: "Does id 0 count for nothing in the source?",
}


@dataclass
class Converted:
    """A graph and the object it was made of: `answer` maps ids int32 [batch, n] to logits float [batch, labels]."""

    onnx_bytes: bytes
    answer: Callable


def finish(model):
    """Bytes of the ONNX model `model`, the same for the same graph.

    Notes for debuggers go: they name the files of the machine that made the model.
    """
    def strip(graph):
        graph.doc_string = ""
        del graph.metadata_props[:]
        for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
            part.doc_string = ""
            del part.metadata_props[:]
        for node in graph.node:
            for attribute in node.attribute:
                for inner in (attribute.g, *attribute.graphs):
                    if inner.node:
                        strip(inner)

    strip(model.graph)
    for function in model.functions:
        del function.metadata_props[:]
    del model.metadata_props[:]
    model.doc_string, model.producer_name, model.producer_version = "", "harca_train", ""
    model.ir_version = min(model.ir_version, manifest.MAX_IR_VERSION)
    # The ONNX-ML operators in use are older than the newest set that an exporter may name without need.
    used = {node.domain for node in model.graph.node} | {node.domain for f in model.functions for node in f.node}
    kept = [imported for imported in model.opset_import if imported.domain in used | {"", "ai.onnx"}]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    return model.SerializeToString(deterministic=True)


def compare(converted, buckets):
    """Largest difference between the probabilities of a graph and its source; TrainingError beyond `TOLERANCE`.

    The source answers each row alone; the graph, in both its forms, answers rows alone, batched and with more padding.
    """
    rows = sample(buckets)
    expected = np.concatenate([softmax(converted.answer(row[None, :])) for row in rows])
    width = max(len(row) for row in rows)
    worst = 0.0
    for form, model in (("ONNX", converted.onnx_bytes), ("ORT", ort_format.convert(converted.onnx_bytes))):
        session = manifest.open_session(model)
        found = {"alone": np.concatenate([manifest.run(session, row[None, :]) for row in rows])}
        for name, extra in (("batched", 0), ("with more padding", 37)):
            matrix = [np.pad(row, (0, width + extra - len(row))) for row in rows]
            found[name] = manifest.run(session, np.array(matrix))
        for name, logits in found.items():
            difference = float(np.abs(softmax(logits) - expected).max()) if logits.shape == expected.shape else np.inf
            if not difference <= TOLERANCE:
                raise TrainingError(f"the {form} graph answers otherwise than its source when rows are run {name}: "
                                    f"probabilities differ by {difference:.2g}. {HINTS[name == 'alone']}")
            worst = max(worst, difference)
    return worst


def sample(buckets):
    """Made-up rows of feature ids, arrays int32 of many lengths; the lowest and the highest id and many repeats occur.

    Counts above 1 matter: skl2onnx 1.20 takes log(1 + n) for the 1 + log(n) of TfidfTransformer(sublinear_tf=True),
    which after normalisation looks the same as long as no id occurs twice.
    """
    chance = np.random.default_rng(20)
    rows = [[1], [buckets]]
    for size in (2, 3, 5, 8, 13, 21, 34, 55):
        row = chance.integers(1, buckets + 1, size)
        rows += [row, np.repeat(row, chance.integers(1, 6, size))]
    return [np.array(row, dtype=np.int32) for row in rows]
