"""A student as an ONNX graph: int32 `features` [batch, features] and `tokens` [batch, tokens, 3] to float32 `logits`
[batch, labels]."""

import numpy as np
from onnx import TensorProto

from harca_train.nodes import Nodes

# Nodes that look rows up in a table, and nodes that multiply by dense weights.
EMBEDDINGS = ["embed", "embed_tokens"]
DENSE = ["first", "second", "sequence_first", "sequence_second"]


class _StudentNodes(Nodes):
    """What the two parts of a student have in common."""

    def rows(self, table, ids, name, node):
        """Rows of `table` by `ids`. Rows that are zero, as pruning leaves them, are not stored: a list of 16-bit numbers
        tells where each id's row is, and all ids without one share the zero row."""
        kept = np.flatnonzero(np.abs(table).sum(axis=1))
        if len(kept) < 0.9 * len(table) and len(kept) < 2**15:
            places = np.zeros(len(table), dtype=np.int16)
            places[kept] = np.arange(1, len(kept) + 1)
            place = self.node("Gather", [self.constant(f"{name}_places", places), ids], f"{name}_place", axis=0)
            ids = self.node("Cast", [place], f"{name}_rows", to=TensorProto.INT32)
            table = np.concatenate([np.zeros((1, table.shape[1]), np.float32), table[kept]])
        return self.node("Gather", [self.constant(name, table), ids], f"{name}_found", name=node, axis=0)

    def layer(self, weights, layer, value, name):
        """A linear layer; `weights` are the parameters of a model by their names."""
        return self.dense(weights[f"{layer}.weight"], weights[f"{layer}.bias"], value, name)

    def present(self, ids, name):
        """1.0 where there is an id, 0.0 where there is padding."""
        sign = self.node("Sign", [ids], f"{name}_sign")
        return self.node("Cast", [sign], f"{name}_present", to=TensorProto.FLOAT)

    def at_least_one(self, value, name):
        return self.node("Max", [value, self.constant("one", np.array([1.0], np.float32))], name)


def onnx_graph(model, name):
    """The `student.Student` `model` in float32, as an ONNX model named `name`."""
    graph = _StudentNodes()
    graph.constant("axis_1", np.array([1]))
    graph.constant("axis_2", np.array([2]))
    graph.constant("axes_1_2", np.array([1, 2]))
    graph.constant("axes_2_3", np.array([2, 3]))
    graph.constant("first_of_three", np.array(0))
    # The weighted mean of the two parts is taken once and for all in their last layers.
    of_bag = _bag(graph, _weights(model.bag, 1 - model.share))
    of_sequence = _sequence(graph, _weights(model.sequence, model.share), len(model.sequence.layers))
    graph.node("Add", [of_bag, of_sequence], "logits")
    labels = len(model.bag.second.bias)
    inputs = [
        ("features", TensorProto.INT32, ["batch", "features"]),
        ("tokens", TensorProto.INT32, ["batch", "tokens", 3]),
    ]
    return graph.model(name, inputs, [("logits", TensorProto.FLOAT, ["batch", labels])])


def _bag(graph, weights):
    embedded = graph.rows(weights["table"], "features", "table", "embed")
    total = graph.node("ReduceSum", [embedded, "axis_1"], "bag_sum", keepdims=0)
    count = graph.node("ReduceSum", [graph.present("features", "feature"), "axis_1"], "feature_count", keepdims=1)
    scale = graph.node("Sqrt", [graph.at_least_one(count, "features_or_one")], "bag_divisor")
    bag = graph.node("Div", [total, scale], "bag")
    hidden = graph.node("Relu", [graph.layer(weights, "first", bag, "first")], "bag_hidden")
    return graph.layer(weights, "second", hidden, "second")


def _sequence(graph, weights, layers):
    word = graph.node("Gather", ["tokens", "first_of_three"], "token_words", axis=2)
    present = graph.present(word, "token")
    mask = graph.node("Unsqueeze", [present, "axes_1_2"], "token_mask")
    embedded = graph.rows(weights["rows"], "tokens", "token_table", "embed_tokens")
    vectors = graph.node("ReduceSum", [embedded, "axis_2"], "token_vectors", keepdims=0)
    # Padding has the zero row: the sum needs no mask.
    columns = graph.node("Transpose", [vectors], "token_columns", perm=[0, 2, 1])
    # As pictures of height 1: for those the runtime has a faster kernel than for convolutions over one dimension.
    hidden = graph.node("Unsqueeze", [columns, "axis_2"], "token_picture")

    def convolution(value, layer, name):
        weight = graph.constant(f"{name}_weight", weights[f"{layer}.weight"][:, :, None])
        inputs = [value, weight, graph.constant(f"{name}_bias", weights[f"{layer}.bias"])]
        found = graph.node("Conv", inputs, f"{name}_found", name=name, kernel_shape=[1, 3], pads=[0, 1, 0, 1])
        found = graph.node("Relu", [found], f"{name}_positive")
        return graph.node("Mul", [found, mask], f"{name}_masked")

    for number in range(layers):
        found = convolution(hidden, f"layers.{number}", f"layer_{number + 1}")
        hidden = graph.node("Add", [hidden, found], f"hidden_{number + 1}")
    # Not negative anywhere, so that the zeros of padding change neither the maximum nor the sum.
    hidden = convolution(hidden, "last", "last")
    most = graph.node("ReduceMax", [hidden], "token_most", axes=[2, 3], keepdims=0)
    total = graph.node("ReduceSum", [hidden, "axes_2_3"], "token_sum", keepdims=0)
    count = graph.node("ReduceSum", [present, "axis_1"], "token_count", keepdims=1)
    mean = graph.node("Div", [total, graph.at_least_one(count, "tokens_or_one")], "token_mean")
    pooled = graph.node("Concat", [most, mean], "token_pooled", axis=1)
    hidden = graph.node("Relu", [graph.layer(weights, "first", pooled, "sequence_first")], "sequence_hidden")
    return graph.layer(weights, "second", hidden, "sequence_second")


def _weights(model, share):
    """Parameters of a part of a student by their names, the last layer at its share of the answer."""
    weights = {key: parameter.detach().numpy() for key, parameter in model.named_parameters()}
    return weights | {key: share * weights[key] for key in ("second.weight", "second.bias")}
