"""The part of a student that reads features without their order: an embedding bag and two dense layers."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from harca_train.progress import progress


class Bag(nn.Module):
    """Sum of the embeddings of a text's features over the square root of their number, then two dense layers."""

    def __init__(self, buckets, labels, width, hidden):
        super().__init__()
        # Rows start at zero, so that a feature never seen in training adds nothing; row 0 stands for padding.
        self.table = nn.Parameter(torch.zeros(buckets + 1, width))
        self.first = nn.Linear(width, hidden)
        self.second = nn.Linear(hidden, labels)

    @property
    def buckets(self):
        """Number of feature ids the table has rows for, padding aside."""
        return len(self.table) - 1

    def forward(self, ids, offsets, weights, dropout=0.0):
        """Logits [texts, labels] of ragged `ids` [total], which start at `offsets` and count `weights` [total]."""
        bag = functional.embedding_bag(ids, self.table, offsets, mode="sum", per_sample_weights=weights)
        bag = functional.dropout(bag, dropout, self.training)
        hidden = functional.dropout(functional.relu(self.first(bag)), dropout, self.training)
        return self.second(hidden)


def pooling_weights(ids, lengths, buckets, drops=None, chance=None):
    """Weight of each feature, float32 [total]; `drops` = (structure, words) are the shares left out in training."""
    rows = np.repeat(np.arange(len(lengths)), lengths)
    keep = np.ones(len(ids), dtype=np.float32)
    if drops:
        # The encoder hashes structure to the lower half of the ids and words to the upper one.
        rates = np.where(ids > buckets // 2, drops[1], drops[0])
        keep = (chance.random(len(ids)) >= rates).astype(np.float32)
    counts = np.maximum(np.bincount(rows, weights=keep, minlength=len(lengths)), 1.0)
    return torch.from_numpy((keep / np.sqrt(counts[rows])).astype(np.float32))


def train(features, targets, weights, settings, seed, buckets, name, model=None, frozen_rows=None, masks=None):
    """Fits a bag to `targets` [texts, labels], probabilities, with row `weights` [texts]; the seed decides all.

    `model` goes on from a trained one; `frozen_rows` (bool [buckets + 1]) are table rows that stay zero, and `masks`
    (layer name → bool, of its weight's shape) the weights that may differ from zero.
    """
    torch.manual_seed(seed)
    chance = np.random.default_rng(seed)
    model = model or Bag(buckets, targets.shape[1], settings["width"], settings["hidden"])
    dense = [*model.first.parameters(), *model.second.parameters()]
    optimiser = torch.optim.AdamW(
        [
            {"params": [model.table], "weight_decay": settings["table_decay"], "lr": settings["table_rate"]},
            {"params": dense, "weight_decay": 0.01},
        ],
        lr=settings["rate"],
    )
    batch, epochs = settings["batch"], settings["epochs"]
    steps = epochs * -(-len(features) // batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: max(0.02, 1 - step / steps))
    targets = torch.from_numpy(np.asarray(targets, dtype=np.float32))
    weights = torch.from_numpy(np.asarray(weights, dtype=np.float32))
    drops = (settings["structure_drop"], settings["word_drop"])
    frozen = None if frozen_rows is None else torch.from_numpy(frozen_rows)
    _mask(model, masks)
    model.train()
    for epoch in range(epochs):
        shuffled = chance.permutation(len(features))
        for begin in progress(range(0, len(shuffled), batch), f"{name}, epoch {epoch + 1}"):
            rows = shuffled[begin:begin + batch]
            ids, offsets, lengths = features.select(rows)
            scale = pooling_weights(ids, lengths, buckets, drops, chance)
            logits = model(torch.from_numpy(ids), torch.from_numpy(offsets), scale, settings["dropout"])
            loss = functional.cross_entropy(
                logits, targets[rows], reduction="none", label_smoothing=settings["smoothing"]
            )
            loss = (loss * weights[rows]).sum() / weights[rows].sum()
            optimiser.zero_grad()
            loss.backward()
            if frozen is not None:
                model.table.grad[frozen] = 0.0
            optimiser.step()
            schedule.step()
            _mask(model, masks)
    with torch.no_grad():
        model.table[0] = 0.0
        if frozen is not None:
            model.table[frozen] = 0.0
    return model.eval()


def _mask(model, masks):
    with torch.no_grad():
        for layer, mask in (masks or {}).items():
            getattr(model, layer).weight.mul_(mask)


def logits_of(model, features):
    """Logits of all texts, float32 [texts, labels]."""
    parts = [np.zeros((0, model.second.out_features), dtype=np.float32)]
    with torch.no_grad():
        for begin in range(0, len(features), 2048):
            ids, offsets, lengths = features.select(range(begin, min(begin + 2048, len(features))))
            scale = pooling_weights(ids, lengths, model.buckets)
            parts.append(model(torch.from_numpy(ids), torch.from_numpy(offsets), scale).numpy())
    return np.concatenate(parts)
