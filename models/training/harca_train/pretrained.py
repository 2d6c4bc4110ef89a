"""multilingual-e5-small in PyTorch, unpacked to float32 for fine-tuning.

The lower layers are run once for every text of a training run and kept; what is fine-tuned are copies of the upper ones.
"""

import copy

import numpy as np
import torch
from torch import nn

from harca_train.e5 import E5, Dense, Layer, Norm
from harca_train.precision import mixed
from harca_train.progress import progress
from harca_train.tokenizer import token_ids, tokenizer

# Texts are cut here: a query that has not shown its form after so many tokens never will.
MAX_TOKENS = 96


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
        self.e5 = E5()
        encoder = self.e5.encoder()
        self.width, self.vocabulary = encoder.width, self.e5.vocabulary
        self.tokenizer = tokenizer(self.e5, MAX_TOKENS)
        self.words = torch.from_numpy(encoder.words.floats())
        self.positions = torch.from_numpy(encoder.positions)
        self.norm = nn.LayerNorm(encoder.width, eps=encoder.epsilon)
        self.norm.weight.data, self.norm.bias.data = _tensors(encoder.norm)
        layers = [_module(layer, encoder) for layer in encoder.layers]
        self.lower, self._upper = nn.ModuleList(layers[:frozen_layers]).eval(), layers[frozen_layers:]

    def upper(self):
        """A fresh copy of the layers above the frozen ones."""
        return nn.ModuleList(copy.deepcopy(layer) for layer in self._upper)

    def tokens(self, texts):
        """Token ids of each text with the marks of beginning and end, lists of int."""
        return token_ids(self.tokenizer, texts)

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


def _module(layer, encoder):
    """The `e5.Layer` `layer` of `encoder` in PyTorch."""
    module = nn.TransformerEncoderLayer(
        encoder.width,
        encoder.heads,
        len(layer.inner.bias),
        activation="gelu",
        batch_first=True,
        layer_norm_eps=encoder.epsilon,
    )
    attention = module.self_attn
    attention.in_proj_weight.data, attention.in_proj_bias.data = _tensors(layer.attention)
    for part, values in (
        (attention.out_proj, layer.output),
        (module.norm1, layer.attention_norm),
        (module.linear1, layer.inner),
        (module.linear2, layer.outer),
        (module.norm2, layer.output_norm),
    ):
        part.weight.data, part.bias.data = _tensors(values)
    return module


def _tensors(part):
    weight, bias = (part.weights.floats(), part.bias) if isinstance(part, Dense) else (part.weight, part.bias)
    return torch.from_numpy(weight), torch.from_numpy(bias)


def layer_of(module):
    """The `e5.Layer`, in float32, of a layer in PyTorch: what `_module` makes, the other way round."""

    def arrays(weight, bias):
        return weight.detach().float().numpy(), bias.detach().float().numpy()

    attention = module.self_attn
    return Layer(
        Dense(*arrays(attention.in_proj_weight, attention.in_proj_bias)),
        Dense(*arrays(attention.out_proj.weight, attention.out_proj.bias)),
        Norm(*arrays(module.norm1.weight, module.norm1.bias)),
        Dense(*arrays(module.linear1.weight, module.linear1.bias)),
        Dense(*arrays(module.linear2.weight, module.linear2.bias)),
        Norm(*arrays(module.norm2.weight, module.norm2.bias)),
    )
