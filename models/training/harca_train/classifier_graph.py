"""A fine-tuned encoder with a classification head as an ONNX graph: token ids to float32 `logits` [batch, labels]."""

import numpy as np
from onnx import TensorProto

from harca_train import encoder_graph
from harca_train.nodes import Nodes


def onnx_graph(encoder, head, most, name):
    """The graph `name` of the `e5.Encoder` `encoder` and the `e5.Dense` `head`, for texts of up to `most` tokens.

    The head reads the mean of a text's last states and the first of them, one after the other.
    """
    nodes = Nodes()
    hidden = encoder_graph.states(nodes, encoder, most)
    nodes.constant("axis_1", np.array([1]))
    nodes.constant("axis_2", np.array([2]))
    present = nodes.node("Cast", [encoder_graph.MASK], "present", to=TensorProto.FLOAT)
    present = nodes.node("Unsqueeze", [present, "axis_2"], "present_states")
    total = nodes.node("ReduceSum", [nodes.node("Mul", [hidden, present], "shown"), "axis_1"], "total", keepdims=0)
    count = nodes.node("ReduceSum", [present, "axis_1"], "count", keepdims=0)
    mean = nodes.node("Div", [total, count], "mean")
    first = nodes.node("Gather", [hidden, nodes.constant("first", np.array(0))], "first_state", axis=1)
    pooled = nodes.node("Concat", [mean, first], "pooled", axis=1)
    nodes.node("Identity", [nodes.dense(head.weights, head.bias, pooled, "head")], "logits")
    outputs = [("logits", TensorProto.FLOAT, ["batch", len(head.bias)])]
    return nodes.model(name, encoder_graph.INPUTS, outputs)
