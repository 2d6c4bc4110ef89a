"""The transformer of tests/data/tiny_bert, for tests of the engine."""

import base64
import hashlib
import json

from .onnx import waves
from .places import ROOT
from .registry import literal

TINY = ROOT / "tests/data/tiny_bert"
GRAPH, TOKENIZER = (TINY / "onnx/model.onnx").read_bytes(), (TINY / "tokenizer.json").read_bytes()
EXPECTED = [json.loads(line) for line in (TINY / "expected.jsonl").read_text(encoding="utf-8").splitlines()]
LABELS = ["keyword", "semantic", "hybrid", "unknown"]


def manifest(name="tiny", version="1", graph=GRAPH, tokenizer=TOKENIZER, **changes):
    """A manifest that classifies; its golden query has the answer that the random weights give."""
    best = max(range(len(LABELS)), key=lambda label: EXPECTED[0]["logits"][label])
    whole = {
        "format": 2, "name": name, "version": version, "task": "classification",
        "graph": {"file": "model.onnx", "sha256": hashlib.sha256(graph).hexdigest()},
        "tokenizer": {"file": "tokenizer.json", "sha256": hashlib.sha256(tokenizer).hexdigest()},
        "inputs": {"ids": "input_ids", "mask": "attention_mask", "types": "token_type_ids"},
        "output": "logits", "max_tokens": 128, "labels": LABELS,
        "golden": [{"query": EXPECTED[0]["text"], "type": LABELS[best]}],
    }  # fmt: skip
    whole.update(changes)
    return {key: value for key, value in whole.items() if value is not None}


def embedding(name="tiny embedding", **changes):
    """A manifest that gives vectors."""
    none = {"labels": None, "golden": None}
    return manifest(name, task="embedding", output="last_hidden_state", pooling="mean", normalize=True, **none, **changes)


def wide(name, width=384, **changes):
    """A manifest and a graph that give vectors as wide as usual ones."""
    graph = waves(width)
    return embedding(name, graph=graph, inputs={"ids": "input_ids"}, **changes), graph


def hub_folder(folder, width=384):
    """The same as a folder of a model hub, whose name the model gets."""
    layout = {
        "config.json": {"architectures": ["BertModel"], "model_type": "bert", "max_position_embeddings": 512},
        "modules.json": [{"type": f"sentence_transformers.models.{kind}"} for kind in ("Transformer", "Pooling", "Normalize")],
        "1_Pooling/config.json": {"pooling_mode_mean_tokens": True},
    }
    for name, content in layout.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    (folder / "tokenizer.json").write_bytes(TOKENIZER)
    (folder / "onnx").mkdir()
    (folder / "onnx/model.onnx").write_bytes(waves(width))


def bytea(content):
    """Bytes as a SQL expression."""
    return f"decode('{base64.b64encode(content).decode()}', 'base64')"


def registration(described, graph=GRAPH, tokenizer=TOKENIZER, function="register_model"):
    """The call that registers a model with a tokenizer."""
    return f"SELECT harca.{function}({literal(json.dumps(described))}, {bytea(graph)}, {bytea(tokenizer)})"


def until(server, condition, database="postgres", attempts=600):
    """Waits until a condition in SQL holds; whether it does."""
    return server.psql(
        "DO $$ BEGIN FOR i IN 1.." + str(attempts) + f" LOOP IF ({condition}) THEN RETURN; END IF;"
        " PERFORM pg_sleep(0.1); END LOOP; END $$; "
        f"SELECT ({condition})::text", database
    ).endswith("true")  # fmt: skip
