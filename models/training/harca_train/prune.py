"""The step `prune`: takes out what the student can do without, and lets it recover.

Structured: whole table rows go, those that matter least to the texts of training, and whole columns of the bag's table,
once it is turned so that some of them matter little, so that the file shrinks. Magnitude: the smallest of the remaining
dense weights become zero (Han et al., "Learning both Weights and Connections", 2015), which shrinks only what is
compressed afterwards. Fine-tuning follows with what is gone held at zero.
"""

import copy

import numpy as np
import torch
from torch import nn

from harca_train import bag, sequence
from harca_train.distill import lesson


def prune(settings, dataset, fold, says, model):
    """A pruned and fine-tuned copy of the student `model`, and what was done: a dictionary of counts.

    `says` is the teacher, as `lesson` takes it.
    """
    options, seed = settings["prune"], settings["seed"]
    model = copy.deepcopy(model)
    rows, targets, weights = lesson(settings, dataset, fold, says)
    features = dataset.features.take(rows)
    counts = {}
    frozen = _drop_rows(model.bag.table, options["rows"], counts, "feature rows")
    narrow(model.bag, options["width"], np.bincount(features.ids, minlength=len(model.bag.table)))
    counts["feature columns kept"] = model.bag.table.shape[1]
    used = np.bincount(features.tokens.ravel(), minlength=len(model.sequence.rows))
    frozen_tokens = _drop_rows(model.sequence.rows, options["token_rows"], counts, "token rows", np.sqrt(used + 0.1))
    masks = {}
    if options["weights"]:
        for name in ("first", "second"):
            weight = getattr(model.bag, name).weight
            limit = torch.quantile(weight.abs().flatten(), options["weights"])
            masks[name] = weight.abs() >= limit
            counts[f"weights of the {name} layer kept"] = int(masks[name].sum())
    if options["epochs"]:
        learner = settings["student"] | {
            "epochs": options["epochs"],
            "rate": settings["student"]["rate"] * options["rate"],
            "table_rate": settings["student"]["table_rate"] * options["rate"],
        }
        name = f"{fold.name}, fine-tuning after pruning"
        taught = (features, targets, weights)
        buckets = settings["encoder"]["buckets"]
        bag.train(*taught, learner, seed, buckets, f"{name}, bag", model=model.bag, frozen_rows=frozen, masks=masks)
        options = settings["student"]["sequence"] | {
            "epochs": options["epochs"],
            "rate": settings["student"]["sequence"]["rate"] * options["rate"],
        }
        buckets = settings["encoder"]["tokens"]["buckets"]
        sequence.train(
            *taught, options, seed, buckets, f"{name}, sequence", model=model.sequence, frozen=frozen_tokens
        )
    return model.eval(), counts


def narrow(model, width, used):
    """Leaves `width` columns of the table of the bag `model`, or all if there are no more; zero rows stay zero.

    A sum of rows goes straight into a linear layer, so that table and layer may be turned against each other. They are
    turned to the principal directions of the rows, each row weighted by how often it is `used` [rows], and what lies in
    the weakest ones is given up.
    """
    if width >= model.table.shape[1]:
        return
    with torch.no_grad():
        weighted = model.table.double() * torch.from_numpy(np.sqrt(used))[:, None]
        # In ascending order of the eigenvalues.
        _, directions = torch.linalg.eigh(weighted.T @ weighted)
        directions = directions[:, -width:].float()
        model.table = nn.Parameter(model.table @ directions)
        model.first.weight = nn.Parameter(model.first.weight @ directions)
        model.first.in_features = width


def _drop_rows(table, share, counts, name, importance=1.0):
    """Makes a `share` of the rows of `table` zero, those of the smallest norm times `importance`.

    Returns which rows are zero now, bool; rows that were zero before stay so in fine-tuning, which sees the same texts.
    """
    norms = table.detach().norm(dim=1).numpy()
    used = np.flatnonzero(norms)
    order = np.argsort((norms * importance)[used], kind="stable")
    gone = used[order[:int(share * len(used))]]
    frozen = norms == 0
    frozen[gone] = True
    with torch.no_grad():
        table[torch.from_numpy(frozen)] = 0.0
    counts |= {name: len(norms) - 1, f"{name} used": len(used), f"{name} kept": len(used) - len(gone)}
    return frozen
