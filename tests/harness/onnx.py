"""Writes small ONNX files, byte by byte, for tests of models that are not the real one."""

import struct

FLOAT, INT32, INT64 = 1, 6, 7


def varint(number):
    """A number, seven bits to a byte."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def field(number, value):
    """One field of a protobuf message: a number, or bytes, text or a message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(*pairs):
    return b"".join(field(number, value) for number, value in pairs)


def tensor(name, kind, dims, data):
    return message(*((1, d) for d in dims), (2, kind), (8, name), (9, data))


def value_info(name, kind, dims):
    shape = message(*((1, message((1, d) if isinstance(d, int) else (2, d))) for d in dims))
    return message((1, name), (2, message((1, message((1, kind), (2, shape))))))


def node(kind, inputs, output, *attributes):
    return message(*((1, i) for i in inputs), (2, output), (4, kind), *((5, a) for a in attributes))


def graph(nodes, tensors=(), input_kind=INT32, labels=2, input_name="features"):
    """A model file with [batch, features] in and [batch, labels] out."""
    content = message(
        *((1, n) for n in nodes), (2, "test"), *((5, t) for t in tensors),
        (11, value_info(input_name, input_kind, ["batch", "features"])), (12, value_info("logits", FLOAT, ["batch", labels])),
    )  # fmt: skip
    return message((1, 8), (7, content), (8, message((1, ""), (2, 13))))


def cast(source, target):
    """A node that makes real numbers of whole ones."""
    return node("Cast", [source], target, message((1, "to"), (3, FLOAT), (20, 2)))


def affine(weights, biases):
    """Logits are the number of features of a text times the weights, plus the biases."""
    count = len(weights)
    return graph(
        [
            node("Sign", ["features"], "sign"),
            cast("sign", "ones"),
            node("ReduceSum", ["ones", "axis"], "count"),
            node("MatMul", ["count", "weights"], "slopes"),
            node("Add", ["slopes", "biases"], "logits"),
        ],
        [
            tensor("axis", INT64, [1], struct.pack("<q", 1)),
            tensor("weights", FLOAT, [1, count], struct.pack(f"<{count}f", *weights)),
            tensor("biases", FLOAT, [count], struct.pack(f"<{count}f", *biases)),
        ],
        labels=count,
    )


def linear(*weights):
    """The same without biases: a real, if simple, classifier."""
    return affine(weights, [0.0] * len(weights))


def fragile():
    """Looks a row up under the sum of the feature ids: right for one feature, out of bounds for a text."""
    return graph(
        [
            node("ReduceSum", ["features", "axis"], "sum", message((1, "keepdims"), (3, 0), (20, 2))),
            node("Gather", ["table", "sum"], "logits"),
        ],
        [tensor("axis", INT64, [1], struct.pack("<q", 1)), tensor("table", FLOAT, [20000, 2], struct.pack("<2f", 1, 0) * 20000)],
    )
