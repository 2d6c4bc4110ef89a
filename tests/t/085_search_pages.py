#!/usr/bin/env python3
"""Pages of a search fit together, ties have one order, and the settings of the index scans are as before, whatever happens."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, like, ok  # noqa: E402

server = Server.attach()
DB = "harca_pages"
server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
server.psql(f"CREATE DATABASE {DB}")
server.psql(
    """
    CREATE EXTENSION pg_harca CASCADE;
    SELECT setseed(0.5);
    CREATE TABLE memory AS
    SELECT i AS id, content, to_tsvector('harca', content) AS tsv, embedding, CASE WHEN i % 5 = 0 THEN 'rare' ELSE 'common' END AS kind
    FROM (SELECT i, format('the report of the team about t%s and p%s', i % 250, i % 100) AS content,
                 (SELECT array_agg(random() - 0.5) FROM generate_series(1, 16) AS d WHERE i > 0)::vector(16) AS embedding
          FROM generate_series(1, 5000) AS i) AS rows;
    ALTER TABLE memory ADD PRIMARY KEY (id);
    CREATE INDEX ON memory USING gin (tsv);
    CREATE INDEX ON memory USING hnsw (embedding vector_cosine_ops) WITH (m = 8, ef_construction = 32);
    ANALYZE memory;
    SELECT harca.register_search_target('memory', 'memory');
    CREATE TABLE question AS SELECT embedding FROM memory WHERE id = 77
    """,
    DB,
)
Q = "(SELECT embedding FROM question)"


def sql(text, setup=""):
    return server.psql(f"{setup} {text}", DB)


def pages(size, count, more, query="t77 p77", embedding=Q):
    """The ids of pages one by one, and those of one call for all of them."""
    call = "SELECT string_agg(id, ' ') FROM (SELECT id FROM hybrid_search('memory', '{}', {}, {}, {}{})) AS h"
    separate = [sql(call.format(query, embedding, size, page * size, more)).split() for page in range(count)]
    return separate, sql(call.format(query, embedding, size * count, 0, more)).split()


for what, size, count, more in (
    ("of 10", 10, 10, ""),
    ("of 7", 7, 14, ""),
    ("with 500 candidates", 50, 10, ", options => '{\"candidates\": 500}'"),
    ("by ranks", 20, 5, ', options => \'{"fusion": "rrf"}\''),
    ("with a filter", 20, 5, ', filter => \'{"kind": "common"}\''),
):
    separate, whole = pages(size, count, more)
    joined = [id for page in separate for id in page]
    is_(len(joined), len(set(joined)), f"pages {what}: none twice")
    is_(joined, whole[: len(joined)] if len(joined) >= size * count else whole, f"pages {what}: in the order of one call")
separate, _ = pages(50, 6, ", options => '{\"candidates\": 300}'")
joined = [id for page in separate for id in page]
is_((len(joined), len(set(joined))), (300, 300), "pages beyond the usual candidates, with more of them: none twice")
separate, _ = pages(50, 6, "")
joined = [id for page in separate for id in page]
is_((len(joined), len(set(joined))), (len(joined), len(joined)), "pages beyond the candidates: none twice")
ok(100 <= len(joined) <= 200, "they end with what both legs gave")
is_(separate, sorted(separate, key=len, reverse=True), "and nothing comes after a page that is not full")
is_(sql("SELECT count(*) FROM hybrid_search('memory', 't77', NULL, 10, 15)"), "5", "a last page is shorter")
is_(sql("SELECT count(*) FROM hybrid_search('memory', 't77', NULL, 10, 20)"), "0", "and what follows is empty")

# Ties: equal rows stand in the order of their ids, with whatever plan.
sql(
    """
    CREATE TABLE tie (id integer PRIMARY KEY, content text, tsv tsvector, embedding vector(2));
    INSERT INTO tie SELECT i, 'equal', to_tsvector('harca', 'equal'), '[1,1]' FROM generate_series(1, 90) AS i ORDER BY i * 7 % 91;
    CREATE INDEX ON tie USING hnsw (embedding vector_cosine_ops);
    CREATE INDEX ON tie USING gin (tsv);
    SELECT harca.register_search_target('tie', 'tie')
    """
)
expected = " ".join(sorted(map(str, range(1, 91))))
for setup in (
    "",
    "SET enable_seqscan = off;",
    "SET enable_indexscan = off; SET enable_bitmapscan = off;",
    "SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET min_parallel_table_scan_size = 0;",
):
    for query, embedding in (("equal", "NULL"), ("?", "'[1,1]'"), ("equal", "'[1,1]'"), ("equal", "'[0,1]'")):
        is_(
            sql(f"SELECT string_agg(id, ' ') FROM (SELECT id FROM hybrid_search('tie', '{query}', {embedding}, 90)) AS h", setup),
            expected,
            f"ties {query} {embedding}, {setup or 'default plan'}",
        )

# Settings of pgvector are as before, whatever happens.
SHOW = "SELECT current_setting('hnsw.ef_search'), current_setting('hnsw.iterative_scan', true), current_setting('ivfflat.iterative_scan', true)"
LOAD = "SELECT '[1]'::vector IS NULL"
session = server.session(DB)
session.psql(LOAD)
default = session.psql(SHOW)
like(default, r"^40\|off\|off$", "the defaults of pgvector")
SEARCH = f"SELECT count(*) FROM hybrid_search('memory', 't77', {Q}, 5)"
FAILS = f"""SELECT count(*) FROM hybrid_search('memory', 't77', {Q}, filter => '{{"id": "many"}}')"""
CATCH = f"DO $$BEGIN PERFORM * FROM hybrid_search('memory', 't77', {Q}, filter => '{{\"id\": \"many\"}}'); EXCEPTION WHEN invalid_text_representation THEN NULL; END$$"
is_(session.psql(f"{SEARCH}; {SHOW}"), f"5\n{default}", "after a search")
is_(session.psql(f"BEGIN; {SEARCH}; {SHOW}; COMMIT; {SHOW}"), f"5\n{default}\n{default}", "inside a transaction and after it")
is_(
    session.psql(f"BEGIN; {CATCH}; {SHOW}; {SEARCH}; COMMIT; {SHOW}"),
    f"{default}\n5\n{default}",
    "after an error that was caught",
)
try:
    session.psql(FAILS)
    ok(False, "a filter of the wrong type is an error")
except Exception as error:
    is_(getattr(error, "sqlstate", None), "22P02", "a filter of the wrong type is an error")
is_(session.psql(SHOW), default, "after an error")
own = "77|relaxed_order|off"
is_(session.psql(f"SET hnsw.ef_search = 77; SET hnsw.iterative_scan = relaxed_order; {SEARCH}; {SHOW}"), f"5\n{own}", "after SET")
is_(
    session.psql(f"BEGIN; SET LOCAL hnsw.ef_search = 33; {SEARCH}; SELECT current_setting('hnsw.ef_search'); COMMIT; {SHOW}"),
    f"5\n33\n{own}",
    "after SET LOCAL",
)
is_(
    session.psql(
        f"BEGIN; SET hnsw.ef_search = 55; {SEARCH}; SAVEPOINT s; {CATCH}; ROLLBACK TO s; {SEARCH}; COMMIT; SELECT current_setting('hnsw.ef_search')"
    ),
    "5\n5\n55",
    "after SET in a transaction that commits",
)
is_(
    session.psql(f"BEGIN; SET hnsw.ef_search = 66; {SEARCH}; ROLLBACK; SELECT current_setting('hnsw.ef_search')"),
    "5\n55",
    "and in one that does not",
)
is_(session.psql(f"RESET ALL; BEGIN READ ONLY; {SEARCH}; COMMIT; {SHOW}"), f"5\n{default}", "in a read-only transaction")
is_(
    session.psql(
        f"BEGIN; DECLARE c CURSOR FOR SELECT id FROM hybrid_search('memory', 't77', {Q}, 5); FETCH 1 FROM c; {SHOW}; FETCH ALL FROM c; COMMIT"
    ).split("\n")[1],
    default,
    "between the rows of a cursor",
)
is_(
    session.psql(
        f"PREPARE p (text) AS SELECT count(*) FROM hybrid_search('memory', $1, {Q}, 5); " + "EXECUTE p('t77'); " * 7 + SHOW
    ),
    "\n".join(["5"] * 7 + [default]),
    "for a prepared statement",
)
session.close()
is_(
    sql(f"SELECT count(*) FROM hybrid_search('memory', 't77', {Q}, 5); SELECT current_setting('hnsw.ef_search')"),
    "5\n40",
    "in a new session",
)
server.psql(f"DROP DATABASE {DB} WITH (FORCE)")
done()
