#!/usr/bin/env python3
"""Makes the model in this folder: a BERT of random weights, laid out as a model hub has it.

    python tests/data/tiny_bert/make.py

Needs the packages numpy, onnx, onnxruntime and tokenizers (scripts/setup_training.sh). The vocabulary is learnt from the texts in tests/data;
the weights are random, so that what comes out means nothing, but depends on every token, on its place and on the mask.
"""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

HERE = Path(__file__).resolve().parent
PIECES, WIDTH, HEADS, LAYERS, INNER, PLACES, LABELS = 3500, 32, 2, 2, 64, 128, 4
TEXTS = [
    "東京 天気",
    "how do I fix the login timeout?",
    "git rebase --onto",
    "メモリの設定",
    "causes of war",
    "where is the key",
    "C++",
    "coffee grinder",
    "LFN-2047: the nightly invoice export died with SQLSTATE 40P01 because two workers locked the same customers",
    "x",
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def tokenizer():
    """A WordPiece tokenizer as BERT has it, over the texts of the tests."""
    data = HERE.parent
    texts = [json.loads(line)["content"] for line in (data / "memories.jsonl").read_text("utf-8").splitlines()]
    texts += [line.split("\t")[0] for line in (data / "quality_queries.tsv").read_text("utf-8").splitlines()]
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    words = Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    letters = sorted({letter for word in words for letter in word})
    pieces = SPECIAL + letters + [f"##{letter}" for letter in letters]
    # The trainer of the package gives another vocabulary each time.
    common = [word for word, _ in sorted(words.items(), key=lambda item: (-item[1], item[0])) if len(word) > 1]
    pieces += common[:PIECES - len(pieces)]
    made = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer, made.decoder = normalizer, splitter, decoders.WordPiece()
    marks = [(name, made.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=marks
    )
    return made


class Graph:
    """Nodes and random weights on their way to a graph; every method gives the name of what it adds."""

    def __init__(self, seed):
        self.chance = np.random.default_rng(seed)
        self.nodes, self.weights = [], []

    def constant(self, value):
        name = f"constant_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def random(self, *shape, scale=0.2):
        return self.constant((scale * self.chance.standard_normal(shape)).astype(np.float32))

    def node(self, operator, *inputs, output=None, **attributes):
        output = output or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def dense(self, value, columns, rows, output=None):
        product = self.node("MatMul", value, self.random(columns, rows))
        return self.node("Add", product, self.random(rows, scale=0.1), output=output)

    def norm(self, value, output=None):
        one = self.constant(np.ones(WIDTH, np.float32))
        return self.node("LayerNormalization", value, one, self.random(WIDTH, scale=0.1), axis=-1, epsilon=1e-12, output=output)

    def heads(self, value):
        shape = self.constant(np.array([0, 0, HEADS, WIDTH // HEADS]))
        return self.node("Transpose", self.node("Reshape", value, shape), perm=[0, 2, 1, 3])

    def layer(self, state, mask, output=None):
        query, key, value = (self.heads(self.dense(state, WIDTH, WIDTH)) for _ in range(3))
        product = self.node("MatMul", query, self.node("Transpose", key, perm=[0, 1, 3, 2]))
        scaled = self.node("Mul", product, self.constant(np.float32((WIDTH // HEADS) ** -0.5)))
        share = self.node("Softmax", self.node("Add", scaled, mask), axis=-1)
        seen = self.node("Transpose", self.node("MatMul", share, value), perm=[0, 2, 1, 3])
        seen = self.node("Reshape", seen, self.constant(np.array([0, 0, WIDTH])))
        state = self.norm(self.node("Add", state, self.dense(seen, WIDTH, WIDTH)))
        inner = self.dense(state, WIDTH, INNER)
        bent = self.node("Erf", self.node("Mul", inner, self.constant(np.float32(2**-0.5))))
        bent = self.node("Mul", inner, self.node("Add", bent, self.constant(np.float32(1))))
        bent = self.node("Mul", bent, self.constant(np.float32(0.5)))
        return self.norm(self.node("Add", state, self.dense(bent, INNER, WIDTH)), output=output)


def graph(pieces):
    """BERT with a head for sequence classification; gives the last states, too."""
    made = Graph(seed=20)
    zero, one = made.constant(np.array([0])), made.constant(np.array([1]))
    words = made.node("Gather", made.random(pieces, WIDTH), "input_ids")
    types = made.node("Gather", made.random(2, WIDTH), "token_type_ids")
    length = made.node("Gather", made.node("Shape", "input_ids"), one)
    places = made.node("Slice", made.random(PLACES, WIDTH), zero, length, zero)
    state = made.norm(made.node("Add", made.node("Add", words, types), places))
    mask = made.node("Cast", "attention_mask", to=TensorProto.FLOAT)
    mask = made.node("Mul", made.node("Sub", mask, made.constant(np.float32(1))), made.constant(np.float32(1e9)))
    mask = made.node("Unsqueeze", mask, made.constant(np.array([1, 2])))
    for number in range(LAYERS):
        state = made.layer(state, mask, output="last_hidden_state" if number == LAYERS - 1 else None)
    first = made.node("Gather", state, made.constant(np.int64(0)), axis=1)
    pooled = made.node("Tanh", made.dense(first, WIDTH, WIDTH))
    product = made.node("MatMul", pooled, made.random(WIDTH, LABELS, scale=1.0))
    made.node("Add", product, made.random(LABELS), output="logits")
    ids = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", LABELS]),
        helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "sequence", WIDTH]),
    ]
    whole = helper.make_graph(made.nodes, "tiny_bert", ids, outputs, made.weights)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="pg_harca")
    onnx.checker.check_model(model, full_check=True)
    return model


def expected(tokenizer, path):
    """What ONNX Runtime makes of texts one by one: their logits, and the mean of their last states at length 1."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for text in TEXTS:
        encoding = tokenizer.encode(text)
        fed = {"input_ids": encoding.ids, "attention_mask": encoding.attention_mask, "token_type_ids": encoding.type_ids}
        fed = {name: np.array([ids], np.int64) for name, ids in fed.items()}
        logits, states = session.run(["logits", "last_hidden_state"], fed)
        mean = states[0].mean(axis=0)
        vector = mean / np.linalg.norm(mean)
        yield {"text": text, "logits": logits[0].tolist(), "vector": vector.tolist(), "tokens": len(encoding.ids)}


def main():
    """Writes the files."""
    made = tokenizer()
    made.save(str(HERE / "tokenizer.json"), pretty=False)
    (HERE / "onnx").mkdir(exist_ok=True)
    onnx.save(graph(made.get_vocab_size()), HERE / "onnx" / "model.onnx")
    labels = ["keyword", "semantic", "hybrid", "unknown"]
    config = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
        "max_position_embeddings": PLACES,
        "type_vocab_size": 2,
        "vocab_size": made.get_vocab_size(),
        "pad_token_id": made.token_to_id("[PAD]"),
        "id2label": {str(number): label for number, label in enumerate(labels)},
        "label2id": {label: number for number, label in enumerate(labels)},
    }
    rows = [json.dumps(row, ensure_ascii=False) for row in expected(made, HERE / "onnx" / "model.onnx")]
    (HERE / "expected.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (HERE / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


main()
