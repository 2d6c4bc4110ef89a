"""The registry of models for tests: models trained on the spot, and the SQL that registers them."""

import base64
import hashlib
import json
import random
from functools import cache

from .places import ROOT
from .training import rows_of, train

QUALITY = ROOT / "tests/data/quality_queries.tsv"


@cache
def labelled():
    """Queries and their labels, in an order of no meaning."""
    rows = rows_of(QUALITY)
    random.Random(7).shuffle(rows)
    return rows


@cache
def trained(name, version, share=1.0):
    """A model that has learnt from this share of the labelled queries."""
    rows = labelled()
    return train(rows[: max(8, int(len(rows) * share))], name, version)


def literal(text):
    """Text as a SQL literal."""
    return "'" + str(text).replace("'", "''") + "'"


def registration(model):
    """The call that registers a model of `trained`, or a pair of manifest and graph."""
    manifest, graph = (model.manifest, model.graph) if hasattr(model, "manifest") else model
    encoded = base64.b64encode(graph).decode()
    return f"SELECT harca.register_model({literal(json.dumps(manifest))}, decode('{encoded}', 'base64'))"


def with_graph(graph, name, version="1", labels=("first", "second"), **changes):
    """Manifest and graph of a model that is no classifier, but takes every text for its first label."""
    manifest = json.loads((ROOT / "models/query_type/manifest.json").read_text(encoding="utf-8"))
    encoder = {key: value for key, value in manifest["encoder"].items() if key != "tokens"}
    manifest.update(
        name=name, version=version, labels=list(labels), encoder=encoder, metrics={}, training={},
        sha256=hashlib.sha256(graph).hexdigest(), calibration={"method": "temperature", "temperature": 1},
        golden=[{"query": "zebra", "type": labels[0]}],
    )  # fmt: skip
    return {**manifest, **changes}, graph


def load_labelled(server, database, table="judged"):
    """A table of the labelled queries."""
    rows = ",".join(f"({literal(query)}, {literal(label)})" for query, label in labelled())
    server.psql(f"CREATE TABLE {table} (query text, label text); INSERT INTO {table} VALUES {rows}", database)
