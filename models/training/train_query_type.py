"""Trains the query-type classifier: `crossval` measures it on sources it has not seen, `export` writes the model.

Run from the repository root; README.md in this folder has the commands.
"""

import argparse
import hashlib
import json
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch

import augment
import corpus
import features as feature_files
import network
import report
from corpus import LABELS

SEED = 20
BUCKETS = feature_files.ENCODER["buckets"]
SETTINGS = {
    "batch": 128,
    "rate": 2e-3,
    "table_rate": 4e-3,
    "table_decay": 0.02,
    "drop": 0.2,
    "feature_drops": (0.15, 0.5),
    "smoothing": 0.03,
}
TEACHER = SETTINGS | {"epochs": 10}
STUDENT = SETTINGS | {"epochs": 5}
SYNTHETIC = {"ja": 2000, "en": 2500, "other": 500, "noise": 400}
SYNTHETIC_WEIGHT = 0.3
TEACHERS = 3
PSEUDO_PER_SOURCE = 1500
PSEUDO_BAR = 0.7
PSEUDO_WEIGHT = 0.2
OUTPUT = feature_files.REPOSITORY / "models" / "query_type"

GOLDEN = [
    ("PostgreSQL ベクトル検索 インデックス", "keyword"),
    ("東京 天気", "keyword"),
    ("git rebase --onto", "keyword"),
    ("wireless noise cancelling headphones", "keyword"),
    ("How do I make vector search faster?", "semantic"),
    ("what did we decide about the auth token expiry", "semantic"),
    ("好きな食べ物は何ですか", "semantic"),
    ("causes of the french revolution", "hybrid"),
    ("フォームの入力検証", "hybrid"),
]


def log(start, message):
    """Prints `message` with the seconds since `start`."""
    print(f"[{time.time() - start:6.1f} s] {message}", flush=True)


class Pool:
    """Every text of a run with its features: encoded once, addressed by row."""

    def __init__(self, labelled, unlabelled):
        made = augment.synthetic(SYNTHETIC, SEED)
        self.labelled, self.unlabelled = labelled, unlabelled
        rows = []
        self.variants = []
        for query in labelled:
            texts = augment.variants(query, SEED)
            self.variants.append(list(range(len(rows), len(rows) + len(texts))))
            rows += texts
        self.synthetic = []
        for query in made:
            self.synthetic.append(len(rows))
            rows.append(query.with_text(query.text, SYNTHETIC_WEIGHT))
        self.first_unlabelled = len(rows)
        rows += unlabelled
        self.first_plain = len(rows)
        rows += [query.with_text(augment.plain(query.text), 1.0) for query in unlabelled]
        self.first_plain_labelled = len(rows)
        rows += [query.with_text(augment.plain(query.text), 1.0) for query in labelled]
        self.rows = rows
        self.features = feature_files.encode([query.text for query in rows])

    def take(self, rows):
        """Features of the given rows."""
        ids, offsets, lengths = self.features.select(rows)
        return feature_files.Features(ids, np.concatenate([offsets, [len(ids)]]))

    def fit(self, trained, hidden, usable, start, name):
        """A student taught by teachers on the labelled indices `trained`.

        No text whose plain form is in `hidden` is learnt from; `usable(query)` admits unlabelled queries.
        """
        # A made-up query that happens to equal a held-out one would give its answer away.
        made = [row for row in self.synthetic if augment.plain(self.rows[row].text) not in hidden]
        rows = [row for i in trained for row in self.variants[i]] + made
        targets = np.eye(len(LABELS))[[self.rows[row].label for row in rows]]
        weights = np.array([self.rows[row].weight for row in rows])
        hard = self.take(rows)
        teachers = [network.train(hard, targets, weights, TEACHER, SEED + i, BUCKETS) for i in range(TEACHERS)]
        pool = np.array([i for i, query in enumerate(self.unlabelled) if usable(query)])
        if len(pool) == 0:
            return teachers[0]
        log(start, f"{name}: teachers done on {len(rows)} rows")
        views = [self.take(pool + first) for first in (self.first_unlabelled, self.first_plain)]
        scores = [report.softmax(network.logits_of(t, view, BUCKETS)) for t in teachers for view in views]
        scores = np.mean(scores, axis=0)
        sure = np.flatnonzero(scores.max(axis=1) >= PSEUDO_BAR)
        chosen = np.concatenate([pool[sure] + self.first_unlabelled, pool[sure] + self.first_plain])
        soft = np.concatenate([scores[sure], scores[sure]])
        student = network.train(
            self.take(np.concatenate([np.array(rows), chosen])),
            np.concatenate([targets, soft]),
            np.concatenate([weights, np.full(len(chosen), PSEUDO_WEIGHT / 2)]),
            STUDENT,
            SEED,
            BUCKETS,
        )
        log(start, f"{name}: student done with {len(sure)} of {len(pool)} unlabelled queries")
        return student


def load(arguments):
    """Pool of the labelled and unlabelled files that the command line names."""
    labelled = corpus.read_labelled(arguments.labelled)
    unlabelled = []
    if arguments.unlabelled:
        texts = {query.text for query in labelled}
        unlabelled = corpus.read_unlabelled(arguments.unlabelled, texts, PSEUDO_PER_SOURCE)
    return Pool(labelled, unlabelled)


def cross_validate(pool, start, only=None):
    """Out-of-fold logits as written and plain, float32 [labelled, labels] each; NaN for rows of folds left out."""
    groups = [corpus.group_of(query.source) for query in pool.labelled]
    written = np.full((len(groups), len(LABELS)), np.nan, dtype=np.float32)
    plain = written.copy()
    for number, fold in enumerate(corpus.FOLDS):
        if only is not None and number not in only:
            continue
        held = np.array([i for i, group in enumerate(groups) if group in fold])
        texts = {augment.plain(pool.labelled[i].text) for i in held}
        trained = [
            i
            for i, query in enumerate(pool.labelled)
            if groups[i] not in fold and query.shippable and augment.plain(query.text) not in texts
        ]
        model = pool.fit(
            trained,
            texts,
            lambda query: corpus.group_of(query.source) not in fold and augment.plain(query.text) not in texts,
            start,
            f"fold {number + 1}",
        )
        written[held] = network.logits_of(model, pool.take([pool.variants[i][0] for i in held]), BUCKETS)
        plain[held] = network.logits_of(model, pool.take(held + pool.first_plain_labelled), BUCKETS)
    missing = {group for group in groups} - {group for fold in corpus.FOLDS for group in fold}
    if missing:
        raise SystemExit(f"no fold holds {sorted(missing)}")
    return written, plain


def check_onnx(path, model, pool):
    """Compares ONNX Runtime with PyTorch, alone, batched and with more padding; raises when a logit differs by 1e-5."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    rows = list(range(0, len(pool.features), max(1, len(pool.features) // 300)))
    expected = network.logits_of(model, pool.take(rows), BUCKETS)
    batched = session.run(["logits"], {"features": network.padded(pool.features, rows)})[0]
    wider = session.run(["logits"], {"features": network.padded(pool.features, rows, extra=57)})[0]
    alone = [session.run(["logits"], {"features": network.padded(pool.features, [row])})[0][0] for row in rows]
    for name, found in (("batched", batched), ("padded", wider), ("alone", np.array(alone))):
        worst = float(np.abs(found - expected).max())
        print(f"ONNX Runtime against PyTorch, {name}: {worst:.1e}")
        if worst > 1e-5:
            raise SystemExit(f"{name} logits differ by {worst}")
    return session


def export(pool, start, figures):
    """Trains on every shippable row, writes model.onnx and manifest.json, and returns the manifest."""
    trained = [i for i, query in enumerate(pool.labelled) if query.shippable]
    model = pool.fit(trained, set(), lambda query: True, start, "export")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / "model.onnx"
    path.write_bytes(network.onnx_graph(model).SerializeToString(deterministic=True))
    session = check_onnx(path, model, pool)
    found = session.run(["logits"], {"features": _golden_features()})[0].argmax(axis=1)
    for (text, label), best in zip(GOLDEN, found):
        if LABELS[best] != label:
            raise SystemExit(f"golden query {text!r} is {LABELS[best]}, not {label}")
    manifest = {
        "format": 1,
        "name": "query_type",
        "version": "0.1.0",
        "labels": LABELS,
        "encoder": feature_files.ENCODER,
        "input": {"name": "features", "type": "int32"},
        "output": {"name": "logits", "type": "float32"},
        "calibration": {"method": "temperature", "temperature": figures["temperature"]},
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "golden": [{"query": text, "type": label} for text, label in GOLDEN],
        "metrics": figures,
        "training": {
            "command": "python models/training/train_query_type.py export",
            "data": f"{len(trained)} labelled queries of open licence, {len(pool.unlabelled)} unlabelled ones, "
            f"{len(pool.synthetic)} made up",
        },
    }
    (OUTPUT / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    log(start, f"wrote {path} ({path.stat().st_size} bytes)")
    return manifest


def _golden_features():
    encoded = feature_files.encode([text for text, _ in GOLDEN])
    return network.padded(encoded, range(len(GOLDEN)))


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["crossval", "export", "classify", "golden"])
    parser.add_argument("--labelled", type=Path, default=Path("../shared/data/queries_labelled.tsv"))
    parser.add_argument("--unlabelled", type=Path, default=Path("../shared/data/queries_unlabelled.tsv"))
    parser.add_argument("--errors", type=Path, help="write the held-out mistakes to this file")
    parser.add_argument("--quick", action="store_true", help="export with the metrics of the present manifest")
    parser.add_argument("--folds", type=int, nargs="*", help="run these folds only, from 0")
    arguments = parser.parse_args()
    start = time.time()
    # The batches are small: a second thread gains little, and loses much on a busy machine.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if arguments.command == "classify":
        report.classify_lines(OUTPUT)
        return
    if arguments.command == "golden":
        report.write_golden(feature_files.REPOSITORY / "tests" / "data" / "encoder_golden.tsv")
        return
    pool = load(arguments)
    log(start, f"{len(pool.rows)} texts encoded")
    if arguments.quick:
        figures = json.loads((OUTPUT / "manifest.json").read_text(encoding="utf-8"))["metrics"]
    else:
        written, plain = cross_validate(pool, start, arguments.folds)
        figures = report.figures(pool.labelled, written, plain)
        report.print_figures(figures)
        if arguments.errors:
            report.write_errors(arguments.errors, pool.labelled, written, plain)
    if arguments.command == "export":
        manifest = export(pool, start, figures)
        report.write_card(OUTPUT / "MODEL_CARD.md", manifest)


if __name__ == "__main__":
    main()
