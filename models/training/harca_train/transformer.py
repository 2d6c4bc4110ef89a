"""A student that is a fine-tuned encoder: how it becomes a graph, and how near the graph is to it."""

from dataclasses import replace

import numpy as np
import torch

from harca_train import classifier_graph
from harca_train.blocks import Blocks
from harca_train.e5 import Dense
from harca_train.errors import TrainingError
from harca_train.nodes import serialized
from harca_train.pretrained import MAX_TOKENS, layer_of
from harca_train.teacher import Teacher


def load(path, pretrained):
    """The fine-tuned `teacher.Teacher` whose state was saved at `path`."""
    state = torch.load(path, weights_only=True)
    model = Teacher(pretrained, len(state["head.bias"]), 0.0)
    model.load_state_dict(state)
    return model.eval()


def onnx_model(model, pretrained, bits, name):
    """Bytes of the ONNX model `name` of the `teacher.Teacher` `model` over the lower layers of `pretrained`.

    The word table and the lower layers keep the 4 bits that they came in; fine-tuned weights get `bits`, 32 or 4.
    """
    if bits not in (32, 4):
        raise TrainingError(f"student.transformer.bits is 32 or 4, not {bits}")
    tuned = [layer_of(module) for module in model.layers]
    if bits == 4:
        tuned = [_in_blocks(layer) for layer in tuned]
    head = Dense(model.head.weight.detach().numpy(), model.head.bias.detach().numpy())
    encoder = pretrained.e5.encoder().with_upper(tuned)
    return serialized(classifier_graph.onnx_graph(encoder, head, MAX_TOKENS, name))


def _in_blocks(layer):
    parts = ("attention", "output", "inner", "outer")
    dense = {part: getattr(layer, part) for part in parts}
    return replace(layer, **{part: replace(one, weights=Blocks.of(one.weights)) for part, one in dense.items()})


def fidelity(network, graph):
    """How alike the logits [texts, labels] of the network in PyTorch and those of its graph are.

    `agreement` is the share of the texts that both label alike, `largest` and `mean` are differences of a logit.
    """
    difference = np.abs(network - graph)
    return {
        "agreement": round(float((network.argmax(axis=1) == graph.argmax(axis=1)).mean()), 5),
        "largest": round(float(difference.max()), 5),
        "mean": round(float(difference.mean()), 6),
    }
