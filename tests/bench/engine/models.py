"""The transformers that the engine is given, and what they make of a text elsewhere.

One is all-MiniLM-L6-v2: 6 layers of 384 dimensions, as its package has it, with weights that are kept in 8 bits and computed
with in 32. It gives vectors; a classifier is made of it by the mean over the tokens and a head of random weights, the same ones
in every run, so that its labels mean nothing but hang on every token. The other one is that of tests/data/tiny_bert, whose run
takes next to nothing.
"""

import json
import math
import random
import subprocess
from pathlib import Path

from harness import onnx, transformer
from harness.places import BUILD, ROOT
from harness.transformer import EXPECTED, LABELS

from ..servers import DATABASE
from .loop import TransformerLoop

WIDTH = 384
GOLDEN = "git rebase --onto"
# How far a score may lie from that of a plain run: texts that run together are padded, and sums are rounded in another order.
FARTHEST = 1e-4


class Transformer:
    """A model. What tells it apart: its name in the server, and its title in the report.

    Its files lie in a folder of their own; alone gives the scores of texts by a way that has no server in it.
    """

    def __init__(self, title, folder, golden, alone):
        self.name, self.title, self.folder = folder.name, title, folder
        self._alone, self._known = alone, {}
        self._graph, self._tokenizer = (folder / "model.onnx").read_bytes(), (folder / "tokenizer.json").read_bytes()
        self._manifest = transformer.manifest(self.name, graph=self._graph, tokenizer=self._tokenizer, golden=golden)
        (folder / "manifest.json").write_text(json.dumps(self._manifest), encoding="utf-8")

    def register(self, server):
        """Registers it, under its name."""
        server.psql(transformer.registration(self._manifest, self._graph, self._tokenizer), DATABASE, timeout=600)

    def check(self, bench, what, texts, found):
        """Raises WrongAnswer unless the scores of all texts are those of the texts alone."""
        found = list(found)
        bench.check(f"scores by {what}", len(found), len(texts))
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self._alone(new)))
        unlike = [text for text, each in zip(texts, found) if not near(each, self._known[text])]
        bench.check(f"texts whose scores by {what} are not those of the text alone", unlike, [])


def near(scores, expected):
    """Whether scores are those that are expected."""
    return len(scores) == len(expected) and all(abs(a - b) <= FARTHEST for a, b in zip(scores, expected))


def scores(text):
    """An array of SQL as numbers."""
    return [float(number) for number in text.strip("{}").split(",")]


def tiny(bench, folder):
    """The tiny one; what it makes of a text is told by the loop, which has to agree with what lies beside the model."""
    files = _files(folder, "tiny", transformer.GRAPH, transformer.TOKENIZER)

    def alone(texts):
        with TransformerLoop(files, 1) as loop:
            found = [loop.run(row["text"])[1] for row in EXPECTED]
            unlike = [row["text"] for row, each in zip(EXPECTED, found) if not near(each, _softmax(row["logits"]))]
            bench.check("texts of tests/data/tiny_bert with other scores in the loop", unlike, [])
            return [loop.run(text)[1] for text in texts]

    return Transformer("the tiny transformer", files, transformer.manifest()["golden"], alone)


def minilm(folder):
    """The one of MiniLM's size; raises OSError where it cannot be had. Its scores are those of plain.py."""
    if subprocess.run([ROOT / "scripts/setup_transformer.sh"], stdin=subprocess.DEVNULL, check=False).returncode != 0:
        raise OSError("the transformer or what runs it is missing (scripts/setup_transformer.sh)")
    fetched = BUILD / "minilm"
    graph, tokenizer = (fetched / "model.onnx").read_bytes() + _head(), (fetched / "tokenizer.json").read_bytes()
    files = _files(folder, "minilm", graph, tokenizer)

    def alone(texts):
        command = [BUILD / "transformer-venv/bin/python", Path(__file__).with_name("plain.py"), files]
        lines = "".join(f"{text}\n" for text in texts)
        done = subprocess.run(command, input=lines, stdout=subprocess.PIPE, encoding="utf-8", check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    (found,) = alone([GOLDEN])
    golden = [{"query": GOLDEN, "type": LABELS[found.index(max(found))]}]
    return Transformer("all-MiniLM-L6-v2", files, golden, alone)


def _files(folder, name, graph, tokenizer):
    """A folder with the files of a model."""
    folder = Path(folder) / name
    folder.mkdir()
    (folder / "model.onnx").write_bytes(graph)
    (folder / "tokenizer.json").write_bytes(tokenizer)
    return folder


def _head():
    """Bytes that add a head to the graph that they are put behind: of a message that comes twice, the lists are joined."""
    chance = random.Random(20)
    weights = [chance.gauss(0, 0.25) for _ in range(WIDTH * len(LABELS))]
    nodes = [
        onnx.cast("attention_mask", "head_is_token"),
        onnx.node("Unsqueeze", ["head_is_token", "head_dimensions"], "head_mask"),
        onnx.node("Mul", ["last_hidden_state", "head_mask"], "head_states"),
        onnx.node("ReduceSum", ["head_states", "head_tokens"], "head_sum", onnx.whole("keepdims", 0)),
        onnx.node("ReduceSum", ["head_is_token", "head_tokens"], "head_count"),
        onnx.node("Div", ["head_sum", "head_count"], "head_mean"),
        onnx.node("MatMul", ["head_mean", "head_weights"], "logits"),
    ]
    tensors = [
        onnx.int64s("head_tokens", 1), onnx.int64s("head_dimensions", 2),
        onnx.floats("head_weights", [WIDTH, len(LABELS)], weights),
    ]  # fmt: skip
    output = onnx.value_info("logits", onnx.FLOAT, ["batch", len(LABELS)])
    return onnx.field(7, onnx.message(*((1, n) for n in nodes), *((5, t) for t in tensors), (12, output)))


def _softmax(logits):
    highest = max(logits)
    powers = [math.exp(logit - highest) for logit in logits]
    return [power / sum(powers) for power in powers]
