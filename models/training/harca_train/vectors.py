"""What a pretrained encoder knows of single words, laid out for the table of a sequence student."""

import numpy as np
import torch

from harca_train import features


class Vocabulary:
    """The words of a list of texts and the table rows that the core's encoder gives them.

    `words[k]` has the token id `ids[k]`; `places` int64 [total tokens] is the word of each token of `found`, the
    features of `texts`.
    """

    def __init__(self, texts, found, spec):
        numbers, places = {}, []
        for line in features.words(texts, spec):
            places += [numbers.setdefault(word, len(numbers)) for word in line]
        self.words = list(numbers)
        self.places = np.array(places, dtype=np.int64)
        self.starts = found.token_starts
        self.ids = np.zeros(len(self.words), dtype=np.int64)
        self.ids[self.places] = found.tokens[:, 0]

    def counts(self, rows):
        """How often each word stands in the given texts, int64 [words]."""
        rows = np.unique(rows)
        pieces = [self.places[self.starts[i]:self.starts[i + 1]] for i in rows]
        return np.bincount(np.concatenate(pieces), minlength=len(self.words))


class WordVectors:
    """Pretrained vectors of a vocabulary and of the words that the pretrained encoder itself has as one piece."""

    # A piece that the encoder's tokenizer finds once in 50,000 weighs as much as a word seen once.
    SCALE = 5e4

    def __init__(self, pretrained, vocabulary, spec, pieces):
        """`pieces` is how many of the most frequent whole-word pieces are taken beside the vocabulary."""
        self.vocabulary, self.buckets = vocabulary, spec["tokens"]["buckets"]
        self.values = pretrained.word_vectors(vocabulary.words)
        common = pretrained.common_words(pieces)
        found = features.encode([word for word, _ in common], spec)
        single = np.flatnonzero(np.diff(found.token_starts) == 1)
        self.common_ids = found.tokens[found.token_starts[single], 0]
        self.common_weights = self.SCALE * np.exp([common[i][1] for i in single])
        self.common_values = pretrained.word_vectors([common[i][0] for i in single])

    def table(self, rows):
        """Vectors of the table rows for a model that learns from the texts `rows`: float32 [buckets + 1, width].

        Words that share a row share its vector, each by its frequency. Words of other texts are left out, unless the
        pretrained encoder has them as one piece.
        """
        counts = self.vocabulary.counts(rows)
        total = np.zeros((self.buckets + 1, self.values.shape[1]), dtype=np.float32)
        weight = np.zeros(self.buckets + 1, dtype=np.float32)
        for ids, values, weights in (
            (self.vocabulary.ids, self.values, counts),
            (self.common_ids, self.common_values, self.common_weights),
        ):
            np.add.at(weight, ids, weights)
            np.add.at(total, ids, values * np.asarray(weights, dtype=np.float32)[:, None])
        total /= np.maximum(weight, 1e-6)[:, None]
        total[0] = 0.0
        return torch.from_numpy(total)
