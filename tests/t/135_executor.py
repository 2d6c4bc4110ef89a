#!/usr/bin/env python3
"""Two ways to run a model: the extension's own code, which needs no ONNX Runtime, and ONNX Runtime. Both answer alike."""

import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, like, ok  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
DB = "harca_executor"
server = Server.attach()
server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE; CREATE TABLE question (id serial, query text)", DB)
with open(ROOT / "tests/data/quality_queries.tsv", encoding="utf-8") as file:
    queries = [line.split("\t")[0].replace("'", "''") for line in file.readlines()[1:]]
server.psql("INSERT INTO question (query) VALUES " + ",".join(f"('{query}')" for query in queries), DB)
# Two executors round in other places: the types are equal, and the confidence to the third digit but for a few.
TYPES = "SELECT md5(string_agg(query_type(query), ',' ORDER BY id)) FROM question"
SURE = "SELECT sum((classify_query(query)).confidence) FROM question"


def has_runtime(session):
    return "libonnxruntime" in Path(f"/proc/{session.pid}/maps").read_text()


own = server.session(DB)
types, sure = own.psql(TYPES), float(own.psql(SURE))
is_(has_runtime(own), False, "the built-in model runs without ONNX Runtime")
is_(
    own.psql("SELECT state, runtime_version IS NULL, threads, inferences > 0, rule_answers FROM harca.backend_status()"),
    "ready|t|1|t|0",
    "and backend_status says so",
)
batch = "SELECT md5(string_agg(query_type, ',' ORDER BY ordinality)) FROM classify_queries((SELECT array_agg(query ORDER BY id) FROM question))"
own.psql("SET pg_harca.local_cache_size = 0")
is_(own.psql(batch), types, "a batch has the same types")

other = server.session(DB)
other.psql("SET pg_harca.executor = onnxruntime")
is_(other.psql(TYPES), types, "ONNX Runtime has the same types")
ok(abs(float(other.psql(SURE)) - sure) < 1e-3 * len(queries), "and is as sure")
ok(has_runtime(other), "it was there")
other.psql("RESET pg_harca.executor; SET pg_harca.local_cache_size = 0")
before = int(other.psql("SELECT inferences FROM harca.backend_status()"))
is_(other.psql(TYPES), types, "a session may change from one to the other")
is_(int(other.psql("SELECT inferences FROM harca.backend_status()")) - before, len(queries), "and back, without a word of the rules")
other.close()

# A runtime that cannot be had is of no consequence to a model that takes none.
own.psql("SET pg_harca.onnxruntime_path = '/nowhere.so'")
is_(own.psql(TYPES), types, "without any ONNX Runtime: the same types")
own.psql("SET pg_harca.executor = onnxruntime")
like(own.psql("SELECT (classify_query('why is this slow')).model"), "rules$", "unless it is asked for: then the rules answer")
own.close()

# A trained model of other labels is such a network, too; a graph of another kind is not.
folder = server.folder / "executor_models"
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(mode=0o755)
shutil.copytree(ROOT / "tests/data/four_labels", folder / "four_labels")
session = server.session(DB)
session.psql(f"SET pg_harca.model = '{folder}/four_labels'")
session.psql("SELECT query_type('how can i turn off the camera light')")
is_((has_runtime(session), session.psql("SELECT count(*) FROM harca.labels()")), (False, "4"), "a model of harca_train needs no runtime")
session.close()
is_(server.sqlstate("SET pg_harca.executor = tract", DB), "22023", "there are two executors")
server.psql(f"DROP ROLE IF EXISTS harca_executor_user; CREATE ROLE harca_executor_user LOGIN")
is_(server.sqlstate("SET pg_harca.executor = onnxruntime", DB, "harca_executor_user"), "42501", "which a superuser chooses")
done()
