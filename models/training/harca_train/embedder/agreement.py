"""How near a model folder is to the vectors of the weights that it was made of, and a text alone to the text in a batch."""

import json

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from harca_train.embedder import reference
from harca_train.embedder.folder import OUTPUT
from harca_train.tokenizer import token_ids
from harca_train.tokens import Tokens

BATCH = 16


class Made:
    """A model folder, run as the engine does it."""

    def __init__(self, folder):
        """Loads what `folder.write` has written."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(folder / "onnx/model.onnx", options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        longest = json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))["max_seq_length"]
        self._tokenizer.enable_truncation(longest)
        self._prompts = json.loads((folder / "config_sentence_transformers.json").read_text(encoding="utf-8"))["prompts"]

    def ids(self, texts):
        """Token ids of each text, read as a query."""
        return token_ids(self._tokenizer, [self._prompts.get("query", "") + text for text in texts])

    def vectors(self, ids, batch):
        """The vector of each text, by its token ids, `batch` of them at a time."""
        tokens = Tokens(ids)
        places = range(len(tokens))
        return np.concatenate([self._run(tokens.inputs(places[i:i + batch])) for i in range(0, len(tokens), batch)])

    def _run(self, inputs):
        (states,) = self._session.run([OUTPUT], inputs)
        return reference.pooled(states, inputs["attention_mask"])


def measured(name, folder, texts):
    """The lowest and the mean cosine with the package's vectors, the lowest between alone and in a batch, and how many texts
    have another number of tokens than the package counts, None where it has no tokenizer of its own."""
    made = Made(folder)
    ids = made.ids(texts)
    counts, given = reference.REFERENCES[name](texts, ids)
    alone, together = made.vectors(ids, 1), made.vectors(ids, BATCH)
    cosines = (alone * given).sum(axis=1)
    return {
        "texts": len(texts),
        "cosine_least": float(cosines.min()),
        "cosine_mean": float(cosines.mean()),
        "batch_cosine_least": float((alone * together).sum(axis=1).min()),
        "tokens_differ": None if counts is None else sum(len(one) != count for one, count in zip(ids, counts)),
    }
