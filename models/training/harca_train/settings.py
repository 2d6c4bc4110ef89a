"""Settings of a training run: defaults here, overridden by a TOML file and then by the command line."""

import copy
import tomllib
from pathlib import Path

from harca_train.errors import TrainingError

DEFAULTS = {
    "name": "custom",
    "version": "0.1.0",
    "seed": 20,
    # Empty takes them from the labelled file, in order of first appearance.
    "labels": [],
    # Labels that macro-F1 is taken over, and languages that the report tells apart; empty is all.
    "scored": [],
    "languages": [],
    "data": {
        "labelled": "",
        "unlabelled": "",
        # Most unlabelled queries of one source.
        "per_source": 2500,
        "texts": [],
        # Phrases cut out of the queries themselves, per query.
        "cuts": 0.5,
    },
    "encoder": {"id": "harca-template-1", "buckets": 16384, "max_features": 512, "max_chars": 512,
                "tokens": {"buckets": 24576, "max_tokens": 64}},  # fmt: skip
    "groups": {},
    "folds": {"groups": [], "count": 8},
    # Made-up queries of each kind; they carry the labels of the query types and are for that task alone.
    "synthetic": {},
    "teacher": {
        "frozen_layers": 4,
        # 0 does without the pretrained encoder: the template models teach alone.
        "models": 1,
        "epochs": 2,
        "batch": 32,
        "rate": 1e-4,
        "head_rate": 1e-3,
        "dropout": 0.1,
        "smoothing": 0.03,
        # Share of a made-up query in the loss, and how many per real one are used.
        "synthetic_weight": 0.5,
        "synthetic_share": 0.5,
    },
    # Students of the labels alone, whose answers are mixed into the teacher's with this weight.
    "template": {"weight": 0.4, "models": 2, "epochs": 10, "width": 32, "hidden": 48, "share": 0.4},
    "student": {
        # "features": small networks over the core's features, which run in each session, taught by the teacher. "transformer":
        # the encoder that the teacher is made of, fine-tuned as the settings `teacher` say, which the engine runs.
        "kind": "features",
        # Of the bag's table, before pruning.
        "width": 64,
        "hidden": 96,
        "epochs": 6,
        "batch": 128,
        "rate": 2e-3,
        "table_rate": 4e-3,
        "table_decay": 0.02,
        "dropout": 0.2,
        # Shares of the structural and of the word features that are left out in training.
        "structure_drop": 0.15,
        "word_drop": 0.5,
        "smoothing": 0.03,
        "synthetic_weight": 0.3,
        # Softens the teacher's answer, and its share in the target of a query that also has a label.
        "temperature": 1.0,
        "mix": 0.0,
        # Unlabelled texts that the teacher is less sure of are left out; the weight of the others.
        "confidence_bar": 0.5,
        "pseudo_weight": 1.0,
        # The part that reads tokens in their order.
        "sequence": {
            # Its weight in the answer.
            "share": 0.5,
            "width": 32,
            "layers": 3,
            "channels": 64,
            "hidden": 48,
            "epochs": 4,
            "batch": 256,
            "rate": 2e-3,
            "row_decay": 0.05,
            # Shares left out in training: tokens, what was learnt of a word beyond its pretrained vector, units.
            "token_drop": 0.15,
            "row_drop": 0.3,
            "dropout": 0.2,
            "smoothing": 0.03,
            # Words that get their pretrained vector though no text has them.
            "vocabulary": 40000,
        },
        # Bits of the weights that were fine-tuned, 32 or 4; and the share of the held-out queries that the exported graph must
        # label as the network in PyTorch does.
        "transformer": {"bits": 32, "min_agreement": 0.99},
    },
    # Shares of table rows and of dense weights that are taken out, and the width that the bag's table keeps; then epochs of
    # fine-tuning at this share of the rate.
    "prune": {"rows": 0.4, "token_rows": 0.35, "weights": 0.3, "width": 32, "epochs": 2, "rate": 0.3},
    "quantize": {"max_bytes": 1_000_000, "min_ratio": 4.0, "max_loss": 0.005, "max_batch_difference": 1e-4},
    # Queries that the model must get right, pairs of text and label; and whether model.ort is written beside model.onnx.
    "golden": [],
    "ort": False,
}


def load(path=None, changes=()):
    """Settings of the file at `path`, with `changes` such as "student.epochs=3" made to them."""
    settings = copy.deepcopy(DEFAULTS)
    if path:
        try:
            found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise TrainingError(f"settings {path} cannot be read: {error}") from error
        _merge(settings, found, "")
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise TrainingError(f"--set wants name=value, not {change}")
        try:
            parsed = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            parsed = value
        for part in reversed(name.split(".")):
            parsed = {part: parsed}
        _merge(settings, parsed, "")
    return settings


def _merge(settings, found, prefix):
    for name, value in found.items():
        known = settings.get(name)
        if name not in settings:
            raise TrainingError(f"there is no setting {prefix}{name}")
        # Groups and counts of made-up queries are named by whoever writes them.
        if isinstance(known, dict) and known:
            if not isinstance(value, dict):
                raise TrainingError(f"setting {prefix}{name} is a table")
            _merge(known, value, f"{prefix}{name}.")
        elif known is not None and type(value) is not type(known) and not (
            isinstance(known, float) and isinstance(value, int)
        ):
            raise TrainingError(f"setting {prefix}{name} is a {type(known).__name__}, not {value!r}")
        else:
            settings[name] = value
