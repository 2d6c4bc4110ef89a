"""The part of a student that reads tokens in their order: a small convolutional network over token vectors.

The vector of a token is the sum of three table rows: of its word, of its ending and of its shape. The row of a word
starts from what a pretrained encoder knows of it, pressed to a few numbers by a projection that is learnt, so that a
word which training never saw still lies near its like.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from harca_train.batches import by_length
from harca_train.progress import progress


class Sequence(nn.Module):
    """Residual convolutions over token vectors, one wider convolution, its maximum and mean, two dense layers.

    `vectors`, float32 [buckets + 1, n] or None, are pretrained vectors of the table rows, zero where there is none;
    `fold` works them into the table for good.
    """

    def __init__(self, buckets, labels, options, vectors=None):
        super().__init__()
        width, channels, hidden = options["width"], options["channels"], options["hidden"]
        self.rows = nn.Parameter(torch.zeros(buckets + 1, width))
        self.layers = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(options["layers"]))
        self.last = nn.Conv1d(width, channels, 3, padding=1)
        self.first = nn.Linear(2 * channels, hidden)
        self.second = nn.Linear(hidden, labels)
        self.vectors = vectors
        self.projection = None
        if vectors is not None:
            self.projection = nn.Linear(vectors.shape[1], width, bias=False)
            nn.init.normal_(self.projection.weight, std=0.03)

    def forward(self, tokens, drops=None):
        """Logits [texts, labels] of `tokens` int64 [texts, longest, 3].

        `drops` = (tokens, rows, units) are the shares left out in training: of tokens, of what was learnt about a word
        beyond its pretrained vector, of units between the layers.
        """
        present = (tokens[:, :, 0] != 0).float()
        token_drop, row_drop, unit_drop = drops or (0.0, 0.0, 0.0)
        learnt = functional.embedding(tokens, self.rows)
        word = learnt[:, :, 0]
        if row_drop:
            word = word * (torch.rand(present.shape) >= row_drop).float()[:, :, None]
        if self.projection is not None:
            word = word + self.projection(self.vectors[tokens[:, :, 0]])
        vectors = word + learnt[:, :, 1]
        if token_drop:
            vectors = vectors * (torch.rand(present.shape) >= token_drop).float()[:, :, None]
        mask = present[:, None]
        hidden = (vectors + learnt[:, :, 2]).transpose(1, 2) * mask
        for layer in self.layers:
            hidden = hidden + functional.relu(layer(functional.dropout(hidden, unit_drop))) * mask
        hidden = functional.relu(self.last(functional.dropout(hidden, unit_drop))) * mask
        mean = hidden.sum(2) / mask.sum(2).clamp(min=1.0)
        pooled = functional.dropout(torch.cat([hidden.amax(2), mean], dim=1), unit_drop)
        return self.second(functional.dropout(functional.relu(self.first(pooled)), unit_drop))

    def fold(self):
        """Works the pretrained vectors into the table, which is all there is from then on."""
        if self.projection is not None:
            with torch.no_grad():
                self.rows += self.projection(self.vectors)
            self.vectors = self.projection = None
        with torch.no_grad():
            self.rows[0] = 0.0
        return self


def train(features, targets, weights, options, seed, buckets, name, vectors=None, model=None, frozen=None):
    """Fits a sequence to `targets` [texts, labels], probabilities, with text `weights` [texts]; gives it folded.

    `options` are the settings student.sequence. `model` goes on from a trained one; `frozen` (bool [buckets + 1]) are
    table rows that stay zero.
    """
    torch.manual_seed(seed)
    chance = np.random.default_rng(seed)
    model = model or Sequence(buckets, targets.shape[1], options, vectors)
    dense = [parameter for key, parameter in model.named_parameters() if key != "rows"]
    optimiser = torch.optim.AdamW(
        [
            {"params": [model.rows], "weight_decay": options["row_decay"]},
            {"params": dense, "weight_decay": 0.01},
        ],
        lr=options["rate"],
    )
    batch, epochs = options["batch"], options["epochs"]
    lengths = np.diff(features.token_starts)
    batches = -(-len(features) // batch)
    steps = epochs * batches
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: max(0.02, 1 - step / steps))
    targets = torch.from_numpy(np.asarray(targets, dtype=np.float32))
    weights = torch.from_numpy(np.asarray(weights, dtype=np.float32))
    drops = (options["token_drop"], options["row_drop"], options["dropout"])
    frozen = None if frozen is None else torch.from_numpy(frozen)
    model.train()
    for epoch in range(epochs):
        for rows in progress(by_length(lengths, batch, chance), f"{name}, epoch {epoch + 1}"):
            logits = model(torch.from_numpy(features.padded_tokens(rows).astype(np.int64)), drops)
            loss = functional.cross_entropy(
                logits, targets[rows], reduction="none", label_smoothing=options["smoothing"]
            )
            loss = (loss * weights[rows]).sum() / weights[rows].sum()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(dense, 1.0)
            if frozen is not None:
                model.rows.grad[frozen] = 0.0
            optimiser.step()
            schedule.step()
    if frozen is not None:
        with torch.no_grad():
            model.rows[frozen] = 0.0
    return model.fold().eval()


def logits_of(model, features):
    """Logits of all texts, float32 [texts, labels]."""
    lengths = np.diff(features.token_starts)
    order = np.argsort(lengths, kind="stable")
    found = np.zeros((len(features), model.second.out_features), dtype=np.float32)
    with torch.no_grad():
        for begin in range(0, len(order), 1024):
            rows = order[begin:begin + 1024]
            found[rows] = model(torch.from_numpy(features.padded_tokens(rows).astype(np.int64))).numpy()
    return found
