"""Weights of 8 bits with a scale for each output, multiplied by inputs of 8 bits that get a scale for each token.

The scales of the inputs are found as the graph runs. ONNX Runtime's own dynamic quantisation has one for all of a batch, and
thereby numbers that change with the texts beside a text; a scale for each token keeps a text what it is alone.
"""

from dataclasses import dataclass, replace

import numpy as np
from onnx import TensorProto

from harca_train.nodes import CONTRIBUTED

_MOST = 127
_MIDDLE = 128
# A token of zeros alone would be divided by zero.
_LEAST_SCALE = np.float32(1e-30)


@dataclass(frozen=True)
class Int8:
    """A matrix [rows, columns]: element (i, j) is codes[i, j] · scales[i]; `codes` are int8, `scales` float32 [rows]."""

    codes: np.ndarray
    scales: np.ndarray

    def floats(self):
        """The matrix in float32."""
        return self.codes.astype(np.float32) * self.scales[:, None]

    @classmethod
    def of(cls, matrix):
        """The float32 `matrix`, rounded."""
        scales = np.maximum(np.abs(matrix).max(axis=1) / np.float32(_MOST), _LEAST_SCALE)
        return cls(np.rint(matrix / scales[:, None]).astype(np.int8), scales)


def with_int8_layers(encoder):
    """The `e5.Encoder` `encoder` with the weights of its layers, floats or blocks, in 8 bits; its word table is left alone."""
    return replace(encoder, layers=[_layer_of(layer) for layer in encoder.layers])


def _layer_of(layer):
    def rounded(dense):
        weights = dense.weights if isinstance(dense.weights, np.ndarray) else dense.weights.floats()
        return replace(dense, weights=Int8.of(weights))

    parts = {name: rounded(getattr(layer, name)) for name in ("attention", "output", "inner", "outer")}
    return replace(layer, **parts)


def dense(nodes, weights, bias, value, name):
    """Adds a linear layer of `weights` [out, in] and `bias` [out] to `nodes`; the name of what it makes of `value`.

    Weights are moved to unsigned bytes: x86-64 processors without VNNI add products with signed ones in 16 bits, which
    overflow, and vectors that one server has stored would not be those of another.
    """
    sizes = nodes.node("Abs", [value], f"{name}_sizes")
    largest = nodes.node("ReduceMax", [sizes], f"{name}_largest", axes=[-1], keepdims=1)
    steps = nodes.node("Mul", [largest, nodes.constant("int8_step", np.float32(1 / _MOST))], f"{name}_steps")
    scales = nodes.node("Max", [steps, nodes.constant("int8_least_scale", _LEAST_SCALE)], f"{name}_token_scales")
    whole = nodes.node("Div", [value, scales], f"{name}_in_steps")
    one, middle = nodes.constant("int8_one", np.float32(1)), nodes.constant("int8_middle", np.uint8(_MIDDLE))
    inputs = [
        nodes.node("QuantizeLinear", [whole, one, middle], f"{name}_codes"),
        nodes.constant(f"{name}_weight", (weights.codes.T.astype(np.int16) + _MIDDLE).astype(np.uint8)),
        one,
        nodes.constant(f"{name}_weight_scales", weights.scales),
        middle,
        middle,
    ]
    # This operator takes one scale for all of its first input: those of the tokens are multiplied in behind it.
    product = nodes.node("MatMulIntegerToFloat", inputs, f"{name}_whole_product", name=name, domain=CONTRIBUTED)
    product = nodes.node("Mul", [product, scales], f"{name}_product")
    return nodes.node("Add", [product, nodes.constant(f"{name}_bias", bias)], f"{name}_sum")


def rows(nodes, table, ids, name):
    """Adds the look-up of the rows `ids` of `table` to `nodes`; its name."""
    codes = nodes.node("Gather", [nodes.constant(f"{name}_codes", table.codes), ids], f"{name}_found")
    scales = nodes.node("Gather", [nodes.constant(f"{name}_scales", table.scales[:, None]), ids], f"{name}_found_scales")
    return nodes.node("Mul", [nodes.node("Cast", [codes], f"{name}_whole", to=TensorProto.FLOAT), scales], f"{name}_rows")
