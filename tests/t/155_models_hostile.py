#!/usr/bin/env python3
"""Models that are damaged, oversized, misleading or dangerous are refused; one that fails at some queries, or is damaged later, costs no query its answer."""

import hashlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import PgError, Server, done, is_, like, ok  # noqa: E402
from harness import onnx  # noqa: E402
from harness.places import ROOT  # noqa: E402
from harness.registry import literal, registration, trained, with_graph  # noqa: E402

DB = "harca_hostile_models"
QUERY = "why are my searches slow"
WHO = f"SELECT model FROM classify_query('{QUERY}')"
server = Server(f"test-hostile-models-{os.getpid()}", settings={"shared_preload_libraries": "pg_harca", "pg_harca.retry_interval": "1"})
server.start()
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE", DB)
good = trained("good", "1", 0.5)
postmaster = server.postmaster_pid()


def changed(**changes):
    return {**good.manifest, **changes}, good.graph


def sized(size):
    """A graph of so many bytes that fits its manifest."""
    table = onnx.graph(
        [onnx.node("Gather", ["table", "features"], "rows"), onnx.node("ReduceSum", ["rows", "axis"], "logits", onnx.whole("keepdims", 0))],
        [onnx.int64s("axis", 1), onnx.floats("table", [size // 8, 2], [0.0] * (size // 8 * 2))],
    )
    return with_graph(table, "large")


flipped = bytearray(good.graph)
flipped[len(flipped) // 2] ^= 1
dropped = {key: value for key, value in good.manifest.items() if key != "labels"}
REFUSED = {  # what → (manifest, graph), SQLSTATE, part of the reason
    "a flipped bit": ((good.manifest, bytes(flipped)), "22023", "sha256"),
    "a truncated graph": ((good.manifest, good.graph[:1000]), "22023", "sha256"),
    "a truncated graph with its own sha256": (
        ({**good.manifest, "sha256": hashlib.sha256(good.graph[:1000]).hexdigest()}, good.graph[:1000]), "0A000", "."),
    "an empty graph": (({**good.manifest, "sha256": hashlib.sha256(b"").hexdigest()}, b""), "0A000", "."),
    "a text as graph": (with_graph(b"This is no model.\n" * 50, "text"), "0A000", "."),
    "an oversized graph": (sized(2 << 20), "0A000", "bytes, at most"),
    "weights in another file": (with_graph(onnx.external_data(), "external"), "0A000", "another file"),
    "an operator of a custom library": (with_graph(onnx.custom_operator(), "custom"), "0A000", "custom operator library"),
    "a loop": (with_graph(onnx.endless(), "endless"), "0A000", "without end"),
    "an operator set of the future": (with_graph(onnx.opset(99), "future"), "0A000", "opset"),
    "an ancient operator set": (with_graph(onnx.opset(3), "ancient"), "0A000", "opset"),
    "another number of labels": (with_graph(onnx.affine([1, 2, 3], [0, 0, 0]), "three"), "42804", "output"),
    "another input": (with_graph(onnx.graph([onnx.cast("words", "logits")], input_name="words"), "words"), "42804", "input"),
    "another type of input": (
        with_graph(onnx.graph([onnx.node("ReduceSum", ["features", "axis"], "logits")], [onnx.int64s("axis", 1)], input_kind=onnx.FLOAT), "real"),
        "42804", "input"),
    "NaN for every query": (with_graph(onnx.nan_beyond(0), "nan"), "42804", "not finite"),
    "a table that is smaller than the encoder's": (with_graph(onnx.fragile(), "fragile"), "38000", "."),
    "golden queries that it does not know": (changed(golden=[{"query": good.manifest["golden"][0]["query"], "type": "hybrid"},
                                                             {"query": good.manifest["golden"][0]["query"], "type": "semantic"}]), "42804", "takes"),
    "no golden queries": (changed(golden=[]), "22023", "golden"),
    "a label that is missing": ((dropped, good.graph), "22023", "labels"),
    "one label": (changed(labels=["a"]), "22023", "1 labels"),
    "another encoder": (changed(encoder={**good.manifest["encoder"], "id": "other-1"}), "22023", "encoder"),
    "a path as file": (changed(file="../../postgresql.conf"), "22023", "file"),
}  # fmt: skip
session = server.session(DB)
session.psql("SET pg_harca.max_model_size = '1MB'")
builtin = session.psql(WHO)
for what, (model, state, reason) in REFUSED.items():
    try:
        session.psql(registration(model))
        ok(False, f"{what}: refused")
    except PgError as error:
        is_((error.sqlstate, "DETAIL:" in error.stderr, "HINT:" in error.stderr), (state, True, True), f"{what}: refused")
        like(error.stderr, reason, f"{what}: with the reason")
is_(session.psql("SELECT count(*) FROM harca.model"), "0", "nothing was stored")
for what, sql, state in [
    ("manifest that is not JSON", "SELECT harca.register_model('{', '')", "22P02"),
    ("manifest that is a list", "SELECT harca.register_model('[]', '')", "22023"),
    ("manifest of a megabyte", f"SELECT harca.register_model(json_build_object('name', repeat('x', 2000000)), '')", "22023"),
    ("a model that is not there", "SELECT harca.activate_model('nobody')", "42704"),
    ("a model that was not evaluated", f"{registration(good)}; SELECT harca.activate_model('good 1')", "55000"),
    ("the name of the built-in model", registration(changed(name=builtin.split(' ')[0], version=builtin.split(' ')[1])), "42710"),
    ("labelled queries that change something", "SELECT harca.evaluate_model('builtin', 'INSERT INTO harca.labelled_query VALUES (1, 2) RETURNING 1, 2')", "42601"),
    ("no labelled queries", "SELECT harca.evaluate_model('builtin', 'SELECT ''a'', ''b'' WHERE false')", "22023"),
    ("one column", "SELECT harca.evaluate_model('builtin', 'SELECT ''a''')", "42P10"),
]:  # fmt: skip
    is_(server.sqlstate(sql, DB), state, f"{what}: {state}")
server.psql("BEGIN; SET pg_harca.max_model_size = '4MB';" + registration(sized(2 << 20)) + "; ROLLBACK", DB)
ok(True, "the oversized graph is taken when it may be as large")

# What is good is taken: a model of harca_train as docs/models.md registers it, on the server and from a client, and an ORT file.
TRAINED = ROOT / "tests/data/four_labels"
for file in ("manifest.json", "model.onnx"):
    (server.folder / file).write_bytes((TRAINED / file).read_bytes())
    (server.folder / file).chmod(0o644)
trained_name = server.psql(
    f"SELECT harca.register_model(pg_read_file('{server.folder}/manifest.json')::json, pg_read_binary_file('{server.folder}/model.onnx'))", DB)  # fmt: skip
is_(server.psql(f"SELECT status, cardinality(labels) FROM harca.models WHERE model = {literal(trained_name)}", DB), "registered|4", "a model of harca_train, from files of the server")
server.psql(f"SELECT harca.drop_model({literal(trained_name)})", DB)
client = f"""\\set manifest `cat '{TRAINED}/manifest.json'`
\\set graph `base64 -w0 '{TRAINED}/model.onnx'`
SELECT harca.register_model(:'manifest', decode(:'graph', 'base64'))"""
is_(server.psql(client.replace("\\\\", "\\"), DB), trained_name, "and from files of a client")
ort = (ROOT / "crates/harca_core/tests/data/count.ort").read_bytes()
encoder = {**good.manifest["encoder"], "buckets": 1024, "max_features": 64, "max_chars": 64}
is_(server.psql(registration(with_graph(ort, "count", labels=("short", "long"), encoder=encoder, golden=[{"query": "How do I make vector search faster?", "type": "long"}])), DB),
    "count 1", "and a graph in the ORT format")  # fmt: skip

# A model whose runtime is missing: the previous one, which needs none, answers.
server.psql("SELECT harca.activate_model('good 1', force => true)", DB)
for kind, sql in (("one by one", WHO), ("in a batch", f"SELECT DISTINCT model FROM classify_queries(ARRAY['{QUERY}', 'x y z'])")):
    without = server.session(DB)
    without.psql("SET pg_harca.onnxruntime_path = '/nonexistent/libonnxruntime.so'")
    output = without.psql(sql)
    is_((output.splitlines()[-1], output.count("WARNING:")), (builtin, 1), f"without the runtime the previous model answers, {kind}")
    like(without.psql("SELECT state, detail FROM harca.health() WHERE component = 'active model'"), r"^failed\|good 1: cannot load ONNX Runtime", "health() says why")
    is_(without.psql("SELECT state, failure IS NOT NULL FROM harca.backend_status()"), "failed|t", "backend_status() as well")
    without.psql("RESET pg_harca.onnxruntime_path")
    is_(without.psql(WHO), "good 1", "and it answers when it is found")
    without.close()
server.psql("SELECT harca.rollback_model()", DB)

# A model that passes, and fails at long queries only.
server.psql(registration(with_graph(onnx.nan_beyond(200), "fickle")), DB)
server.psql("SELECT harca.activate_model('fickle 1', force => true)", DB)
LONG = "and then " * 60
state_of = "SELECT state FROM harca.health() WHERE component = '{}'"
session = server.session(DB)
is_(session.psql("SELECT model FROM classify_query('zebra')"), "fickle 1", "a model that fails at some queries answers others")
output = session.psql(f"SELECT model FROM classify_query('{LONG}')")
is_((output.splitlines()[-1], output.count("WARNING:")), (builtin, 1), "the previous model answers those, with a warning")
is_(session.psql("SELECT model FROM classify_query('zebra crossing')"), "fickle 1", "one failure does not cost the others their model")
is_(session.psql(state_of.format("active model")), "failing", "health() shows it")
output = session.psql(f"SELECT string_agg(DISTINCT model, ',') FROM generate_series(1, 10) AS i, LATERAL classify_query('{LONG}' || i)")
is_((output, output.count("WARNING:")), (builtin, 0), "after three in a row it is left alone, without another warning")
is_(session.psql("SELECT model FROM classify_query('zebra foal')"), builtin, "and the previous model answers everything")
is_(session.psql(state_of.format("active model") + "; " + state_of.format("classification")), "failed\nfallback", "health() shows it again")
batch = f"SELECT ordinality, model FROM classify_queries(ARRAY['zebra', '{LONG} 1', 'zebra stripes', '{LONG} 2']) ORDER BY 1"
rows = [line.split("|") for line in server.psql(batch, DB).splitlines()[-4:]]
is_([row[0] for row in rows], list("1234"), "a batch that holds some of them is answered as a whole")
is_([rows[i][1] for i in (1, 3)], [builtin, builtin], "these by the previous model")
is_(server.psql("SELECT pg_sleep(1.1); SELECT model FROM classify_query('zebra')", DB).splitlines()[-1], "fickle 1", "another session asks it")
session.psql("SELECT pg_sleep(1.1)")
is_(session.psql("SELECT model FROM classify_query('zebra herd')"), "fickle 1", "and this one again, a while later")
is_(session.psql(f"{state_of.format('active model')}; {state_of.format('classification')}"), "ok\nok", "then all is well")
ok(int(server.psql("SELECT failures FROM harca.stat_models WHERE role = 'active' AND current", DB)) >= 3, "the failures are counted")
ok(int(server.psql("SELECT answers FROM harca.stat_models WHERE role = 'fallback' AND current", DB)) >= 10, "and the answers of the previous model")

# A model that is damaged in its table, as by a superuser or a bad disk.
server.psql("SELECT harca.activate_model('good 1', force => true)", DB)
session.psql("SELECT pg_sleep(1.1)")
is_(session.psql(WHO), "good 1", "a sound model")
DAMAGES = {
    "a flipped bit in the table": ("UPDATE harca.model SET graph = set_byte(graph, 500, get_byte(graph, 500) # 1)", "sha256"),
    "another manifest in the table": ("UPDATE harca.model SET manifest = (manifest::jsonb || '{\"calibration\": {\"method\": \"temperature\", \"temperature\": 2}}')::json", "manifest"),
    "a row that was deleted": ("DELETE FROM harca.model", "not registered"),
}
for what, (damage, reason) in DAMAGES.items():
    server.psql("CREATE TABLE IF NOT EXISTS kept AS TABLE harca.model", DB)
    server.psql(f"{damage} WHERE model = 'good 1'", DB)
    broken = server.session(DB)
    output = broken.psql(WHO)
    is_((output.splitlines()[-1] != "good 1", output.count("WARNING:") >= 1), (True, True), f"{what}: another one answers")
    like(broken.psql("SELECT state, detail FROM harca.health() WHERE component = 'active model'"), rf"^failed\|.*{reason}", f"{what}: health() says why")
    server.psql("DELETE FROM harca.model WHERE model = 'good 1'; INSERT INTO harca.model SELECT * FROM kept WHERE model = 'good 1'; DROP TABLE kept", DB)
    is_(broken.psql(WHO), "good 1", f"{what}: mended, it answers at the next statement")
    broken.close()
is_(server.psql("SELECT harca.drop_model('fickle 1'); SELECT count(*) FROM harca.model", DB) if server.sqlstate("SELECT harca.drop_model('fickle 1')", DB) != "55006" else "in use", "in use", "the previous model cannot be dropped")
is_(server.sqlstate("SELECT harca.drop_model('good 1')", DB), "55006", "nor can the active one")
is_(server.sqlstate("SELECT harca.drop_model('builtin')", DB), "55000", "nor the built-in one")

# Nobody but the role may do any of this.
server.psql("CREATE ROLE guest LOGIN; CREATE ROLE ml LOGIN IN ROLE harca_admin; CREATE ROLE watcher LOGIN IN ROLE pg_monitor", DB)
for sql in (
    registration(good), "SELECT harca.activate_model('builtin')", "SELECT harca.rollback_model()", "SELECT harca.compare_model('good 1')",
    "SELECT harca.stop_comparison()", "SELECT harca.drop_model('good 1')", "SELECT harca.evaluate_model('builtin', 'SELECT 1, 2')",
    "SELECT harca.health()", "TABLE harca.models", "TABLE harca.stat_models", "TABLE harca.drift", "TABLE harca.model", "TABLE harca.query_log",
    "SELECT harca.forget_queries()", "SELECT harca.export_training_data()", "SELECT harca.set_drift_reference()", "TABLE harca.labelled_query",
    "SELECT harca.deploy('builtin', NULL, NULL, NULL, NULL)", "SELECT harca.measure_models('{builtin}', 'SELECT 1, 2')",
    "SELECT harca.inspect_model('{}', '')", "INSERT INTO harca.deployment VALUES (true, 'x')", "SELECT harca.announce_deployment()",
):  # fmt: skip
    is_(server.sqlstate(sql, DB, "guest"), "42501", f"a guest may not: {sql[:60]}")
for sql in ("UPDATE harca.model SET graph = ''", "UPDATE harca.deployment SET active = 'x'", "SELECT harca.deploy('x', NULL, NULL, NULL, NULL)",
            "TABLE harca.query_log", "SELECT graph FROM harca.model"):  # fmt: skip
    is_(server.sqlstate(sql, DB, "ml"), "42501", f"nor may harca_admin past its functions: {sql[:60]}")
for sql in ("SELECT harca.health()", "TABLE harca.models", "TABLE harca.stat_models", "TABLE harca.drift"):
    is_((server.sqlstate(sql, DB, "ml"), server.sqlstate(sql, DB, "watcher")), (None, None), f"harca_admin and pg_monitor may: {sql}")
is_(server.sqlstate("SELECT harca.activate_model('builtin', true)", DB, "watcher"), "42501", "pg_monitor changes nothing")
server.psql("CREATE SCHEMA trap; CREATE FUNCTION trap.unnest(text[]) RETURNS SETOF text LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''trapped''; END';"
            "CREATE FUNCTION trap.array_append(text[], text) RETURNS text[] LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''trapped''; END';"
            "CREATE OPERATOR trap.|| (FUNCTION = trap.array_append, LEFTARG = text[], RIGHTARG = text)", DB)  # fmt: skip
server.psql("GRANT USAGE ON SCHEMA trap TO PUBLIC; CREATE TABLE judged (query text, label text); INSERT INTO judged VALUES ('zebra', 'keyword'); GRANT SELECT ON judged TO ml", DB)
is_(server.psql("SET search_path = trap, public, pg_catalog; SELECT count(*) FROM harca.evaluate_model('builtin', 'SELECT query, label FROM judged')", DB, "ml"), "2",
    "evaluate_model finds the caller's tables and none of its functions")  # fmt: skip
is_(server.postmaster_pid(), postmaster, "the server has lived through all of it")
ok("PANIC" not in server.log() and "terminated by signal" not in server.log(), "no backend has crashed")
done()
