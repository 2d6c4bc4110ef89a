"""Figures of predictions: F1, accuracy, calibration."""

import numpy as np


def softmax(logits, temperature=1.0):
    """Probabilities [texts, labels] of `logits` divided by `temperature`."""
    scaled = np.asarray(logits) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def class_f1(truth, found, scored):
    """F1 of each label index in `scored` over label indices [texts]; NaN for a label with no example."""
    scores = []
    for label in scored:
        hits = np.sum((truth == label) & (found == label))
        total = np.sum(truth == label) + np.sum(found == label)
        scores.append(2 * hits / total if np.sum(truth == label) else np.nan)
    return np.array(scores)


def macro_f1(truth, found, scored):
    """Mean F1 of the scored labels that have examples."""
    scores = class_f1(truth, found, scored)
    return float(np.nanmean(scores)) if np.isfinite(scores).any() else 0.0


def calibration_error(probabilities, truth, bins=15):
    """Expected calibration error over equally wide bins of confidence (Guo et al., 2017)."""
    return float(sum(weight * abs(right - sure) for weight, right, sure in reliability(probabilities, truth, bins)))


def reliability(probabilities, truth, bins=15):
    """Per bin of confidence that holds a text: its share of the texts, its accuracy, its mean confidence."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    found = []
    for place in np.unique(places):
        inside = places == place
        found.append((float(inside.mean()), float(right[inside].mean()), float(confidence[inside].mean())))
    return found


def fit_temperature(logits, truth):
    """Temperature with the least log loss, by golden-section search over its logarithm."""

    def loss(log_temperature):
        scores = softmax(logits, np.exp(log_temperature))
        return -np.mean(np.log(np.maximum(scores[np.arange(len(truth)), truth], 1e-12)))

    low, high, ratio = np.log(0.2), np.log(5.0), (np.sqrt(5) - 1) / 2
    for _ in range(40):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return round(float(np.exp((low + high) / 2)), 3)
