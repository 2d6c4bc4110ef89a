"""The part of a student that reads tokens in their order."""

import numpy as np
import torch

from harca_train import sequence
from harca_train.features import Features

SIZES = {"width": 8, "layers": 2, "channels": 6, "hidden": 5}


def made(vectors=None):
    torch.manual_seed(3)
    model = sequence.Sequence(20, 2, SIZES, vectors)
    with torch.no_grad():
        model.rows[1:] = torch.randn(20, 8)
    return model.eval()


def texts(*lengths):
    """Features of texts with so many tokens each."""
    chance = np.random.default_rng(5)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return Features(np.ones(len(lengths), dtype=np.int64), np.arange(len(lengths) + 1),
                    chance.integers(1, 21, (starts[-1], 3)), starts)  # fmt: skip


def test_folding_changes_no_answer():
    # Only words have vectors, and their rows are no others'.
    vectors = torch.randn(21, 4)
    vectors[0] = vectors[13:] = 0.0
    model = made(vectors)
    features = texts(3, 1, 7)
    features.tokens[:, 0] = features.tokens[:, 0] % 12 + 1
    features.tokens[:, 1:] = features.tokens[:, 1:] % 8 + 13
    before = sequence.logits_of(model, features)
    assert np.abs(sequence.logits_of(model.fold(), features) - before).max() < 1e-5
    assert model.projection is None
    assert not model.rows[0].any()


def test_a_text_answers_alone_as_among_longer_ones():
    model, features = made(), texts(2, 9, 1)
    together = sequence.logits_of(model, features)
    for i in range(3):
        assert np.abs(sequence.logits_of(model, features.take([i])) - together[i]).max() < 1e-5


def test_the_order_of_tokens_matters():
    model, features = made(), texts(5)
    turned = Features(features.ids, features.starts, features.tokens[::-1].copy(), features.token_starts)
    assert np.abs(sequence.logits_of(model, features) - sequence.logits_of(model, turned)).max() > 1e-3


def test_order_is_learnt_and_frozen_rows_stay_zero():
    # "1 then 2" against "2 then 1": a bag cannot tell them apart.
    tokens = np.array([[1, 0, 5], [2, 0, 5], [2, 0, 5], [1, 0, 5]] * 100)
    features = Features(np.ones(200, dtype=np.int64), np.arange(201), tokens, np.arange(0, 401, 2))
    targets = np.eye(2)[[0, 1] * 100]
    options = SIZES | {"epochs": 30, "batch": 32, "rate": 1e-2, "row_decay": 0.0, "token_drop": 0.0, "row_drop": 0.0,
                       "dropout": 0.0, "smoothing": 0.0}  # fmt: skip
    frozen = np.zeros(21, dtype=bool)
    frozen[[0, 9]] = True
    model = sequence.train(features, targets, np.ones(200), options, 1, 20, "order", frozen=frozen)
    found = sequence.logits_of(model, features)
    assert (found.argmax(axis=1) == targets.argmax(axis=1)).all()
    assert not model.rows[[0, 9]].any()
