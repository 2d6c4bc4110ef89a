"""A model folder as hubs lay it out, of Hugging Face transformers' and sentence-transformers' files."""

import json
from importlib import resources

from onnx import TensorProto, helper

from harca_train import encoder_graph
from harca_train.nodes import Nodes, serialized

OUTPUT = "last_hidden_state"
# Raised when the same texts get other vectors: those of two versions are not to be compared.
VERSION = "1"
FORMAT = 2
# Of MatMulNBits: inputs are rounded to 8 bits, 32 neighbours of a token by one scale. A query takes half the time of float32, and
# its vector stays within cosine 0.9999; as no scale reaches over a token, the texts beside it change nothing.
_ACCURACY_LEVEL = 4
_MODULES = ["Transformer", "Pooling", "Normalize"]


def write(folder, embedder):
    """Writes the `models.Embedder` into the new `folder`."""
    (folder / "onnx").mkdir(parents=True)
    (folder / "onnx/model.onnx").write_bytes(graph(embedder.encoder, embedder.max_tokens))
    (folder / "tokenizer.json").write_text(embedder.tokenizer, encoding="utf-8")
    for name, content in described(embedder).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    licenses = resources.files("harca_train.embedder") / "licenses"
    (folder / "LICENSE").write_text((licenses / f"{embedder.license}.txt").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "README.md").write_text(card(embedder), encoding="utf-8")


def graph(encoder, most):
    """The ONNX file of an encoder for texts of up to `most` tokens."""
    nodes = Nodes()
    nodes.node("Identity", [encoder_graph.states(nodes, encoder, most)], OUTPUT)
    outputs = [(OUTPUT, TensorProto.FLOAT, ["batch", "tokens", encoder.width])]
    model = nodes.model("embedder", encoder_graph.INPUTS, outputs)
    for node in model.graph.node:
        if node.op_type == "MatMulNBits":
            node.attribute.append(helper.make_attribute("accuracy_level", _ACCURACY_LEVEL))
    return serialized(model)


def described(embedder):
    """The JSON files by their names; manifest.json says what those of a hub have no place for."""
    modules = [
        {"idx": place, "name": str(place), "path": f"{place}_{kind}" * (place > 0), "type": f"sentence_transformers.models.{kind}"}
        for place, kind in enumerate(_MODULES)
    ]
    return {
        "config.json": embedder.config,
        "modules.json": modules,
        "1_Pooling/config.json": {"word_embedding_dimension": embedder.encoder.width, "pooling_mode_mean_tokens": True},
        "sentence_bert_config.json": {"max_seq_length": embedder.max_tokens, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": embedder.prompts, "default_prompt_name": None},
        "manifest.json": {"format": FORMAT, "name": embedder.name, "version": VERSION},
    }


def card(embedder):
    """README.md: what lies in the folder, whose it is, and what was done to it."""
    return f"""\
---
license: {embedder.license.lower()}
pipeline_tag: sentence-similarity
---

# {embedder.name}

{embedder.card}

`onnx/model.onnx` takes `input_ids` and `attention_mask` and gives `{OUTPUT}`: the mean over the tokens, at length 1, is the
vector of a text. At most {embedder.max_tokens} tokens are read.

Made by `scripts/setup_embedder.sh` of pg_harca. `LICENSE` is that of the weights.
"""
