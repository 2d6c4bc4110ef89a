"""The step `quantize`: the student in every compressed form, measured, and one of them chosen by a rule.

The forms come from onnxruntime's own tools (onnxruntime.quantization, onnxruntime.transformers.float16):

- `fp32`: the unpruned student, the parent that the others are compared with;
- `pruned`: the pruned student in float32;
- `fp16`: pruned, weights and arithmetic in half precision;
- `int8 table`: pruned, the two tables in 8 bits, the layers (some tens of kilobytes) in float32;
- `int8 dynamic`: pruned, tables and dense layers in 8 bits, activations scaled at run time;
- `int8 static`: pruned, tables and dense layers in 8 bits, scales of the activations from calibration data.

The rule: of the forms that meet `max_bytes`, `min_ratio` (times smaller than the parent), `max_loss` (macro-F1 below
the parent's, over the held-out folds) and `max_batch_difference`, the fastest for one query; within 2 % of the fastest,
the smallest. The last is how far a logit may move when the query stands in a batch: activations that are scaled by the
whole batch, as in `int8 dynamic`, make an answer depend on its neighbours.
"""

import logging
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from harca_train.errors import TrainingError
from harca_train.graph import DENSE, EMBEDDINGS, onnx_graph
from harca_train.manifest import open_session, run
from harca_train.nodes import serialized

PARENT = "fp32"


class _Calibration(CalibrationDataReader):
    def __init__(self, features):
        self._batches = iter([features.inputs([i]) for i in range(len(features))])

    def get_next(self):
        return next(self._batches, None)


def forms(parent, pruned, name, calibration):
    """Bytes of the ONNX models of every form; `calibration` are features of texts like those to come."""
    graph = onnx_graph(pruned, name)
    made = {
        PARENT: serialized(onnx_graph(parent, name)),
        "pruned": serialized(graph),
        "fp16": serialized(_in_half(graph)),
    }
    # The tools ask for a clean-up of the graph that finds nothing to do here, once per form.
    logging.getLogger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "source.onnx"), Path(folder, "target.onnx")
        onnx.save(graph, source)

        def result():
            return serialized(onnx.load(target))

        common = {"weight_type": QuantType.QInt8}
        quantize_dynamic(source, target, op_types_to_quantize=["Gather"], nodes_to_quantize=EMBEDDINGS, **common)
        made["int8 table"] = result()
        quantize_dynamic(source, target, nodes_to_quantize=EMBEDDINGS + DENSE, per_channel=True, **common)
        made["int8 dynamic"] = result()
        quantize_static(
            source,
            target,
            _Calibration(calibration),
            quant_format=QuantFormat.QDQ,
            nodes_to_quantize=EMBEDDINGS + DENSE,
            per_channel=True,
            **common,
        )
        made["int8 static"] = result()
    return made


def _in_half(graph):
    """The ONNX model `graph` in half precision."""
    made = convert_float_to_float16(graph, keep_io_types=True)
    # The tool puts some casts behind the nodes that read them, which the runtime sorts out and ONNX does not allow.
    OnnxModel(made).topological_sort()
    return made


def logits_of(model, features):
    """Logits of all texts by the ONNX model `model` (bytes), float32 [texts, labels]."""
    session = open_session(model)
    order = np.argsort(np.diff(features.starts), kind="stable")
    found = []
    for begin in range(0, len(order), 64):
        found.append(run(session, features.inputs(order[begin:begin + 64])))
    logits = np.concatenate(found)
    result = np.empty_like(logits)
    result[order] = logits
    return result


def latency(model, features, rounds=3):
    """Microseconds of one query alone, p50 and p95, and queries a second in batches of 64; features ready made."""
    session = open_session(model)
    single = [features.inputs([i]) for i in range(len(features))]
    for one in single[:50]:
        run(session, one)
    best = None
    for _ in range(rounds):
        times = []
        for one in single:
            begin = time.perf_counter_ns()
            session.run(["logits"], one)
            times.append((time.perf_counter_ns() - begin) / 1000)
        found = np.percentile(times, [50, 95])
        best = found if best is None or found[0] < best[0] else best
    batches = [features.inputs(range(i, min(i + 64, len(features)))) for i in range(0, len(features), 64)]
    rate = 0.0
    for _ in range(rounds):
        begin = time.perf_counter()
        for batch in batches:
            session.run(["logits"], batch)
        rate = max(rate, len(features) / (time.perf_counter() - begin))
    return {"p50": round(float(best[0]), 2), "p95": round(float(best[1]), 2), "batched_rate": round(rate)}


def batch_difference(model, features):
    """Largest difference between the logits of a text alone and in a batch of 64, by the ONNX model `model`."""
    session = open_session(model)
    alone = np.concatenate([run(session, features.inputs([i])) for i in range(len(features))])
    batches = [run(session, features.inputs(range(i, min(i + 64, len(features))))) for i in range(0, len(features), 64)]
    return float(np.abs(alone - np.concatenate(batches)).max())


def choose(table, options):
    """Name of the form that the rule picks; `table` maps each to bytes, macro_f1, p50 and batch_difference."""
    parent = table[PARENT]
    fit = {
        name: row
        for name, row in table.items()
        if name != PARENT
        and row["bytes"] <= options["max_bytes"]
        and row["bytes"] * options["min_ratio"] <= parent["bytes"]
        and row["macro_f1"] >= parent["macro_f1"] - options["max_loss"]
        and row["batch_difference"] <= options["max_batch_difference"]
    }
    if not fit:
        raise TrainingError("no compressed form meets the limits of the quantize settings: loosen one of them")
    fastest = min(row["p50"] for row in fit.values())
    return min((name for name, row in fit.items() if row["p50"] <= 1.02 * fastest), key=lambda name: fit[name]["bytes"])
