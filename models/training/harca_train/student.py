"""The student: a bag of features and a sequence of tokens, which err in different places; small enough to answer in
microseconds. Each part learns by itself, and a weighted mean of their logits is the answer."""

import torch
from torch import nn

from harca_train import bag, sequence


class Student(nn.Module):
    """A `bag.Bag` and a `sequence.Sequence` over the same labels; `share` is the weight of the sequence's logits."""

    def __init__(self, bag_part, sequence_part, share):
        super().__init__()
        self.bag, self.sequence, self.share = bag_part, sequence_part, share


def train(features, targets, weights, settings, name, vectors=None, seed=0):
    """Fits a student to `targets` [texts, labels], probabilities, with text `weights` [texts].

    `settings` has the tables encoder and student; `vectors` are pretrained vectors of the token table or None; `seed`
    is added to that of the settings, and the two decide all.
    """
    options, encoder, seed = settings["student"], settings["encoder"], settings["seed"] + seed
    lesson = (features, targets, weights)
    parts = (
        bag.train(*lesson, options, seed, encoder["buckets"], f"{name}, bag"),
        sequence.train(
            *lesson, options["sequence"], seed, encoder["tokens"]["buckets"], f"{name}, sequence", vectors=vectors
        ),
    )
    return Student(*parts, options["sequence"]["share"]).eval()


def logits_of(model, features):
    """Logits of all texts, float32 [texts, labels]."""
    of_bag, of_sequence = bag.logits_of(model.bag, features), sequence.logits_of(model.sequence, features)
    return (1 - model.share) * of_bag + model.share * of_sequence


def load(path, options):
    """The student whose state was saved at `path`; `options` are the settings student."""
    state = torch.load(path, weights_only=True)
    buckets, width = state["bag.table"].shape
    labels = len(state["bag.second.bias"])
    model = Student(
        bag.Bag(buckets - 1, labels, width, len(state["bag.first.bias"])),
        sequence.Sequence(len(state["sequence.rows"]) - 1, labels, options["sequence"]),
        options["sequence"]["share"],
    )
    model.load_state_dict(state)
    return model.eval()
