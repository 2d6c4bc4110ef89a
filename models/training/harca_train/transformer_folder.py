"""Model folders of transformers: `model.onnx`, `tokenizer.json`, `manifest.json`, and `config.json` as model hubs have it.

The manifest is that of `crates/harca_core/src/model/transformer.rs`, and it is the one that is registered. `config.json` is
for `harca.import_model`, and for people: other tools know the tokenizer, but not how a text's states become one vector.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from harca_train import encoder_graph
from harca_train.errors import TrainingError, first_line
from harca_train.manifest import check_description, json_bytes, open_session, replace_file, run
from harca_train.metrics import softmax
from harca_train.tokenizer import token_ids
from harca_train.tokens import Tokens

FORMAT = 2
GRAPH, TOKENIZER = "model.onnx", "tokenizer.json"
# How far a logit may move with the texts beside it: rounding, and no more.
BATCH_TOLERANCE = 1e-3


class Classifier:
    """A graph and its tokenizer, as the engine runs them."""

    def __init__(self, manifest, graph, tokenizer):
        """`manifest` is a dictionary, `graph` and `tokenizer` are the bytes of the files."""
        self.manifest, self._session = manifest, open_session(graph)
        try:
            self._tokenizer = Tokenizer.from_buffer(tokenizer)
        except Exception as error:
            raise TrainingError(f"tokenizers cannot read {TOKENIZER}: {first_line(error)}") from error
        self._tokenizer.enable_truncation(manifest["max_tokens"])

    def logits(self, texts):
        """Logits [texts, labels] of `texts`, all in one batch."""
        tokens = Tokens(token_ids(self._tokenizer, texts))
        return run(self._session, tokens.inputs(range(len(texts))))

    def probabilities(self, text):
        """Probabilities of the labels of a text alone."""
        return softmax(self.logits([text]), self.manifest["calibration"]["temperature"])[0]


def write_model(folder, graph, tokenizer, *, name, version, labels, max_tokens, padding_id, temperature, golden, metrics,
                training):  # fmt: skip
    """Writes a model folder and returns its manifest.

    `graph` and `tokenizer` are the bytes of the files; the rest is as `manifest.write_model` takes it. The model is tried
    as the engine will try it, and nothing is written when anything is wrong.
    """
    manifest = {
        "format": FORMAT,
        "name": name,
        "version": version,
        "task": "classification",
        "graph": {"file": GRAPH, "sha256": hashlib.sha256(graph).hexdigest()},
        "tokenizer": {"file": TOKENIZER, "sha256": hashlib.sha256(tokenizer).hexdigest()},
        "inputs": {"ids": encoder_graph.IDS, "mask": encoder_graph.MASK},
        "output": "logits",
        "max_tokens": max_tokens,
        "padding_id": padding_id,
        "labels": list(labels),
        "calibration": {"method": "temperature", "temperature": temperature},
        "golden": [{"query": query, "type": label} for query, label in golden],
        "metrics": metrics,
        "training": training,
    }
    check_description(manifest)
    if not golden:
        raise TrainingError("a transformer is not registered without golden queries: name some in the settings")
    _check_answers(Classifier(manifest, graph, tokenizer))
    config = {
        "architectures": ["HarcaForSequenceClassification"],
        "model_type": "bert",
        "max_position_embeddings": max_tokens,
        "pad_token_id": padding_id,
        "id2label": dict(enumerate(labels)),
    }
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / GRAPH, graph)
        replace_file(folder / TOKENIZER, tokenizer)
        replace_file(folder / "config.json", json_bytes(config))
        # Last, so that a reader never sees a manifest without its files.
        replace_file(folder / "manifest.json", json_bytes(manifest))
    except OSError as error:
        raise TrainingError(f"{folder} cannot be written: {error}") from error
    return manifest


def _check_answers(classifier):
    """Raises TrainingError unless golden queries get their labels, each the same alone and among the others."""
    golden, labels = classifier.manifest["golden"], classifier.manifest["labels"]
    texts = [entry["query"] for entry in golden] + ["a", "two texts of different lengths"]
    alone = np.concatenate([classifier.logits([text]) for text in texts])
    if alone.shape[1] != len(labels) or not np.isfinite(alone).all():
        raise TrainingError(f"the graph does not give {len(labels)} finite logits")
    if np.abs(alone - classifier.logits(texts)).max() > BATCH_TOLERANCE:
        raise TrainingError("the logits of a text change with the texts beside it")
    for entry, logits in zip(golden, alone):
        found = labels[logits.argmax()]
        if found != entry["type"]:
            raise TrainingError(f"golden query {entry['query']!r} is taken for {found}, expected {entry['type']}")


def read_model(folder):
    """The `Classifier` in `folder`, its digests checked."""
    folder = Path(folder)
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        files = []
        for part in ("graph", "tokenizer"):
            files.append((folder / manifest[part]["file"]).read_bytes())
            found = hashlib.sha256(files[-1]).hexdigest()
            if found != manifest[part]["sha256"]:
                raise TrainingError(f"sha256 of {manifest[part]['file']} is {found}, expected {manifest[part]['sha256']}")
        check_description(manifest)
    except (OSError, ValueError) as error:
        raise TrainingError(f"{folder} holds no model: {error}") from error
    except (KeyError, TypeError) as error:
        raise TrainingError(f"{folder}/manifest.json lacks {error} or has it in another form") from error
    return Classifier(manifest, *files)
