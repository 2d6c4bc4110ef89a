"""scikit-learn: a fitted pipeline on counts of features, through skl2onnx.

The graph counts the ids of each row first, as `counts` does in Python, and ends with the logarithm of the pipeline's
probabilities, so that the softmax of the extension gives them back.
"""

from pathlib import Path

import joblib
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from scipy import sparse
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.helpers.onnx_helper import select_model_inputs_outputs

from harca_train.convert import Converted, finish
from harca_train.errors import TrainingError

OPSETS = {"": 17, "ai.onnx.ml": 3}
# Probabilities below are raised to it: the logarithm of 0 is not finite.
SMALLEST = 1e-30


def counts(features, buckets):
    """Counts of `features` (harca_train.features.Features) to fit a pipeline on: sparse, float32 [texts, buckets].

    Column i − 1 counts the feature id i.
    """
    ones = np.ones(len(features.ids), dtype=np.float32)
    matrix = sparse.csr_matrix((ones, features.ids - 1, features.starts), shape=(len(features), buckets))
    matrix.sum_duplicates()
    return matrix


def convert(source, labels, buckets):
    """A `Converted` of `source`, a file of joblib.dump.

    Such a file can run any code when it is read: take it from trusted hands only. The pipeline's classes are the labels
    by name, in any order, or their numbers.
    """
    path = Path(source)
    try:
        pipeline = joblib.load(path)
    except Exception as error:
        raise TrainingError(f"{path} cannot be read by joblib: {error}") from error
    return convert_pipeline(pipeline, labels, buckets)


def convert_pipeline(pipeline, labels, buckets):
    """A `Converted` of `pipeline`, a fitted classifier whose predict_proba takes counts [batch, buckets]."""
    if not hasattr(pipeline, "predict_proba"):
        raise TrainingError(f"{type(pipeline).__name__} has no predict_proba: the scores need probabilities")
    order = _order(pipeline, labels)
    width = getattr(pipeline, "n_features_in_", buckets)
    if width != buckets:
        raise TrainingError(f"the pipeline was fitted on {width} columns, the encoder has {buckets} buckets")
    classifier = pipeline.steps[-1][1] if hasattr(pipeline, "steps") else pipeline
    try:
        model = to_onnx(
            pipeline, initial_types=[("counts", FloatTensorType([None, buckets]))], target_opset=OPSETS,
            options={id(classifier): {"zipmap": False}},
        )  # fmt: skip
        model = select_model_inputs_outputs(model, ["probabilities"])
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise TrainingError(f"skl2onnx cannot convert the pipeline: {reason}") from error
    wrapped = _wrap(onnx.compose.add_prefix(model, "pipeline_"), order, buckets)

    def answer(features):
        table = np.zeros((len(features), buckets + 1), dtype=np.float32)
        np.add.at(table, (np.arange(len(features))[:, None], features), 1)
        found = pipeline.predict_proba(table[:, 1:])[:, order]
        return np.log(np.maximum(found, SMALLEST)).astype(np.float32)

    return Converted(finish(wrapped), answer)


def _order(pipeline, labels):
    """Columns of predict_proba in the order of `labels`."""
    classes = [str(name) for name in pipeline.classes_]
    wanted = list(labels)
    if all(name.isdigit() for name in classes) and not set(classes) & set(wanted):
        wanted = [str(number) for number in range(len(labels))]
    if sorted(classes) != sorted(wanted):
        raise TrainingError(f"the pipeline's classes are {', '.join(classes)}, the labels are {', '.join(labels)}")
    return [classes.index(name) for name in wanted]


def _wrap(model, order, buckets):
    """The ONNX model `model`, counts to probabilities, with counting before it and logarithms behind it."""
    inner = model.graph
    before = [
        helper.make_node("Cast", ["features"], ["ids"], to=TensorProto.INT64),
        helper.make_node("Shape", ["features"], ["batch"], start=0, end=1),
        helper.make_node("Concat", ["batch", "columns"], ["table_shape"], axis=0),
        helper.make_node("ConstantOfShape", ["table_shape"], ["zeros"]),
        helper.make_node("Shape", ["features"], ["ids_shape"]),
        helper.make_node("ConstantOfShape", ["ids_shape"], ["ones"],
                         value=helper.make_tensor("value", TensorProto.FLOAT, [1], [1.0])),
        helper.make_node("ScatterElements", ["zeros", "ids", "ones"], ["table"], axis=1, reduction="add"),
        # Column 0 has counted the padding.
        helper.make_node("Slice", ["table", "from", "to", "axis"], [inner.input[0].name]),
    ]
    after = [
        helper.make_node("Gather", [inner.output[0].name, "order"], ["in_order"], axis=1),
        helper.make_node("Max", ["in_order", "smallest"], ["positive"]),
        helper.make_node("Log", ["positive"], ["logits"]),
    ]
    constants = {
        "columns": np.array([buckets + 1]),
        "from": np.array([1]),
        "to": np.array([buckets + 1]),
        "axis": np.array([1]),
        "order": np.array(order),
        "smallest": np.array(SMALLEST, dtype=np.float32),
    }
    graph = helper.make_graph(
        [*before, *inner.node, *after],
        "query_type",
        [helper.make_tensor_value_info("features", TensorProto.INT32, ["batch", "features"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(order)])],
        [*inner.initializer, *(numpy_helper.from_array(value, name) for name, value in constants.items())],
    )
    return helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=8)
