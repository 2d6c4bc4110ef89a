#!/usr/bin/env python3
"""A cancel, a timeout or a termination ends a long classification in the midst of its work, and leaves a session, or a server, that works."""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import PgError, Server, done, is_, like, ok  # noqa: E402

server = Server.attach()
DB = "harca_cancel"
ROWS = 1000000
server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
server.psql(f"CREATE DATABASE {DB}")
server.psql(
    f"""
    CREATE EXTENSION pg_harca CASCADE;
    -- Every element differs, or the cache would answer; long enough for the model to have work.
    CREATE UNLOGGED TABLE batch (queries text[]);
    ALTER TABLE batch ALTER queries SET STORAGE EXTERNAL;  -- so that little time goes into decompression
    INSERT INTO batch SELECT array_agg('how do I find the report number ' || i || ' of the year ' || i % 100) AS queries FROM generate_series(1, {ROWS}) AS i;
    CREATE UNLOGGED TABLE long_batch AS
    SELECT array_agg(i || repeat(' which of these reports', 400)) AS queries FROM generate_series(1, 3000) AS i;
    """,
    DB,
)
QUERY = "why are my searches slow"
expected = server.psql(f"SELECT query_type, scores FROM classify_query('{QUERY}')", DB)
like(expected, "^semantic", "the model answers")

STATEMENTS = {
    "classify_queries over 1,000,000 elements": "SELECT count(*) FROM batch, classify_queries(queries)",
    "classify_queries in a select list": "SELECT classify_queries(queries) FROM batch",
    "query_type over 1,000,000 rows": f"SELECT count(query_type('how do I find the report number ' || i)) FROM generate_series(1, {ROWS}) AS i",
    "classify_query over 1,000,000 rows": f"SELECT max((classify_query('how do I find the report number ' || i)).confidence) FROM generate_series(1, {ROWS}) AS i",
    "classify_queries over long texts": "SELECT count(*) FROM long_batch, generate_series(1, 100) AS i, LATERAL classify_queries(ARRAY(SELECT i || q FROM unnest(queries) AS q))",
}


def ended(session):
    """Waits for the error; its SQLSTATE."""
    try:
        session.wait(120)
    except PgError as error:
        return error.sqlstate
    return "no error"


def inferences(session):
    return int(session.psql("SELECT inferences FROM harca.backend_status()"))


def works(session):
    """Whether the session answers as a fresh one does, also in a batch."""
    found = session.psql(
        f"SELECT query_type, scores FROM classify_query('{QUERY}'); SELECT query_type, scores FROM classify_queries(ARRAY['x y', '{QUERY}']) WHERE ordinality = 2"
    )
    return found == f"{expected}\n{expected}"


for what, statement in STATEMENTS.items():
    session = server.session(DB)
    session.psql(f"SET pg_harca.local_cache_size = 100; SELECT query_type('{QUERY} indeed')")
    states, ran = [], []
    wait = 0.6
    while len(ran) < 5 and wait < 60:
        session.psql("SELECT harca.reset_local_cache()")
        before = inferences(session)
        session.send(statement)
        time.sleep(wait)
        server.kill(session.pid, signal.SIGINT)
        states.append(ended(session))
        classified = inferences(session) - before
        if classified > 0:
            ran.append(classified)
            wait = 0.6 + len(ran) / 10
        else:
            wait *= 2  # On a busy machine it had not begun.
    is_(set(states), {"57014"}, f"cancel of {what}: SQLSTATE")
    ok(len(ran) == 5 and all(n < ROWS for n in ran), f"cancel of {what}: it was at work (after {ran} inferences)")
    ok(works(session), f"cancel of {what}: the session works")
    session.close()

for what in ("classify_queries over 1,000,000 elements", "query_type over 1,000,000 rows"):
    session = server.session(DB)
    states, ran = [], []
    for limit in (500, 600, 700, 800, 900):
        before = inferences(session)
        session.psql(f"SET statement_timeout = '{limit}ms'")
        session.send(STATEMENTS[what])
        states.append(ended(session))
        session.psql("RESET statement_timeout")
        ran.append(inferences(session) - before)
    is_(set(states), {"57014"}, f"statement_timeout in {what}: SQLSTATE")
    ok(all(n < ROWS for n in ran), f"statement_timeout in {what}: it ends before its work is done (after {ran} inferences)")
    ok(works(session), f"statement_timeout in {what}: the session works")
    session.close()

# As a user does it, from another session, with a transaction that goes on from a savepoint.
session, other = server.session(DB), server.session(DB)
session.psql("BEGIN; CREATE TABLE kept AS SELECT 1 AS n; SAVEPOINT before")
session.send(STATEMENTS["classify_queries over 1,000,000 elements"])
time.sleep(0.5)
is_(other.psql(f"SELECT pg_cancel_backend({session.pid})"), "t", "pg_cancel_backend")
is_(ended(session), "57014", "ends it")
session.psql("ROLLBACK TO before")
ok(works(session), "after the savepoint the session works")
session.psql("COMMIT")
is_(other.psql("SELECT n FROM kept"), "1", "and its transaction commits")
is_(session.psql("SELECT state, threads FROM harca.backend_status()"), "ready|1", "with its model, and one thread")
# The tuplestore's files go with the statement.
is_(session.psql("SELECT count(*) FROM pg_ls_tmpdir()"), "0", "no temporary file is left")

postmaster = server.postmaster_pid()
states = []
for _ in range(3):
    victim = server.session(DB)
    victim.send(STATEMENTS["classify_queries over 1,000,000 elements"])
    time.sleep(0.6)
    server.kill(victim.pid, signal.SIGTERM)
    states.append(ended(victim))
is_(set(states), {"57P01"}, "pg_terminate_backend of classify_queries")
is_(server.postmaster_pid(), postmaster, "the server is up")
ok(works(session) and works(other), "and the other sessions work")
session.close()
other.close()
server.psql(f"DROP DATABASE {DB} WITH (FORCE)")
done()
