"""A transformer encoder as an ONNX graph: int64 `input_ids` and `attention_mask` [batch, tokens] to states [batch, tokens,
width].

Weights in blocks stay as they are: ONNX Runtime multiplies by them as it unpacks them (MatMulNBits), and unpacks only those
rows of the word table that it looks up (GatherBlockQuantized). What runs between them is float32, so that no number that a
text comes to depends on the texts beside it.
"""

import numpy as np
from onnx import TensorProto

from harca_train import int8
from harca_train.blocks import BITS, BLOCK, Blocks
from harca_train.nodes import CONTRIBUTED

IDS, MASK = "input_ids", "attention_mask"
INPUTS = [(name, TensorProto.INT64, ["batch", "tokens"]) for name in (IDS, MASK)]


def states(nodes, encoder, most):
    """Adds the `e5.Encoder` `encoder`, for texts of up to `most` tokens, to `nodes`; the name of the last states."""
    mask = nodes.node("Cast", [MASK], "mask", to=TensorProto.INT32)
    places = nodes.node("Shape", [IDS], "places", start=1, end=2)
    nodes.constant("zero", np.array([0]))
    table = nodes.constant("position_table", encoder.positions[:most])
    positions = nodes.node("Slice", [table, "zero", places, "zero"], "positions")
    embedded = nodes.node("Add", [_rows(nodes, encoder.words, IDS, "words"), positions], "embedded")
    hidden = _norm(nodes, embedded, encoder.norm, encoder.epsilon, "embedded_norm")
    for number, layer in enumerate(encoder.layers, start=1):
        hidden = _layer(nodes, hidden, mask, layer, encoder, f"layer_{number}")
    return hidden


def _layer(nodes, hidden, mask, layer, encoder, name):
    triple = _dense(nodes, layer.attention, hidden, f"{name}_attention")
    parts = nodes.split(triple, [f"{name}_{part}" for part in ("query", "key", "value")], axis=2)
    # The bias is in the triple; inputs behind it are named by their place.
    attended = nodes.node(
        "MultiHeadAttention", [*parts, "", mask], f"{name}_attended", domain=CONTRIBUTED, num_heads=encoder.heads
    )
    attended = _dense(nodes, layer.output, attended, f"{name}_output")
    hidden = nodes.node("Add", [hidden, attended], f"{name}_with_attended")
    hidden = _norm(nodes, hidden, layer.attention_norm, encoder.epsilon, f"{name}_attention_norm")
    inner = nodes.node("Gelu", [_dense(nodes, layer.inner, hidden, f"{name}_inner")], f"{name}_gelu", domain=CONTRIBUTED)
    outer = _dense(nodes, layer.outer, inner, f"{name}_outer")
    hidden = nodes.node("Add", [hidden, outer], f"{name}_with_outer")
    return _norm(nodes, hidden, layer.output_norm, encoder.epsilon, f"{name}_output_norm")


def _norm(nodes, value, norm, epsilon, name):
    inputs = [value, nodes.constant(f"{name}_weight", norm.weight), nodes.constant(f"{name}_bias", norm.bias)]
    return nodes.node("LayerNormalization", inputs, name, axis=-1, epsilon=epsilon)


def _dense(nodes, dense, value, name):
    if not isinstance(dense.weights, Blocks):
        return nodes.dense(dense.weights, dense.bias, value, name)
    blocks = dense.weights
    rows, columns = blocks.codes.shape
    inputs = [
        value,
        nodes.constant(f"{name}_codes", blocks.packed().reshape(rows, columns // BLOCK, -1)),
        nodes.constant(f"{name}_scales", blocks.scales.astype(np.float32)),
    ]
    sizes = {"N": rows, "K": columns, "bits": BITS, "block_size": BLOCK}
    product = nodes.node("MatMulNBits", inputs, f"{name}_product", domain=CONTRIBUTED, **sizes)
    return nodes.node("Add", [product, nodes.constant(f"{name}_bias", dense.bias)], f"{name}_sum")


def _rows(nodes, table, ids, name):
    if isinstance(table, int8.Int8):
        return int8.rows(nodes, table, ids, name)
    inputs = [nodes.constant(f"{name}_codes", table.packed()), ids, nodes.constant(f"{name}_scales", table.scales)]
    found = nodes.node(
        "GatherBlockQuantized", inputs, f"{name}_found", domain=CONTRIBUTED,
        bits=BITS, block_size=BLOCK, gather_axis=0, quantize_axis=1,
    )  # fmt: skip
    if table.scales.dtype == np.float16:
        found = nodes.node("Cast", [found], f"{name}_rows", to=TensorProto.FLOAT)
    return found
