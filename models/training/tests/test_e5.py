"""multilingual-e5-small read out of its package: blocks, the tokenizer, the graph, and that none of it needs PyTorch."""

import re
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto
from tokenizers import Tokenizer

from harca_train import encoder_graph
from harca_train.blocks import Blocks
from harca_train.nodes import Nodes, serialized
from harca_train.pretrained import MAX_TOKENS, Pretrained, layer_of
from harca_train.tokens import Tokens

TEXTS = [
    "how do I undo a merge in git?",
    "東京 天気",
    "フォームの入力検証",
    "ＰｏｓｔｇｒｅＳＱＬ　ベクトル検索～入門",
    "ｼﾞｮﾝ・ﾅｯｼｭ ﾊﾟﾝ",
    "ﬁnd ① ㌔ ½ ™",
    "café naïve Ünïcode",
    "😀👍🏽 emoji 👨‍👩‍👧 🈻",
    "  blanks \t at  both   ends \n ",
    "zero\u200bwidth \u00a0no-break \u3000wide \ufeff",
    "control\x07char\x1f \ufffd",
    "",
    " ",
    "a",
    "<s> </s> ▁▁ __ order-48213",
    "안녕하세요 Привет مرحبا नमस्ते",
    "long " * 200,
    "長い文" * 200,
]


@pytest.fixture(scope="module")
def pretrained():
    """The encoder, all layers of it frozen."""
    return Pretrained(12)


def by_table(pretrained, text):
    """The text as the package normalises it, character by character."""
    return re.sub(" {2,}", " ", text.translate(pretrained.e5.translation()))


def test_the_tokenizer_reads_texts_as_the_package_does(pretrained):
    written = Tokenizer.from_str(pretrained.tokenizer.to_str())
    found = [encoding.ids for encoding in written.encode_batch(TEXTS)]
    assert found == pretrained.tokens(TEXTS)
    assert all(len(ids) <= MAX_TOKENS and ids[0] == pretrained.e5.bos and ids[-1] == pretrained.e5.eos for ids in found)
    written.no_truncation()
    normal = [written.normalizer.normalize_str(text) for text in TEXTS]
    assert normal == [by_table(pretrained, text) for text in TEXTS]


def test_every_character_is_normalised_as_in_the_table(pretrained):
    normalize, table = pretrained.tokenizer.normalizer.normalize_str, pretrained.e5.translation()
    # Surrogates are no characters, and no text has the noncharacters that hold the place of others.
    chars = [char for char in range(0x110000) if not 0xD800 <= char < 0xE000 and not 0xFDD0 <= char < 0xFDD4]
    different = [hex(char) for char in chars if normalize(chr(char)) != table.get(char, chr(char))]
    assert different == []


def test_blocks_round_to_the_nearest_and_are_kept_when_rounded_again():
    chance = np.random.default_rng(3)
    matrix = chance.normal(size=(8, 96)).astype(np.float32)
    matrix[2, 32:64] = 0
    blocks = Blocks.of(matrix)
    scales = np.repeat(np.abs(blocks.scales), 32, axis=1)
    # One code is missing on the side away from the number furthest from zero, which costs half a step more at most.
    assert (np.abs(blocks.floats() - matrix) <= scales * 1.0001).all()
    assert np.abs(Blocks.of(blocks.floats()).floats() - blocks.floats()).max() < 1e-6
    assert blocks.packed().shape == (8, 48)


def test_layers_come_back_from_pytorch(pretrained):
    encoder = pretrained.e5.encoder()
    for kept, module in zip(encoder.layers[-2:], pretrained.lower[-2:]):
        found = layer_of(module)
        assert (found.attention.weights == kept.attention.weights.floats()).all()
        assert (found.outer.weights == kept.outer.weights.floats()).all()
        assert (found.output_norm.bias == kept.output_norm.bias).all()


def test_the_graph_gives_the_states_of_the_network(pretrained):
    nodes = Nodes()
    encoder = pretrained.e5.encoder()
    nodes.node("Identity", [encoder_graph.states(nodes, encoder, MAX_TOKENS)], "last_hidden_state")
    outputs = [("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", encoder.width])]
    model = serialized(nodes.model("encoder", encoder_graph.INPUTS, outputs))
    assert len(model) < 70_000_000
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    tokens = pretrained.tokens(TEXTS)
    read = Tokens(tokens)
    together = session.run(None, read.inputs(range(len(read))))[0]
    for row, ids in enumerate(tokens):
        alone = session.run(None, read.inputs([row]))[0][0]
        with torch.no_grad():
            hidden = pretrained.norm(pretrained.words[torch.tensor([ids])] + pretrained.positions[:len(ids)])
            for layer in pretrained.lower:
                hidden = layer(hidden)
        # Rows of the word table are float16 in the graph until they are added up.
        assert np.abs(alone - hidden[0].numpy()).max() < 5e-3, TEXTS[row]
        assert np.abs(alone - together[row, :len(ids)]).max() < 1e-4, TEXTS[row]


def test_nothing_of_it_needs_pytorch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from harca_train import classifier_graph, e5, encoder_graph, tokenizer, tokens\n"
        "assert 'onnxruntime' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
