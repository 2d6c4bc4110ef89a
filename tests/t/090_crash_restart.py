#!/usr/bin/env python3
"""Classification and search go on as before after crashes, restarts, errors, rollbacks and DISCARD ALL."""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import PgError, Server, done, is_, like, ok  # noqa: E402

DB = "harca_crash"
server = Server(f"test-crash-{os.getpid()}", settings={"shared_preload_libraries": "pg_harca"})
server.start()
server.psql(f"CREATE DATABASE {DB}")
server.psql(
    """
    CREATE EXTENSION pg_harca CASCADE;
    CREATE TABLE log AS SELECT i, (ARRAY['why is report %s late', 'report %s', 'causes of delay %s', '報告 %s', '報告 %s が遅れた理由は何ですか'])[1 + i % 5] AS pattern, i % 300 AS n
    FROM generate_series(1, 20000) AS i;
    ALTER TABLE log ADD COLUMN query text;
    UPDATE log SET query = format(pattern, n);
    CREATE TABLE memory (id integer PRIMARY KEY, content text, tsv tsvector, embedding vector(2));
    INSERT INTO memory VALUES (1, 'harbour plan', to_tsvector('harca', 'harbour plan'), '[1,0]'), (2, '昼食', to_tsvector('harca', '昼食'), '[0,1]');
    SELECT harca.register_search_target('memory', 'memory', vector_weight => 0.6);
    UPDATE harca.search_profile SET vector_weight = 0.125 WHERE query_type = 'keyword';
    VACUUM ANALYZE log
    """,
    DB,
)
QUERY = "why are my searches slow"
ONE = f"SELECT query_type, confidence, scores, model FROM classify_query('{QUERY}')"
ALL = "SELECT md5(string_agg(query_type(query) || (classify_query(query)).confidence::numeric(4, 3), ',' ORDER BY i)) FROM log"
SEARCH = "SELECT id, vector_rank, keyword_rank, vector_weight FROM hybrid_search('memory', 'harbour', '[1,0]', options => '{\"vector_weight\": 0.5}')"
one, everything, search = (server.psql(sql, DB) for sql in (ONE, ALL, SEARCH))
like(one, r"^semantic\|.*query_type ", "the model answers")
is_(search, "1|1|1|0.5\n2|2||0.5", "and a search")


def same(what):
    is_(
        tuple(server.psql(sql, DB) for sql in (ONE, ALL, SEARCH)),
        (one, everything, search),
        f"{what}: the same answers as before",
    )


# A backend dies in the midst of its work.
for name, statement in (
    ("query_type", "SELECT count(query_type('how do I find number ' || i)) FROM generate_series(1, 10000000) AS i"),
    (
        "classify_queries",
        "SELECT count(*) FROM classify_queries(ARRAY(SELECT 'how do I find number ' || i FROM generate_series(1, 1000000) AS i))",
    ),
):
    postmaster, victim, bystander = server.postmaster_pid(), server.session(DB), server.session(DB)
    bystander.psql(ONE)
    victim.send(statement)
    time.sleep(1)
    server.kill(victim.pid, signal.SIGKILL)
    try:
        victim.wait(30)
        ok(False, f"kill -9 during {name}: the session is gone")
    except PgError as error:
        like(error.stderr, "terminated|closed|connection", f"kill -9 during {name}: the session is gone")
    # The server ends all sessions when one dies like that; until it has, it has not begun to recover.
    ended, deadline = False, time.monotonic() + 20
    while not ended and time.monotonic() < deadline:
        try:
            bystander.psql("SELECT pg_sleep(0.01)")
        except PgError:
            ended = True
    ok(ended, f"kill -9 during {name}: the other sessions are ended")
    ok(server.wait_ready(), f"kill -9 during {name}: the server recovers")
    is_(server.postmaster_pid(), postmaster, f"kill -9 during {name}: under the same postmaster")
    same(f"kill -9 during {name}")
    bystander.process.kill()
server.kill()
server.restart()
same("after the postmaster was killed")
server.restart("immediate")
same("after an immediate restart")
server.restart()
same("after a restart")
server.configure(shared_preload_libraries="").restart()
same("without preload")
server.configure(shared_preload_libraries="pg_harca").restart()

# One session: errors, rollbacks, DISCARD; the model that it has loaded itself stays loaded, which the counts show.
server.configure(pg_harca__cache_size="0", pg_harca__preload_session="off").restart()
session = server.session(DB)


def status(columns="state, inferences"):
    return session.psql(f"SELECT {columns} FROM harca.backend_status()")


def state(sql):
    try:
        session.psql(sql)
    except PgError as error:
        return error.sqlstate
    return None


is_(status(), "not loaded|0", "a session begins without a model")
session.psql(ONE)
is_(status(), "ready|1", "the first query loads it")
is_(
    state("SELECT query_type('a new one'), 1 / (n - n) FROM generate_series(1, 1) AS n"),
    "22012",
    "an error beside a classification",
)
is_(
    state(
        "SELECT query_type, 1 / (ordinality - 150) FROM classify_queries(ARRAY(SELECT 'element ' || i FROM generate_series(1, 300) AS i))"
    ),
    "22012",
    "an error among the rows of classify_queries",
)
is_(status(), "ready|302", "the model is the same: it goes on counting")
is_(
    state("SELECT 1 / (ordinality - 150) FROM classify_queries(ARRAY(SELECT 'element ' || i FROM generate_series(1, 300) AS i))"),
    "22012",
    "the same again",
)
is_(status(), "ready|302", "is answered by the cache: what was classified before an error counts")
session.psql("DISCARD ALL")
is_(session.psql(ONE), one, "DISCARD ALL: the same answer")
is_(status(), "ready|302", "DISCARD ALL: from the same model and cache")
is_(state("BEGIN; SELECT query_type('in a transaction'); SELECT 1 / 0"), "22012", "an error ends a transaction")
is_(state(ONE), "25P02", "in which nothing is answered")
session.psql("ROLLBACK")
is_(
    session.psql(f"BEGIN; SAVEPOINT s; {ONE}; ROLLBACK TO s; {ONE}; ROLLBACK; {ONE}"),
    "\n".join([one] * 3),
    "savepoints and rollbacks",
)
caught = "DO $$BEGIN FOR i IN 1..100 LOOP BEGIN PERFORM query_type('item ' || i); PERFORM query_type, 1 / (ordinality - 2) FROM classify_queries(ARRAY['a b', 'c d']); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END$$"
is_(session.psql(f"{caught}; {ONE}"), one, "a hundred errors in subtransactions")
is_(status("state, inferences, threads"), "ready|405|1", "and the model has run on what was new")

# Settings for a transaction.
LOCAL = "BEGIN; SET LOCAL {}; SELECT model, scores FROM classify_query('東京 天気'); {}; SELECT model, scores FROM classify_query('東京 天気')"
usual = session.psql("SELECT model, scores FROM classify_query('東京 天気')")
for end in ("COMMIT", "ROLLBACK"):
    inside, _, after = session.psql(LOCAL.format("pg_harca.enabled = off", end)).partition("\n")
    is_((inside.split("|")[0], after), ("rules", usual), f"SET LOCAL pg_harca.enabled, {end}")
    inside, _, after = session.psql(LOCAL.format("pg_harca.model = query_type", end)).partition("\n")
    is_((inside, after), (usual, usual), f"SET LOCAL pg_harca.model, {end}")
long_ = "how do I find it? " * 20
text = session.psql(
    f"BEGIN; SET LOCAL pg_harca.max_query_chars = 16; SELECT scores FROM classify_query('{long_}'); COMMIT; SELECT scores FROM classify_query('{long_}')"
).split("\n")
is_(
    text[0],
    session.psql("SELECT scores FROM classify_query('how do I find it')"),
    "SET LOCAL pg_harca.max_query_chars: as the text cut by hand",
)
ok(text[1] != text[0], "and whole again after it")
session.psql("BEGIN; SET LOCAL pg_harca.local_cache_size = 0; SELECT query_type('x y'); COMMIT; SELECT query_type('x y')")
is_(status("cache_entries"), "1", "SET LOCAL pg_harca.local_cache_size: an empty cache, filled again after it")

session.close()
done()
