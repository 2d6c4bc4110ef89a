"""Figures against values worked out by hand and by scikit-learn; the rule that chooses a form."""

import numpy as np
import pytest
from sklearn import metrics as reference

from harca_train import metrics
from harca_train.errors import TrainingError
from harca_train.quantize import choose


def test_f1_agrees_with_scikit_learn():
    chance = np.random.default_rng(3)
    truth, found = chance.integers(0, 4, 500), chance.integers(0, 4, 500)
    expected = reference.f1_score(truth, found, labels=[0, 1, 2], average=None)
    assert metrics.class_f1(truth, found, [0, 1, 2]) == pytest.approx(expected)
    assert metrics.macro_f1(truth, found, [0, 1, 2]) == pytest.approx(expected.mean())


def test_f1_of_a_label_without_examples_is_left_out():
    truth, found = np.array([0, 0, 1]), np.array([0, 1, 1])
    assert np.isnan(metrics.class_f1(truth, found, [0, 1, 2])[2])
    assert metrics.macro_f1(truth, found, [0, 1, 2]) == pytest.approx(2 / 3)


def test_calibration_error():
    sure_and_right = np.array([[1.0, 0.0]] * 4)
    assert metrics.calibration_error(sure_and_right, np.zeros(4, int)) == 0
    assert metrics.calibration_error(sure_and_right, np.array([0, 0, 1, 1])) == pytest.approx(0.5)
    assert metrics.calibration_error(np.array([[0.75, 0.25]] * 4), np.array([0, 0, 0, 1])) == pytest.approx(0)


def test_the_temperature_that_was_put_in_is_found_again():
    chance = np.random.default_rng(5)
    logits = chance.normal(size=(20000, 3)) * 2
    probabilities = metrics.softmax(logits)
    truth = np.array([chance.choice(3, p=row) for row in probabilities])
    assert metrics.fit_temperature(logits * 1.7, truth) == pytest.approx(1.7, rel=0.05)


def test_the_rule_chooses_among_what_is_small_and_good_enough():
    options = {"max_bytes": 1000, "min_ratio": 4.0, "max_loss": 0.005, "max_batch_difference": 1e-4}
    row = {"bytes": 1000, "macro_f1": 0.9, "p50": 10.0, "batch_difference": 0.0}
    table = {
        "fp32": row | {"bytes": 4000},
        "large": row | {"bytes": 1001, "p50": 1.0},
        "bad": row | {"macro_f1": 0.894, "p50": 1.0},
        "swayed by its neighbours": row | {"batch_difference": 0.01, "p50": 1.0},
        "slow": row | {"p50": 12.0},
        "fast": row | {"p50": 10.0},
        "as fast and smaller": row | {"p50": 10.1, "bytes": 900},
    }
    assert choose(table, options) == "as fast and smaller"
    with pytest.raises(TrainingError, match="no compressed form"):
        choose({name: table[name] for name in ("fp32", "large", "bad", "swayed by its neighbours")}, options)
