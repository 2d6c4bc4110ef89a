"""The network: an embedding bag over feature ids and two dense layers; training, inference and ONNX export."""

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional

from corpus import LABELS

WIDTH = 32
HIDDEN = 48


class Network(nn.Module):
    """Sum of the embeddings of a text's features over the square root of their number, then two dense layers."""

    def __init__(self, buckets):
        super().__init__()
        # Rows start at zero, so that a feature never seen in training adds nothing; row 0 stands for padding.
        self.table = nn.Parameter(torch.zeros(buckets + 1, WIDTH))
        self.first = nn.Linear(WIDTH, HIDDEN)
        self.second = nn.Linear(HIDDEN, len(LABELS))

    def forward(self, ids, offsets, weights, drop=0.0):
        """Logits [texts, labels] of ragged `ids` [total], which start at `offsets` [texts] and count `weights` [total]."""
        bag = functional.embedding_bag(ids, self.table, offsets, mode="sum", per_sample_weights=weights)
        bag = functional.dropout(bag, drop, self.training)
        hidden = functional.dropout(functional.relu(self.first(bag)), drop, self.training)
        return self.second(hidden)


def pooling_weights(ids, lengths, buckets, drops=None):
    """Weight of each feature, float32 [total]; `drops` = (structure, words) are the shares left out in training."""
    rows = np.repeat(np.arange(len(lengths)), lengths)
    keep = np.ones(len(ids))
    if drops:
        rates = np.where(ids > buckets // 2, drops[1], drops[0])
        keep = (torch.rand(len(ids)).numpy() >= rates).astype(float)
    counts = np.maximum(np.bincount(rows, weights=keep, minlength=len(lengths)), 1.0)
    return torch.from_numpy((keep / np.sqrt(counts[rows])).astype(np.float32))


def train(features, targets, weights, settings, seed, buckets):
    """Fits a network to `targets` [texts, labels], probabilities, with row `weights` [texts]; the seed decides all."""
    torch.manual_seed(seed)
    order = np.random.default_rng(seed)
    model = Network(buckets)
    optimiser = torch.optim.AdamW(
        [
            {"params": [model.table], "weight_decay": settings["table_decay"], "lr": settings["table_rate"]},
            {"params": [*model.first.parameters(), *model.second.parameters()], "weight_decay": 0.01},
        ],
        lr=settings["rate"],
    )
    batch = settings["batch"]
    steps = settings["epochs"] * ((len(features) + batch - 1) // batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: max(0.02, 1 - step / steps))
    targets = torch.from_numpy(np.asarray(targets, dtype=np.float32))
    weights = torch.from_numpy(np.asarray(weights, dtype=np.float32))
    model.train()
    for _ in range(settings["epochs"]):
        shuffled = order.permutation(len(features))
        for begin in range(0, len(shuffled), batch):
            rows = shuffled[begin:begin + batch]
            ids, offsets, lengths = features.select(rows)
            scale = pooling_weights(ids, lengths, buckets, settings["feature_drops"])
            logits = model(torch.from_numpy(ids), torch.from_numpy(offsets), scale, settings["drop"])
            loss = functional.cross_entropy(
                logits, targets[rows], reduction="none", label_smoothing=settings["smoothing"]
            )
            loss = (loss * weights[rows]).sum() / weights[rows].sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    with torch.no_grad():
        model.table[0] = 0.0
    return model.eval()


def logits_of(model, features, buckets):
    """Logits float32 [texts, labels]."""
    parts = []
    with torch.no_grad():
        for begin in range(0, len(features), 2048):
            ids, offsets, lengths = features.select(range(begin, min(begin + 2048, len(features))))
            scale = pooling_weights(ids, lengths, buckets)
            parts.append(model(torch.from_numpy(ids), torch.from_numpy(offsets), scale).numpy())
    return np.concatenate(parts)


def padded(features, rows, extra=0):
    """Feature matrix int32 [rows, features], padded with 0 on the right to the longest row plus `extra`."""
    parts = [features.row(i) for i in rows]
    matrix = np.zeros((len(parts), max(len(p) for p in parts) + extra), dtype=np.int32)
    for line, part in zip(matrix, parts):
        line[:len(part)] = part
    return matrix


def onnx_graph(model):
    """The network as an ONNX model: int32 `features` [batch, features] to float32 `logits` [batch, 4]."""
    def constant(name, value):
        return numpy_helper.from_array(np.ascontiguousarray(value), name)

    weights = {name: p.detach().numpy() for name, p in model.named_parameters()}
    nodes = [
        helper.make_node("Gather", ["table", "features"], ["embedded"], axis=0),
        helper.make_node("ReduceSum", ["embedded", "feature_axis"], ["sum"], keepdims=0),
        helper.make_node("Sign", ["features"], ["present"]),
        helper.make_node("Cast", ["present"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["mask", "feature_axis"], ["count"], keepdims=1),
        helper.make_node("Max", ["count", "one"], ["positive_count"]),
        helper.make_node("Sqrt", ["positive_count"], ["scale"]),
        helper.make_node("Div", ["sum", "scale"], ["bag"]),
        helper.make_node("Gemm", ["bag", "first_weight", "first_bias"], ["dense"], transB=1),
        helper.make_node("Relu", ["dense"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "second_weight", "second_bias"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "query_type",
        [helper.make_tensor_value_info("features", TensorProto.INT32, ["batch", "features"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(LABELS)])],
        [
            constant("table", weights["table"]),
            constant("feature_axis", np.array([1], dtype=np.int64)),
            constant("one", np.array([1.0], dtype=np.float32)),
            constant("first_weight", weights["first.weight"]),
            constant("first_bias", weights["first.bias"]),
            constant("second_weight", weights["second.weight"]),
            constant("second_bias", weights["second.bias"]),
        ],
    )
    exported = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="pg_harca"
    )
    onnx.checker.check_model(exported, full_check=True)
    return exported
