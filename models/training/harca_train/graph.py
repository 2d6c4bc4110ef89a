"""A student as an ONNX graph: int32 `features` [batch, features] to float32 `logits` [batch, labels]."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
# ONNX Runtime has read this file layout since 1.13; a newer one would only shut older readers out.
IR_VERSION = 8


def onnx_graph(model, name):
    """The student `model` in float32, as an ONNX model named `name`.

    Rows of the table that are zero, as pruning leaves them, are not stored: a list of 16-bit numbers tells where each
    feature's row is, and all features without one share the zero row.
    """
    weights = {key: parameter.detach().numpy() for key, parameter in model.named_parameters()}
    kept = np.flatnonzero(np.abs(weights["table"]).sum(axis=1))
    constants = {
        "feature_axis": np.array([1], dtype=np.int64),
        "one": np.array([1.0], dtype=np.float32),
        "first_weight": np.ascontiguousarray(weights["first.weight"].T),
        "first_bias": weights["first.bias"],
        "second_weight": np.ascontiguousarray(weights["second.weight"].T),
        "second_bias": weights["second.bias"],
    }
    nodes = []
    rows = "features"
    if len(kept) < 0.9 * len(weights["table"]) and len(kept) < 2**15:
        places = np.zeros(len(weights["table"]), dtype=np.int16)
        places[kept] = np.arange(1, len(kept) + 1)
        constants["places"] = places
        constants["table"] = np.concatenate([np.zeros((1, weights["table"].shape[1]), np.float32), weights["table"][kept]])
        nodes += [
            helper.make_node("Gather", ["places", "features"], ["place"], axis=0),
            helper.make_node("Cast", ["place"], ["rows"], to=TensorProto.INT32),
        ]
        rows = "rows"
    else:
        constants["table"] = weights["table"]
    nodes += [
        helper.make_node("Gather", ["table", rows], ["embedded"], name="embed", axis=0),
        helper.make_node("ReduceSum", ["embedded", "feature_axis"], ["sum"], keepdims=0),
        helper.make_node("Sign", ["features"], ["present"]),
        helper.make_node("Cast", ["present"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["mask", "feature_axis"], ["count"], keepdims=1),
        helper.make_node("Max", ["count", "one"], ["positive_count"]),
        helper.make_node("Sqrt", ["positive_count"], ["scale"]),
        helper.make_node("Div", ["sum", "scale"], ["bag"]),
        helper.make_node("MatMul", ["bag", "first_weight"], ["first_product"], name="first"),
        helper.make_node("Add", ["first_product", "first_bias"], ["dense"]),
        helper.make_node("Relu", ["dense"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "second_weight"], ["second_product"], name="second"),
        helper.make_node("Add", ["second_product", "second_bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("features", TensorProto.INT32, ["batch", "features"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(weights["second.bias"])])],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    exported = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="pg_harca"
    )
    onnx.checker.check_model(exported, full_check=True)
    return exported


def serialized(model):
    """Bytes of an ONNX model, the same for the same model."""
    return model.SerializeToString(deterministic=True)
