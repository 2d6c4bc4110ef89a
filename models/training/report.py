"""Figures of held-out predictions: macro-F1, accuracy, calibration; and the tables that the model card shows."""

import json
import sys

import numpy as np
import onnxruntime

import features as feature_files
import network
from corpus import LABELS

# Three classes are scored: real collections hold next to nothing that is unknown.
SCORED = [0, 1, 2]


def softmax(logits, temperature=1.0):
    """Probabilities [texts, labels] of `logits` divided by `temperature`."""
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def class_f1(truth, found):
    """F1 of each scored class over label indices [texts]; NaN for a class with no example."""
    scores = []
    for label in SCORED:
        hits = np.sum((truth == label) & (found == label))
        total = np.sum(truth == label) + np.sum(found == label)
        scores.append(2 * hits / total if np.sum(truth == label) else np.nan)
    return np.array(scores)


def macro_f1(truth, found):
    """Mean F1 of the scored classes that have examples."""
    return float(np.nanmean(class_f1(truth, found)))


def calibration_error(logits, truth, temperature, bins=15):
    """Expected calibration error over equally wide bins of confidence."""
    scores = softmax(logits, temperature)
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == truth
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    error = 0.0
    for place in np.unique(places):
        inside = places == place
        error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return float(error)


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


def figures(queries, written, plain):
    """Figures of out-of-fold logits [labelled, labels], as written and without case and final punctuation."""
    seen = ~np.isnan(written[:, 0])
    truth = np.array([query.label for query in queries])
    best, best_plain = written.argmax(axis=1), plain.argmax(axis=1)
    languages = np.array([query.language if query.language in ("en", "ja") else "other" for query in queries])
    sources = np.array([query.source for query in queries])
    scored = seen & np.isin(truth, SCORED)
    temperature = fit_temperature(np.concatenate([written[seen], plain[seen]]), np.concatenate([truth[seen]] * 2))

    def both(rows):
        return {
            "queries": int(rows.sum()),
            "macro_f1": round(macro_f1(truth[rows], best[rows]), 4),
            "macro_f1_plain": round(macro_f1(truth[rows], best_plain[rows]), 4),
            "accuracy": round(float((truth == best)[rows].mean()), 4),
            "accuracy_plain": round(float((truth == best_plain)[rows].mean()), 4),
        }

    result = {"cross_source": both(scored)}
    result["class_f1"] = {LABELS[i]: round(float(f), 4) for i, f in zip(SCORED, class_f1(truth[scored], best[scored]))}
    parts = {name: scored & (languages == name) for name in ("en", "ja", "other")}
    result["languages"] = {name: both(rows) for name, rows in parts.items() if rows.any()}
    result["sources"] = {
        name: {key: value for key, value in both(seen & (sources == name)).items() if not key.startswith("macro")}
        for name in sorted(set(sources[seen]))
    }
    result["temperature"] = temperature
    result["ece"] = {
        "uncalibrated": round(calibration_error(written[seen], truth[seen], 1.0), 4),
        "calibrated": round(calibration_error(written[seen], truth[seen], temperature), 4),
        "calibrated_plain": round(calibration_error(plain[seen], truth[seen], temperature), 4),
    }
    every = range(len(LABELS))
    result["confusion"] = [[int(np.sum(scored & (truth == i) & (best == j))) for j in every] for i in SCORED]
    return result


def print_figures(found):
    """Prints what `figures` returned."""
    print("\nheld-out sources            queries  macro-F1  (plain)  accuracy  (plain)")
    for name, row in {"all": found["cross_source"], **found["languages"]}.items():
        f1 = f"{row['macro_f1']:9.4f} {row['macro_f1_plain']:8.4f}"
        print(f"{name:26} {row['queries']:8} {f1} {row['accuracy']:9.4f} {row['accuracy_plain']:8.4f}")
    for name, row in found["sources"].items():
        print(f"  {name:24} {row['queries']:8} {'':18} {row['accuracy']:9.4f} {row['accuracy_plain']:8.4f}")
    print("F1 by class:", found["class_f1"], " confusion (rows truth):", found["confusion"])
    print("temperature", found["temperature"], " ECE", found["ece"], flush=True)


def write_errors(path, queries, written, plain):
    """Writes the held-out mistakes: source, truth, found, confidence, found plain, query."""
    with open(path, "w", encoding="utf-8") as out:
        for i in np.flatnonzero(~np.isnan(written[:, 0])):
            found, bare = LABELS[written[i].argmax()], LABELS[plain[i].argmax()]
            truth = LABELS[queries[i].label]
            if found != truth or bare != truth:
                sure = softmax(written[i:i + 1]).max()
                out.write(f"{queries[i].source}\t{truth}\t{found}\t{sure:.2f}\t{bare}\t{queries[i].text}\n")


def classify_lines(folder):
    """Classifies standard input line by line with the shipped model: type, calibrated confidence, query."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    session = onnxruntime.InferenceSession(folder / manifest["file"], providers=["CPUExecutionProvider"])
    lines = [line.rstrip("\n") for line in sys.stdin]
    encoded = feature_files.encode(lines, manifest["encoder"])
    logits = session.run(["logits"], {"features": network.padded(encoded, range(len(lines)))})[0]
    for line, scores in zip(lines, softmax(logits, manifest["calibration"]["temperature"])):
        print(f"{LABELS[scores.argmax()]:9} {scores.max():.2f}  {line}")


def write_golden(path):
    """Replaces the ids of the golden encoder file (columns query, ids) by those of the present encoder."""
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    queries = [line.split("\t")[0] for line in lines]
    encoded = feature_files.encode(queries)
    rows = ["\t".join([query, " ".join(map(str, encoded.row(i)))]) for i, query in enumerate(queries)]
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def write_card(path, manifest):
    """Fills the figures into the model card between its markers, if it has any."""
    if not path.exists():
        return
    found = manifest["metrics"]
    lines = ["| held-out queries | number | macro-F1 | plain | accuracy | plain |", "|---|---|---|---|---|---|"]
    for name, row in {"all": found["cross_source"], **found["languages"]}.items():
        f1 = f"{row['macro_f1']:.3f} | {row['macro_f1_plain']:.3f}"
        lines.append(f"| {name} | {row['queries']} | {f1} | {row['accuracy']:.3f} | {row['accuracy_plain']:.3f} |")
    lines += ["", "| source | number | accuracy | plain |", "|---|---|---|---|"]
    for name, row in found["sources"].items():
        lines.append(f"| {name} | {row['queries']} | {row['accuracy']:.3f} | {row['accuracy_plain']:.3f} |")
    ece = found["ece"]
    lines += ["", "F1 by class: " + ", ".join(f"{name} {value:.3f}" for name, value in found["class_f1"].items()) + "."]
    lines += [f"Temperature {found['temperature']}; expected calibration error {ece['uncalibrated']:.3f} before, "
              f"{ece['calibrated']:.3f} after, {ece['calibrated_plain']:.3f} on plain text."]
    text = path.read_text(encoding="utf-8")
    begin, end = "<!-- figures -->", "<!-- /figures -->"
    head, rest = text.split(begin)
    path.write_text(head + begin + "\n" + "\n".join(lines) + "\n" + end + rest.split(end)[1], encoding="utf-8")
