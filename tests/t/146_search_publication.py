#!/usr/bin/env python3
"""A publication of all tables forbids nothing, and a subscriber searches what the publisher has registered, by the vectors too that
the publisher's worker has written."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import PgError, Server, done, is_, ok  # noqa: E402
from harness.transformer import EXPECTED, embedding, registration, until  # noqa: E402

DB = "harca_publication"
SEARCH = "SELECT string_agg(id, ' ' ORDER BY score DESC, id) FROM hybrid_search('memory', 'harbour crane', '[1, 0]')"
MEMORY = """
    CREATE EXTENSION pg_harca CASCADE;
    CREATE TABLE memory (id integer PRIMARY KEY, content text,
                         tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED, embedding vector(2));
"""
# What a subscriber needs to search as the publisher does: the rows, and how they are searched.
SEARCHED = "memory, harca.search_target, harca.search_profile, harca.search_statistics, harca.search_term, harca.search_background"
PATIENCE = 120  # seconds that the test waits for what has to come


def server(name):
    started = Server(f"test-{name}-{os.getpid()}", settings={"wal_level": "logical"})
    started.start()
    started.psql(f"CREATE DATABASE {DB}")
    started.psql(MEMORY, DB)
    return started


publisher, subscriber = server("publisher"), server("subscriber")


def arrives(query, expected):
    """Waits until the subscriber gives what is expected."""
    deadline = time.monotonic() + PATIENCE
    found = None
    while time.monotonic() < deadline:
        found = subscriber.run(query, DB).out
        if found == expected:
            break
        time.sleep(0.05)
    return found


publisher.psql(
    """
    INSERT INTO memory (id, content, embedding)
    SELECT i, CASE i % 3 WHEN 0 THEN 'the harbour' WHEN 1 THEN 'a crane' ELSE 'something else' END, format('[1, %s]', i)::vector
    FROM generate_series(1, 30) AS i;
    SELECT harca.register_search_target('memory', 'memory');
    CREATE PUBLICATION everything FOR ALL TABLES;
    """,
    DB,
)
without = publisher.psql(
    "SELECT string_agg(c.oid::regclass::text, ' ') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = 'harca' AND c.relkind = 'r' AND c.relreplident = 'd'"
    " AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)",
    DB,
)
is_(without, "", "every table of the extension tells its rows apart")
publisher.psql("SELECT harca.record_feedback('memory', 'harbour', '3', embedding => '[1, 0]')", DB)
is_(publisher.psql("WITH gone AS (DELETE FROM harca.search_feedback RETURNING 1) SELECT count(*) FROM gone", DB), "1", "feedback is deleted")
publisher.psql("SELECT harca.record_feedback('memory', 'harbour', '3', embedding => '[1, 0]')", DB)
publisher.psql("SELECT harca.register_search_target('memory', 'memory', replace => true)", DB)
is_(publisher.psql("SELECT count(*) FROM harca.search_feedback", DB), "0", "a target is registered anew")

publisher.psql(f"CREATE PUBLICATION searched FOR TABLE {SEARCHED}", DB)
subscriber.psql(
    f"CREATE SUBSCRIPTION searched CONNECTION 'host={publisher.socket} port={publisher.port} dbname={DB} user=postgres' PUBLICATION searched", DB
)
expected = publisher.psql(SEARCH, DB)
ok(expected.count(" ") > 5, "the publisher searches")
is_(arrives(SEARCH, expected), expected, "the subscriber finds the same")
session = subscriber.session(DB)
is_(session.psql(SEARCH), expected, "in a session of its own")
publisher.psql("INSERT INTO memory (id, content, embedding) VALUES (31, 'harbour crane harbour crane', '[1, 0]')", DB)
first = "SELECT id FROM hybrid_search('memory', 'harbour crane', '[1, 0]', 1)"
is_(arrives(first, "31"), "31", "and a new row")
publisher.psql("UPDATE harca.search_target SET vector_weight = 0.25, calibration = 'off'", DB)
weight = "SELECT vector_weight FROM harca.stat_search_target"
is_(arrives(weight, "0.25"), "0.25", "a weight")
is_(publisher.psql("SELECT harca.drop_search_target('memory')", DB), "t", "a target is dropped")
is_(arrives("SELECT count(*) FROM harca.search_target", "0"), "0", "there too")
try:
    ended = session.psql(SEARCH)
except PgError as error:
    ended = error.sqlstate
is_(ended, "42704", "and a session that has searched knows")
session.close()

WIDTH = len(EXPECTED[0]["vector"])
VECTORS = "SELECT count(embedding) || ' ' || md5(string_agg(id || ' ' || embedding::text, ' ' ORDER BY id)) FROM note"
IN_STEP = "(SELECT state = 'in step' FROM harca.embedding_progress WHERE target = 'note')"
for each in (publisher, subscriber):
    each.psql(
        f"CREATE TABLE note (id integer PRIMARY KEY, content text, embedding vector({WIDTH}),"
        " tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED)", DB
    )  # fmt: skip
publisher.psql(registration(embedding("tiny")), DB)
publisher.psql("INSERT INTO note (id, content) SELECT i, 'note ' || i FROM generate_series(1, 50) AS i; CREATE PUBLICATION notes FOR TABLE note", DB)
subscriber.psql(
    f"CREATE SUBSCRIPTION notes CONNECTION 'host={publisher.socket} port={publisher.port} dbname={DB} user=postgres' PUBLICATION notes", DB
)
publisher.psql("SELECT harca.embed_table('note', 'tiny')", DB)
ok(until(publisher, IN_STEP, DB), "the publisher embeds its rows")
embedded = publisher.psql(VECTORS, DB)
ok(embedded.startswith("50 "), "all of them")
is_(arrives(VECTORS, embedded), embedded, "their vectors arrive")
publisher.psql("UPDATE note SET content = 'another text' WHERE id <= 10; DELETE FROM note WHERE id = 50", DB)
ok(until(publisher, IN_STEP + " AND (SELECT count(*) = 49 FROM note WHERE embedding IS NOT NULL)", DB), "changed rows are embedded anew")
changed = publisher.psql(VECTORS, DB)
ok(changed != embedded, "with other vectors")
is_(arrives(VECTORS, changed), changed, "which arrive as well")
is_(subscriber.psql("SELECT count(*) FROM harca.embedding_progress", DB), "0", "and the subscriber embeds nothing")
subscriber.psql("DROP SUBSCRIPTION notes", DB)
subscriber.psql("DROP SUBSCRIPTION searched", DB)
publisher.stop()
subscriber.stop()
done()
