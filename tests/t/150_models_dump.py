#!/usr/bin/env python3
"""A dump and its restore keep the registry, what is deployed, evaluations, profiles and settings."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, ok, skip  # noqa: E402
from harness.registry import load_labelled, registration, trained  # noqa: E402

DB = "harca_models_dump"
server = Server(f"test-models-dump-{os.getpid()}")
other = Server(f"test-models-restore-{os.getpid()}")
server.start()
if not (server.bindir / "pg_dump").exists():
    skip("dump and restore of the registry", "this installation has no pg_dump")
    done()
server.psql(f"CREATE DATABASE {DB}")
server.psql(
    """
    CREATE EXTENSION pg_harca CASCADE;
    CREATE TABLE memory (id integer PRIMARY KEY, content text, tsv tsvector, embedding vector(2));
    SELECT harca.register_search_target('memory', 'memory', vector_weight => 0.6);
    UPDATE harca.search_profile SET vector_weight = 0.125 WHERE query_type = 'keyword';
    INSERT INTO harca.labelled_query (query, label) VALUES ('harbour plan', 'keyword');
    """,
    DB,
)
server.psql(f"ALTER DATABASE {DB} SET pg_harca.min_confidence = 0.25; ALTER DATABASE {DB} SET pg_harca.max_accuracy_drop = 0.05")
load_labelled(server, DB)
for version, share in (("1", 0.4), ("2", 1.0)):
    server.psql(registration(trained("kept", version, share)), DB)
server.psql("SELECT harca.activate_model('kept 1', force => true); SELECT harca.evaluate_model('kept 2', 'TABLE judged'); SELECT harca.activate_model('kept 2', force => true)", DB)
server.psql("SELECT harca.compare_model('kept 1', 'canary', 0.25)", DB)
server.psql("SELECT query_type('how is report ' || i || ' made') FROM generate_series(1, 1000) AS i; SELECT harca.set_drift_reference()", DB)
LISTED = """
    SELECT model, identity, md5(graph), manifest, labels, metrics, registered_at, registered_by FROM harca.model ORDER BY 1;
    TABLE harca.deployment; TABLE harca.model_activation; SELECT * FROM harca.model_evaluation ORDER BY evaluated_at, model;
    TABLE harca.drift_reference; TABLE harca.labelled_query; SELECT * FROM harca.search_profile ORDER BY 1, 2;
    SELECT model, status FROM harca.models ORDER BY 1; SHOW pg_harca.min_confidence; SHOW pg_harca.max_accuracy_drop"""
ANSWERS = "SELECT query_type, confidence, model FROM generate_series(1, 40) AS i, LATERAL classify_query('how is report ' || i || ' made')"
listed, answers = server.psql(LISTED, DB), server.psql(ANSWERS, DB)
ok("|kept 2" in answers, "the active model has answered")
other.start()
for format_ in ("custom", "plain", "plain as INSERTs"):
    file = server.folder / f"dump-{format_[0]}"
    server.as_server("pg_dump", "-C", "-F", format_[0], "-f", file, *(["--inserts"] if "INSERT" in format_ else []), DB)
    file.chmod(0o644)
    copied = other.folder / "dump"
    copied.write_bytes(file.read_bytes())
    copied.chmod(0o644)
    other.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
    if format_ == "custom":
        other.as_server("pg_restore", "-e", "-C", "-d", "postgres", copied)
    else:
        other.as_server("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-f", copied)
    is_(other.psql(LISTED, DB), listed, f"dump as {format_}: registry, deployment, evaluations, profiles and settings are kept")
    is_(other.psql(ANSWERS, DB), answers, f"dump as {format_}: and the same models give the same answers")
is_(other.psql("SELECT harca.rollback_model()", DB), "kept 1", "the activation can be rolled back there")
is_(other.psql("SELECT count(*) FROM pg_roles WHERE rolname IN ('harca_admin', 'harca_query_log')"), "2", "the roles are there, too")
done()
