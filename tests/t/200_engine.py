#!/usr/bin/env python3
"""The engine beside the server: a transformer is registered, asked by its name, activated, compared and dropped; and what the server tells of the engine."""

import json
import math
import os
import shutil
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, like, ok  # noqa: E402
from harness.onnx import affine, slow_beyond  # noqa: E402
from harness.registry import literal, with_graph  # noqa: E402
from harness.registry import registration as registration_of_network  # noqa: E402
from harness.transformer import EXPECTED, GRAPH, LABELS, TINY, TOKENIZER, embedding, manifest, registration, until  # noqa: E402

DB = "harca_engine"
server = Server(f"test-engine-{os.getpid()}", settings={"shared_preload_libraries": "pg_harca", "pg_harca.max_latency": "0"})
server.start()
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE", DB)


def sql(statement):
    return server.psql(statement, DB)


def refused(statement):
    return server.refused(statement, DB)


def softmax(logits):
    highest = max(logits)
    powers = [math.exp(logit - highest) for logit in logits]
    return [power / sum(powers) for power in powers]


def right(scores, row):
    found = [float(score) for score in scores.strip("{}").split(",")]
    return all(abs(a - b) < 1e-4 for a, b in zip(found, softmax(row["logits"]), strict=True))


ok(until(server, "(SELECT state FROM harca.engine_status()) = 'running'", DB), "a preloaded library starts the engine with the server")
like(sql("SELECT detail FROM harca.health() WHERE component = 'engine'"), r"0 models in \d+ MB", "health tells how it is")
socket = f"{sql('SHOW data_directory')}/pg_harca_engine.sock"
mode = os.lstat(socket).st_mode
ok(stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600, "the socket is for the server's user alone")

is_(sql(registration(manifest())), "tiny 1", "a model with a tokenizer is registered")
is_(sql("SELECT status, executor, task, labels FROM harca.models WHERE model = 'tiny 1'"),
    "registered|engine|classification|{keyword,semantic,hybrid,unknown}", "and shown")  # fmt: skip
for row in EXPECTED[:6]:
    found = sql(f"SELECT scores FROM harca.classify({literal(row['text'])}, 'tiny')")
    ok(right(found, row), f"asked by name, it gives what the runtime gives: {row['text'][:20]}")
# A single letter holds nothing to search for.
ASKED = [row for row in EXPECTED if len(row["text"]) > 1]
texts = "ARRAY[" + ",".join(literal(row["text"]) for row in ASKED) + ", NULL, '?!']"
found = [line.split("|") for line in sql(f"SELECT ordinality, query_type, scores FROM harca.classify({texts}, 'tiny 1')").splitlines()]
ok(all(right(line[2], row) for line, row in zip(found, ASKED, strict=False)), "many at once, too")
is_([line[1] for line in found[len(ASKED):]], ["", "unknown"], "null gives nulls, and what holds nothing to search for is unknown")
is_(sql("SELECT query_type FROM harca.classify('東京 天気', 'builtin')"), "keyword", "other models are asked by their names as well")
is_(refused("SELECT harca.classify('x', 'nobody')")[0], "58P01", "a model that is not there is an error")

is_(sql("SELECT harca.activate_model('tiny', true)"), "tiny 1", "it is activated")
row = EXPECTED[1]
is_(sql(f"SELECT model FROM classify_query({literal(row['text'])})"), "tiny 1", "and answers")
ok(right(sql(f"SELECT scores FROM classify_query({literal(row['text'])})"), row), "as the runtime does")
found = sql(f"SELECT scores FROM classify_queries({texts})").splitlines()
ok(all(right(line, row) for line, row in zip(found, ASKED, strict=False)), "many queries at once, too")
is_(sql("SELECT state FROM harca.health() WHERE component = 'active model'"), "ok", "it is well")
is_(sql("SELECT string_agg(label, ',' ORDER BY ordinality) FROM harca.labels()"), ",".join(LABELS), "its labels are those of its types")
is_(sql("SELECT count(*) > 0 FROM harca.stat_inference WHERE model = 'tiny 1'"), "t", "its runs are counted")
found = sql("SELECT state, requests > 0, failed, tokens > 0, provider FROM harca.stat_engine WHERE model = 'tiny 1' AND priority = 'interactive'")
is_(found, "ready|t|0|t|cpu", "by the engine as well")

types = {"keyword": "code", "hybrid": "code", "semantic": "prose", "unknown": "noise"}
scores = softmax(EXPECTED[0]["logits"])
golden = [{"query": EXPECTED[0]["text"], "type": "code"}]
sql(registration(manifest("mapped", query_types=types, golden=golden)))
found = sql(f"SELECT scores FROM harca.classify({literal(EXPECTED[0]['text'])}, 'mapped')").strip("{}").split(",")
ok(abs(float(found[0]) - scores[0] - scores[2]) < 1e-4 and len(found) == 3, "labels that stand for one type add up")

sql("SELECT harca.activate_model('builtin', true)")
sql("SELECT harca.compare_model('tiny', 'shadow')")
ask = f"SELECT model, query_type FROM classify_query({literal('how do I grind coffee at home')})"
is_(sql(ask).split("|")[1], "semantic", "in the shadow it does not answer")
is_(sql("SELECT answers > 0 FROM harca.stat_models WHERE model = 'tiny 1' AND role = 'shadow'"), "t", "but is asked")
sql("SELECT harca.stop_comparison()")

is_(sql(registration(embedding())), "tiny embedding 1", "a model that gives vectors is registered")
is_(sql("SELECT task, labels FROM harca.models WHERE name = 'tiny embedding'"), "embedding|{}", "with its task")
is_(refused("SELECT harca.activate_model('tiny embedding', true)")[0], "42809", "it cannot be activated")
is_(refused("SELECT harca.compare_model('tiny embedding')")[0], "42809", "nor compared")
is_(refused("SELECT harca.classify('x', 'tiny embedding')")[0], "42804", "nor asked for a type")

for what, statement, sqlstate, part in [
    ("a graph of another digest", registration(manifest(), graph=GRAPH + b"x"), "22023", "sha256 of model.onnx"),
    ("a tokenizer of another digest", registration(manifest(), tokenizer=TOKENIZER + b" "), "22023", "sha256 of tokenizer.json"),
    ("a classification without golden queries", registration(manifest(golden=[])), "22023", "golden"),
    ("a golden query that it gets wrong", registration(manifest(golden=[{"query": "x", "type": t} for t in LABELS])), "38000", "expected"),
    ("another input", registration(manifest(inputs={"ids": "words"})), "38000", "its inputs are"),
    ("another output", registration(manifest(output="scores")), "38000", "not among them"),
    ("a tokenizer that is none", registration(manifest(tokenizer=b"{}"), tokenizer=b"{}"), "38000", "tokenizer"),
    ("the name of another one", registration(manifest()), "42710", "exists"),
]:
    state, text = refused(statement)
    ok(state == sqlstate and part in text, f"refused: {what} ({state})")

copied = server.folder / "hub/tiny-bert"
shutil.copytree(TINY, copied)
subprocess.run(["chmod", "-R", "a+rX", server.folder / "hub"], check=True)
changes = json.dumps({"golden": manifest()["golden"], "version": "7"})
is_(sql(f"SELECT harca.import_model({literal(copied)}, {literal(changes)})"), "tiny-bert 7", "a folder as model hubs lay it out is imported")
ok(right(sql(f"SELECT scores FROM harca.classify({literal(row['text'])}, 'tiny-bert')"), row), "and runs")
is_(refused(f"SELECT harca.import_model({literal(copied)}, '{{}}')")[0], "22023", "without golden queries it is refused")
is_(refused("SELECT harca.import_model('/nowhere')")[0], "58P01", "as is a folder that is not there")
sql("CREATE ROLE librarian LOGIN IN ROLE harca_admin")
is_(server.sqlstate(f"SELECT harca.import_model({literal(copied)}, {literal(changes)})", DB, "librarian"), "42501", "files of the server are not for every administrator of models")

before = sql("SELECT pid FROM harca.engine_status()")
is_(sql("SELECT harca.restart_engine()"), "t", "it is restarted")
ok(until(server, f"SELECT e.state = 'running' AND e.pid <> {before} AND e.restarts = 1 FROM harca.engine_status() AS e", DB), "and is another process then")
ok(right(sql(f"SELECT scores FROM harca.classify({literal(row['text'])}, 'tiny')"), row), "a model is brought again")

sql("SELECT harca.activate_model('tiny', true)")
before = sql("SELECT pid FROM harca.engine_status()")
sql("SELECT harca.restart_engine()")
LOADED = f"(SELECT coalesce(e.pid <> {before} AND 'tiny 1' = ANY (e.models_loaded), false) FROM harca.engine_status() AS e)"
ok(until(server, LOADED, DB), "a model that the deployment names is there before anybody asks for it")
sql("SELECT harca.activate_model('builtin', true)")
server.psql("CREATE DATABASE short_lived")
server.psql("CREATE EXTENSION pg_harca CASCADE", "short_lived")
server.psql(registration(manifest(version="of another database")), "short_lived")
oid = sql("SELECT oid FROM pg_database WHERE datname = 'short_lived'")
KNOWN = f"pg_read_file('pg_harca_engine.databases') ~ '(?n)^{oid} '"
is_(sql(f"SELECT {KNOWN}"), "t", "a database whose models it has run is remembered")
server.psql("DROP DATABASE short_lived")
sql("SELECT harca.restart_engine()")
ok(until(server, f"NOT {KNOWN}", DB), "one that is gone is forgotten")
ok(until(server, "(SELECT e.state = 'running' FROM harca.engine_status() AS e)", DB), "and the engine runs")

server.configure(**{"pg_harca.engine": "off"})
server.reload()
ok(until(server, "(SELECT state FROM harca.engine_status()) = 'off'", DB), "it is switched off")
is_(refused("SELECT harca.classify('what is this', 'tiny')")[0], "55000", "then a model that needs it cannot be asked")
sql("SELECT harca.activate_model('tiny', true)")
is_(sql("SELECT query_type FROM classify_query('東京 天気')"), "keyword", "and a classification takes the previous model")
like(sql("SELECT detail FROM harca.health() WHERE component = 'active model'"), "pg_harca.engine is off", "health says why")
is_(sql("SELECT query_type, model LIKE 'query_type%' FROM harca.classify('東京 天気', 'builtin')"), "keyword|t", "what a backend runs itself is as it was")
server.configure(**{"pg_harca.engine": "on"})
server.reload()
ok(until(server, "(SELECT state FROM harca.engine_status()) = 'running'", DB), "it is switched on again")
ok(until(server, "(SELECT model FROM classify_query('a question after the engine is back')) = 'tiny 1'", DB), "and the model answers again")

user = "CREATE ROLE somebody LOGIN; GRANT USAGE ON SCHEMA public TO somebody"
sql(user)
for call in ("harca.restart_engine()", "harca.release_model('tiny')", "harca.engine_status()", f"harca.inspect_model('{{}}', '', '')"):
    is_(server.sqlstate(f"SELECT {call}", DB, "somebody"), "42501", f"not for everybody: {call}")
is_(server.psql("SELECT query_type IS NOT NULL FROM harca.classify('x y', 'tiny')", DB, "somebody"), "t", "but to ask a model is")

sql(registration_of_network(with_graph(affine([0, 0], [1, 0]), "quick")))
sql(registration_of_network(with_graph(slow_beyond(0), "slow")))
sql(registration_of_network(with_graph(affine([0, 0], [1, 0], unused=17 << 18), "large")))
for model, placement, asked in [
    ("quick", "auto", 0), ("slow", "backend", 0), ("large", "backend", 0), ("slow", "auto", 1), ("large", "auto", 1), ("quick", "engine", 1),
]:  # fmt: skip
    sql(f"SET pg_harca.placement = {placement}; SELECT harca.classify('a zebra', '{model}')")
    found = sql(f"SELECT coalesce(sum(requests), 0) FROM harca.stat_engine WHERE model = '{model} 1'")
    is_(found, str(asked), f"placement {placement}: a {model} model runs {'in the engine' if asked else 'in the backend'}")

server.configure(**{"pg_harca.placement": "engine"})
server.reload()
is_(sql("SELECT query_type FROM harca.classify('東京 天気', 'builtin')"), "keyword", "other models run in the engine where that is asked for")
is_(sql("SELECT provider FROM harca.stat_engine WHERE model LIKE 'query_type%' LIMIT 1"), "network", "by the extension's own code there")

pid = int(sql("SELECT pid FROM harca.engine_status()"))
server.stop()
ok(not os.path.exists(f"/proc/{pid}"), "it ends with the server")
server.remove()
done()
