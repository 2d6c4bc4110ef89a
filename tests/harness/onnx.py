"""Writes small ONNX files, byte by byte, for tests of models that are not the real one."""

import struct

FLOAT, INT32, INT64, BOOL = 1, 6, 7, 9


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


def whole(name, value):
    """An attribute that is a whole number."""
    return message((1, name), (3, value), (20, 2))


def int64s(name, *values):
    """A list of whole numbers."""
    return tensor(name, INT64, [len(values)], struct.pack(f"<{len(values)}q", *values))


def floats(name, dims, values):
    """Real numbers of any shape, the last dimension running fastest."""
    return tensor(name, FLOAT, dims, struct.pack(f"<{len(values)}f", *values))


def graph(nodes, tensors=(), input_kind=INT32, labels=2, input_name="features", opset=13, domains=(), output=None):
    """A model file with [batch, features] in and [batch, labels] out, or an output of another name and shape; domains are those of
    operators that ONNX lacks."""
    name, shape = output or ("logits", ["batch", labels])
    content = message(
        *((1, n) for n in nodes), (2, "test"), *((5, t) for t in tensors),
        (11, value_info(input_name, input_kind, ["batch", "features"])), (12, value_info(name, FLOAT, shape)),
    )  # fmt: skip
    sets = [("", opset), *((domain, 1) for domain in domains)]
    return message((1, 8), (7, content), *((8, message((1, domain), (2, version))) for domain, version in sets))


def cast(source, target, kind=FLOAT):
    """A node that makes real numbers of whole ones, or another kind of them."""
    return node("Cast", [source], target, whole("to", kind))


COUNT = [node("Sign", ["features"], "sign"), cast("sign", "ones"), node("ReduceSum", ["ones", "axis"], "count")]
SLOPES = [node("MatMul", ["count", "weights"], "slopes"), node("Add", ["slopes", "biases"], "logits")]


def affine(weights, biases, unused=0):
    """Logits are the number of features of a text times the weights, plus the biases; so many numbers more are for nothing."""
    count = len(weights)
    tensors = [int64s("axis", 1), floats("weights", [1, count], weights), floats("biases", [count], biases)]
    if unused:
        tensors.append(tensor("unused", FLOAT, [unused], bytes(4 * unused)))
    return graph(COUNT + SLOPES, tensors, labels=count)


def linear(*weights):
    """The same without biases: a real, if simple, classifier."""
    return affine(weights, [0.0] * len(weights))


def bag(table, biases):
    """Logits are the biases plus the rows of the table that the features of a text name; row 0, of the padding, is zeros."""
    count = len(biases)
    return graph(
        [
            node("Gather", ["table", "features"], "rows"),
            node("ReduceSum", ["rows", "axis"], "sums", whole("keepdims", 0)),
            node("Add", ["sums", "biases"], "logits"),
        ],
        [
            int64s("axis", 1),
            floats("table", [len(table), count], [weight for row in table for weight in row]),
            floats("biases", [count], biases),
        ],
        labels=count,
    )


def fragile():
    """Looks a row up under the sum of the feature ids: right for one feature, out of bounds for a text."""
    return graph(
        [
            node("ReduceSum", ["features", "axis"], "sum", whole("keepdims", 0)),
            node("Gather", ["table", "sum"], "logits"),
        ],
        [int64s("axis", 1), floats("table", [20000, 2], [1, 0] * 20000)],
    )


def external_data():
    """Its weights lie in a second file, weights.bin."""
    place = message((1, "location"), (2, "weights.bin"))
    weights = message((1, 1), (1, 2), (2, FLOAT), (8, "weights"), (13, place), (14, 1))
    return graph(COUNT + SLOPES, [int64s("axis", 1), weights, floats("biases", [2], [0, 0])])


def custom_operator():
    """Needs an operator from a library that the runtime does not have."""
    domain = "com.example.ops"
    return graph([node("Classify", ["features"], "logits") + field(7, domain)], domains=[domain])


def endless():
    """Well-formed, and loads; a run adds 1 to the logits for some centuries."""
    scalar = [("round", INT64), ("go_on", BOOL)]
    body = message(
        (1, node("Identity", ["go_on"], "and_on")),
        (1, node("Add", ["before", "one"], "after")),
        (2, "body"),
        *((11, value_info(name, kind, [])) for name, kind in scalar),
        (11, value_info("before", FLOAT, ["batch", 2])),
        (12, value_info("and_on", BOOL, [])),
        (12, value_info("after", FLOAT, ["batch", 2])),
    )
    loop = node("Loop", ["rounds", "always", "start"], "logits", message((1, "body"), (6, body), (20, 5)))
    return graph(
        [*COUNT, node("MatMul", ["count", "weights"], "start"), loop],
        [
            int64s("axis", 1),
            floats("weights", [1, 2], [1, -1]),
            floats("one", [1], [1]),
            tensor("rounds", INT64, [], struct.pack("<q", 2**62)),
            tensor("always", BOOL, [], b"\1"),
        ],
    )


def first_label(labels):
    """The logits of models that take every text for their first label, unless something goes wrong."""
    return floats("biases", [labels], [1] + [0] * (labels - 1))


def nan_beyond(features, labels=2):
    """Takes every text for its first label, but answers NaN for one of more than so many features."""
    return graph(
        [
            *COUNT,
            node("Sub", ["limit", "count"], "left"),
            node("Sqrt", ["left"], "root"),
            node("Mul", ["root", "zero"], "zero_or_nan"),
            node("Add", ["zero_or_nan", "biases"], "logits"),
        ],
        [int64s("axis", 1), floats("limit", [1], [features]), floats("zero", [1], [0]), first_label(labels)],
        labels=labels,
    )


def hungry_beyond(tokens, numbers, labels):
    """Reads ids of tokens, and takes every text for its first label; for one of more than so many tokens it fills as many
    numbers with zeros, of four bytes each, and copies them again and again, so that there are two of each for a while."""
    rounds = 30
    copies = [node("Sqrt", [f"zeros_{i}"], f"zeros_{i + 1}") for i in range(rounds)]
    return graph(
        [
            *COUNT,
            node("Greater", ["count", "limit"], "is_long"),
            cast("is_long", "long", INT64),
            node("ReduceSum", ["long"], "texts", whole("keepdims", 0)),
            node("Mul", ["texts", "numbers"], "shape"),
            node("Expand", ["zero", "shape"], "zeros_0"),
            *copies,
            node("ReduceSum", [f"zeros_{rounds}"], "nothing", whole("keepdims", 0)),
            node("Mul", ["count", "zero"], "none"),
            node("Add", ["none", "nothing"], "still_none"),
            node("Add", ["still_none", "biases"], "logits"),
        ],
        [
            int64s("axis", 1), int64s("numbers", numbers), floats("limit", [1], [tokens]), floats("zero", [1], [0]),
            first_label(labels),
        ],
        input_kind=INT64, labels=labels,
    )  # fmt: skip


def waves(width):
    """Makes of each token a vector of so many numbers: the sine of its id at as many frequencies."""
    return graph(
        [
            cast("input_ids", "numbers"),
            node("Unsqueeze", ["numbers", "axis"], "columns"),
            node("Mul", ["columns", "frequencies"], "phases"),
            node("Sin", ["phases"], "last_hidden_state"),
        ],
        [int64s("axis", 2), floats("frequencies", [width], [(n + 1) / 97 for n in range(width)])],
        input_kind=INT64, input_name="input_ids", output=("last_hidden_state", ["batch", "features", width]),
    )  # fmt: skip


def slow_beyond(features, labels=2, work=128):
    """Takes every text for its first label, and its time for one of more than so many features.

    For each such text, 128 lines of zeros go through that many products with a matrix of 256 × 256.
    """
    products = [node("MatMul", [f"lines_{i}", "matrix"], f"lines_{i + 1}") for i in range(work)]
    return graph(
        [
            *COUNT,
            node("Greater", ["count", "limit"], "is_long"),
            cast("is_long", "long", INT64),
            node("ReduceSum", ["long"], "texts", whole("keepdims", 0)),
            node("Mul", ["texts", "lines"], "height"),
            node("Concat", ["height", "width"], "shape", whole("axis", 0)),
            node("Expand", ["zero", "shape"], "lines_0"),
            *products,
            node("ReduceSum", [f"lines_{work}"], "nothing", whole("keepdims", 0)),
            node("Mul", ["count", "zero"], "zeros"),
            node("Add", ["zeros", "nothing"], "still_zeros"),
            node("Add", ["still_zeros", "biases"], "logits"),
        ],
        [
            int64s("axis", 1), int64s("lines", 128), int64s("width", 256), floats("limit", [1], [features]),
            floats("zero", [1, 1], [0]), floats("matrix", [256, 256], [1 / 256] * 256 * 256), first_label(labels),
        ],
        labels=labels,
    )  # fmt: skip


def opset(version):
    """A linear model of the given operator set; it keeps to what is the same in all of them from 7 on, but for one sum."""
    sums = node("ReduceSum", ["ones", "axis"], "count")
    if version < 13:
        sums = node("ReduceSum", ["ones"], "count", message((1, "axes"), (8, 1), (20, 7)))
    return graph(
        [cast("features", "is_feature", BOOL), cast("is_feature", "ones"), sums, *SLOPES],
        [*([int64s("axis", 1)] if version >= 13 else []), floats("weights", [1, 2], [1, -1]), floats("biases", [2], [0, 0])],
        opset=version,
    )
