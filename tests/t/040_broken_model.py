#!/usr/bin/env python3
"""A model that is missing, damaged or of another shape is refused and the rules answer; models are switched without mixing answers."""

import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import PgError, Server, done, is_, like, ok  # noqa: E402
from harness.onnx import FLOAT, cast, fragile, graph, linear, node  # noqa: E402

server = Server.attach()
DB = "harca_model"
QUERY = "why are my searches slow"
server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE", DB)
installed = Path(server.config("--pkglibdir")) / "pg_harca/models/query_type"
MANIFEST = json.loads((installed / "manifest.json").read_text(encoding="utf-8"))
GRAPH = (installed / "model.onnx").read_bytes()
folder = server.folder / "models"
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(mode=0o755)


def model(called, data=GRAPH, manifest=None, **changes):
    """A model folder; its manifest fits the graph but for the changes."""
    path = folder / called
    path.mkdir(mode=0o755)
    if data is not None:
        (path / "model.onnx").write_bytes(data)
    full = {**MANIFEST, "golden": [], "sha256": hashlib.sha256(data or b"").hexdigest(), **changes}
    text = json.dumps(full) if manifest is None else manifest
    (path / "manifest.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# The graphs of this script have one input: they read no tokens.
bag_alone = {key: value for key, value in MANIFEST["encoder"].items() if key != "tokens"}
tokens = MANIFEST["encoder"]["tokens"]
own = {"name": "own", "version": "7", "labels": ["short", "long"], "encoder": bag_alone}
closed = model("closed")
flipped = bytearray(GRAPH)
flipped[len(flipped) // 2] ^= 1
BROKEN = {  # setting → SQLSTATE of load_model, and a part of the reason
    "a folder that is missing": (folder / "missing", "58P01", "No such file"),
    "a name that is not installed": ("no_such_model", "58P01", "No such file"),
    "a graph that is missing": (model("no_graph", None), "58P01", "No such file"),
    "a flipped bit": (model("flipped", bytes(flipped), sha256=MANIFEST["sha256"]), "58P01", "sha256"),
    "a truncated graph": (model("truncated", GRAPH[:100000], sha256=MANIFEST["sha256"]), "58P01", "sha256"),
    "an empty graph": (model("empty", b""), "38000", "ONNX Runtime"),
    "a truncated graph with its own sha256": (model("own_sha", GRAPH[:100000]), "38000", "ONNX Runtime"),
    "a text as graph": (model("text", b"This is no model.\n" * 50), "38000", "ONNX Runtime"),
    "an empty manifest": (model("no_manifest", manifest=""), "22023", "manifest"),
    "a manifest that is not JSON": (model("not_json", manifest="{'format': 1}"), "22023", "manifest"),
    "a manifest that is not UTF-8": (model("not_utf8", manifest=b'{"name": "\xff"}'), "58P01", "UTF-8"),
    "a manifest of a later format": (model("later", format=2), "22023", "format 2"),
    "a manifest with an unknown key": (model("key", colour="red"), "22023", "colour"),
    "an encoder that this version lacks": (model("encoder", encoder={**MANIFEST["encoder"], "id": "other-1"}), "22023", "other-1"),
    "too few labels": (model("few", labels=MANIFEST["labels"][:-1]), "42804", "output"),
    "too many labels": (model("many", labels=[*MANIFEST["labels"], "more"]), "42804", "output"),
    "another input name": (model("input", input={"name": "ids", "type": "int32"}), "42804", "ids"),
    "a graph that reads tokens, without tokens": (model("bag", encoder=bag_alone), "42804", "2 inputs"),
    "tokens for a graph that reads none": (model("no_tokens", linear(1.0, -1.0), **{**own, "encoder": MANIFEST["encoder"]}), "42804", "1 inputs"),
    "more tokens than the graph has": (model("tokens", encoder={**MANIFEST["encoder"], "tokens": {**tokens, "buckets": 10**6}}), "42804", "24577 of its table"),
    "another output name": (model("output", output={"name": "scores", "type": "float32"}), "42804", "scores"),
    "more buckets than the graph has": (model("buckets", encoder={**MANIFEST["encoder"], "buckets": 10**6}), "42804", "16385 of its table"),
    "a file name that leads elsewhere": (model("path", file="../../model.onnx"), "22023", "plain file name"),
    "a graph of another input type": (model("float", graph([node("Identity", ["features"], "logits")], input_kind=FLOAT), **own), "42804", "input"),
    "a graph of another shape": (model("shape", graph([cast("features", "logits")]), **own), "42804", "output"),
    "a graph that gives no numbers": (model("nan", linear(float("nan"), 1.0), **own), "42804", "not finite"),
    "a folder that nobody may read": (closed, "58P01", "Permission denied"),
    "a file instead of a folder": (folder / "no_graph/manifest.json", "58P01", "Not a directory"),
}  # fmt: skip
closed.chmod(0)
postmaster = server.postmaster_pid()
bystander = server.session(DB)
bystander.psql(f"SELECT query_type('{QUERY}')")


def warnings(text):
    return len(re.findall(r"^WARNING:  ", text, re.M))


def name(value):
    return "'" + str(value).replace("'", "''") + "'"


for what, (path, state, reason) in BROKEN.items():
    session = server.session(DB)
    session.psql(f"SET pg_harca.model = {name(path)}")
    output = session.psql(f"SELECT model, query_type FROM classify_query('{QUERY}')", timeout=20)
    is_((output.split("\n")[-1], warnings(output)), ("rules|semantic", 1), f"{what}: the rules answer, with a warning")
    output = session.psql(
        f"SELECT query_type('{QUERY}'), query_type('x y'); SELECT count(DISTINCT model) FROM classify_queries(ARRAY['a b', 'c d'])"
    )
    is_(warnings(output), 0, f"{what}: which is not repeated")
    status = session.psql("SELECT state, model IS NULL, rule_answers, failure FROM harca.backend_status()").split("|")
    is_(status[:3], ["failed", "t", "5"], f"{what}: the state of the session")
    like(status[3], re.escape(reason), f"{what}: and the reason")
    try:
        session.psql("SELECT harca.load_model()")
        ok(False, f"{what}: load_model raises an error")
    except PgError as error:
        is_((error.sqlstate, "HINT:" in error.stderr), (state, True), f"{what}: load_model raises an error")
    session.psql("SET pg_harca.model = builtin")
    like(session.psql(f"SELECT model FROM classify_query('{QUERY}')"), "^query_type ", f"{what}: then the built-in model answers")
    session.close()

# The installed model by its name is the built-in one.
FIELDS = "query_type, confidence, scores, language, model"
TEXTS = "ARRAY['why are my searches slow', '東京 天気', 'x', 'causes of war']"
builtin = server.psql(f"SELECT {FIELDS} FROM classify_queries({TEXTS})", DB)
is_(
    server.psql(f"SET pg_harca.model = query_type; SELECT {FIELDS} FROM classify_queries({TEXTS})", DB),
    builtin,
    "the installed model equals the built-in one",
)
is_(
    server.psql(f"SET pg_harca.model = {name(installed)}; SELECT {FIELDS} FROM classify_queries({TEXTS})", DB),
    builtin,
    "by its path too",
)

# Switching back and forth never gives the answers of the other model.
short, long_ = model("short", linear(1.0, -1.0), **own), model("long", linear(-1.0, 1.0), **{**own, "version": "8"})
session = server.session(DB)
server.psql(
    "CREATE TABLE note (id integer PRIMARY KEY, content text, tsv tsvector, embedding vector(2)); INSERT INTO note VALUES (1, 'slow', 'slow', '[1,0]')",
    DB,
)
server.psql("SELECT harca.register_search_target('note', 'note', vector_weight => 0.375)", DB)
expected = {
    "builtin": "semantic|query_type",
    "query_type": "semantic|query_type",
    short: "short|own 7",
    long_: "long|own 8",
    folder / "missing": "semantic|rules",
}
for turn in range(2):
    for setting in (*expected, *reversed(expected)):
        session.psql(f"SET pg_harca.model = {name(setting)}")
        one = session.psql(f"SELECT query_type, model FROM classify_query('{QUERY}')").split("\n")[-1]
        many = session.psql(f"SELECT query_type, model FROM classify_queries(ARRAY['{QUERY}', '{QUERY}']) LIMIT 1").split("\n")[
            -1
        ]
        is_(
            (one.startswith(expected[setting]), one),
            (True, many),
            f"turn {turn}: {Path(str(setting)).name} gives its own answers",
        )
session.psql(f"SET pg_harca.model = {name(short)}")
is_(
    session.psql("SELECT label FROM harca.labels(); SELECT cardinality(scores) FROM classify_query('a b')"),
    "short\nlong\n2",
    "the labels follow the model before it has answered",
)
is_(session.psql("SELECT query_type, confidence FROM classify_query('??')"), "unknown|1", "a model without the label unknown")
is_(
    session.psql("SELECT id, query_type, vector_weight FROM hybrid_search('note', 'why slow?', '[1,0]')"),
    "1|short|0.375",
    "hybrid_search takes the target's weight for its types",
)
session.psql("BEGIN; SET LOCAL pg_harca.model = builtin")
like(session.psql(f"SELECT model FROM classify_query('{QUERY}')"), "^query_type", "for a transaction")
is_(session.psql(f"ROLLBACK; SELECT model FROM classify_query('{QUERY}')"), "own 7", "and not longer")

# A graph that fails later, in the midst of its work.
session.psql(f"SET pg_harca.model = {name(model('fragile', fragile(), **{**own, 'name': 'fragile'}))}")
like(session.psql("SELECT harca.load_model()"), "^fragile 7$", "a fragile graph loads")
output = session.psql(
    "SELECT DISTINCT model FROM classify_queries(ARRAY(SELECT 'what is the answer to question ' || i FROM generate_series(1, 300) i))"
)
is_((output.split("\n")[-1], warnings(output)), ("rules", 1), "when it fails in a batch, the rules answer, with a warning")
output = session.psql("RESET pg_harca.model; SELECT (classify_query('x y')).model")
like(output, "^query_type ", "and another model can be had")
session.close()

# Something that never ends must not hang the session.
pipe = model("pipe")
(pipe / "manifest.json").unlink()
os.mkfifo(pipe / "manifest.json")
(pipe / "manifest.json").chmod(0o666)
session = server.session(DB)
session.psql(f"SET pg_harca.model = {name(pipe)}")
try:
    like(
        session.psql("SELECT model FROM classify_query('x y')", timeout=10),
        "rules$",
        "a named pipe as manifest: the rules answer",
    )
    session.close()
except TimeoutError:
    ok(False, "a named pipe as manifest: the rules answer")
    with open(pipe / "manifest.json", "wb"):
        pass  # lets it go

is_(server.postmaster_pid(), postmaster, "the server has been up all the time")
like(bystander.psql(f"SELECT model FROM classify_query('{QUERY} today')"), "^query_type ", "and so has another session")
bystander.close()
closed.chmod(0o755)
shutil.rmtree(folder)
server.psql(f"DROP DATABASE {DB} WITH (FORCE)")
done()
