"""The teacher: upper layers of a pretrained encoder, fine-tuned to the labels, and how it is trained and asked."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from harca_train.batches import by_length
from harca_train.precision import mixed
from harca_train.progress import progress


class Teacher(nn.Module):
    """Transformer layers over frozen states; mean and first token of the last one; one linear layer to the labels."""

    def __init__(self, pretrained, labels, dropout):
        super().__init__()
        self.layers = pretrained.upper()
        for module in self.layers.modules():
            if isinstance(module, nn.Dropout):
                module.p = dropout
            elif isinstance(module, nn.MultiheadAttention):
                module.dropout = dropout
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * pretrained.width, labels)

    def forward(self, hidden, padding):
        """Logits [texts, labels] of states [texts, tokens, width]; `padding` is true where there is no token."""
        for layer in self.layers:
            hidden = layer(hidden, src_key_padding_mask=padding)
        hidden = hidden.float()
        present = (~padding)[:, :, None]
        mean = (hidden * present).sum(1) / present.sum(1)
        return self.head(self.dropout(torch.cat([mean, hidden[:, 0]], dim=1)))


def train(pretrained, states, views, targets, weights, settings, seed, name):
    """Fits a teacher.

    `views[i]` are the rows of `states` that show text i, one of which is drawn per epoch (the first twice as often);
    `targets` [texts, labels] are probabilities and `weights` [texts] their share in the loss. `settings` has epochs,
    batch, rate, head_rate, dropout and smoothing.
    """
    torch.manual_seed(seed)
    chance = np.random.default_rng(seed)
    model = Teacher(pretrained, targets.shape[1], settings["dropout"])
    optimiser = torch.optim.AdamW(
        [
            {"params": model.layers.parameters(), "lr": settings["rate"]},
            {"params": model.head.parameters(), "lr": settings["head_rate"]},
        ],
        weight_decay=0.01,
    )
    batch = settings["batch"]
    steps = settings["epochs"] * -(-len(views) // batch)
    warm = max(1, steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm, max(0.0, 1 - step / steps))
    )
    targets = torch.from_numpy(np.asarray(targets, dtype=np.float32))
    weights = torch.from_numpy(np.asarray(weights, dtype=np.float32))
    model.train()
    for epoch in range(settings["epochs"]):
        drawn = np.array([rows[max(0, chance.integers(-1, len(rows)))] for rows in views])
        for texts in progress(by_length(states.lengths()[drawn], batch, chance), f"{name}, epoch {epoch + 1}"):
            hidden, padding = states.batch(drawn[texts])
            with mixed():
                logits = model(hidden, padding)
            loss = functional.cross_entropy(
                logits.float(), targets[texts], reduction="none", label_smoothing=settings["smoothing"]
            )
            loss = (loss * weights[texts]).sum() / weights[texts].sum()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    return model


def logits_of(model, states, rows, name):
    """Logits of the given rows of `states`, float32 [rows, labels]."""
    rows = np.asarray(rows)
    order = np.argsort(states.lengths()[rows], kind="stable")
    found = np.empty((len(rows), model.head.out_features), dtype=np.float32)
    model.eval()
    with torch.no_grad(), mixed():
        for begin in progress(range(0, len(order), 256), name):
            places = order[begin:begin + 256]
            found[places] = model(*states.batch(rows[places])).float().numpy()
    return found
