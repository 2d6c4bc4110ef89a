"""The step `prune`: takes out what the student can do without, and lets it recover.

Structured: whole table rows with the smallest norms go, so that the file shrinks. Magnitude: the smallest of the
remaining weights become zero (Han et al., "Learning both Weights and Connections", 2015), which shrinks only what is
compressed afterwards. Fine-tuning follows with what is gone held at zero.
"""

import copy

import numpy as np
import torch

from harca_train import student
from harca_train.distill import lesson


def prune(settings, dataset, fold, says, model):
    """A pruned and fine-tuned copy of the student `model`, and what was done: a dictionary of counts.

    `says` is the teacher, as `lesson` takes it.
    """
    options = settings["prune"]
    model = copy.deepcopy(model)
    with torch.no_grad():
        norms = model.table.norm(dim=1).numpy()
        used = np.flatnonzero(norms)
        gone = used[np.argsort(norms[used], kind="stable")[:int(options["rows"] * len(used))]]
        # Rows that training never touched stay zero as well: fine-tuning sees the same texts.
        frozen = norms == 0
        frozen[gone] = True
        model.table[torch.from_numpy(frozen)] = 0.0
    counts = {"table rows": len(norms) - 1, "used": len(used), "kept": len(used) - len(gone)}
    masks = {}
    if options["weights"]:
        for name in ("first", "second"):
            weight = getattr(model, name).weight
            limit = torch.quantile(weight.abs().flatten(), options["weights"])
            masks[name] = weight.abs() >= limit
            counts[f"weights of the {name} layer kept"] = int(masks[name].sum())
    if options["epochs"]:
        rows, targets, weights = lesson(settings, dataset, fold, says)
        learner = settings["student"] | {
            "epochs": options["epochs"],
            "rate": settings["student"]["rate"] * options["rate"],
            "table_rate": settings["student"]["table_rate"] * options["rate"],
        }
        model = student.train(
            dataset.features.take(rows),
            targets,
            weights,
            learner,
            settings["seed"],
            settings["encoder"]["buckets"],
            f"{fold.name}, fine-tuning after pruning",
            model=model,
            frozen_rows=frozen,
            masks=masks,
        )
    return model, counts
