#!/usr/bin/env python3
"""Sessions side by side and the workers of a parallel query give the answers of a single session."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, like  # noqa: E402

server = Server.attach()
DB = "harca_parallel"
server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
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
    ANALYZE log
    """,
    DB,
)
QUERY = "why are my searches slow"
ONE = f"SELECT query_type, confidence, scores, model FROM classify_query('{QUERY}')"
ALL = "SELECT md5(string_agg(query_type(query) || (classify_query(query)).confidence::numeric(4, 3), ',' ORDER BY i)) FROM log"
SEARCH = "SELECT id, vector_rank, keyword_rank, vector_weight FROM hybrid_search('memory', 'harbour', '[1,0]', options => '{\"vector_weight\": 0.5}')"
everything = server.psql(ALL, DB)

# Eight sessions at once.
sessions = [server.session(DB) for _ in range(8)]
for each in sessions:
    each.send(ALL)
is_({each.wait(120) for each in sessions}, {everything}, "eight sessions at once agree")
is_(
    {each.psql("SELECT state, threads FROM harca.backend_status()") for each in sessions},
    {"ready|1"},
    "each with its own model and one thread",
)
for each in sessions:
    each.close()

# Parallel workers.
FORCE = "debug_parallel_query" if server.major >= 16 else "force_parallel_mode"
CHEAP = "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;"
COUNT = "SELECT query_type(query), count(*), sum(i) FROM log GROUP BY 1 ORDER BY 1"
FIND = "SELECT md5(string_agg(i::text, ',' ORDER BY i)) FROM log WHERE query_type(query) = 'semantic'"
serial = server.psql(f"SET max_parallel_workers_per_gather = 0; {COUNT}; {FIND}", DB)
like(
    server.psql(f"{CHEAP} EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {COUNT}", DB),
    r"Workers Launched: [12].*Parallel Seq Scan on log",
    "a parallel scan with query_type",
)
is_(server.psql(f"{CHEAP} {COUNT}; {FIND}", DB), serial, "its workers answer as one session does")
is_(server.psql(f"SET {FORCE} = on; {COUNT}; {FIND}", DB), serial, f"{FORCE}: the same")
for sql in (ONE, ALL, SEARCH, "SELECT * FROM harca.labels()", "SELECT * FROM classify_queries('{a b,c d}')"):
    is_(server.psql(f"SET {FORCE} = on; {sql}", DB), server.psql(sql, DB), f"{FORCE}: {sql[:40]}")
WHO = "SELECT (classify_query(query)).model, count(*) FROM log GROUP BY 1"
like(
    server.psql(f"{CHEAP} EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {WHO}", DB),
    r"Workers Launched: [12].*Parallel Seq Scan on log",
    "a parallel scan with classify_query",
)
is_(server.psql(f"SET pg_harca.enabled = off; {CHEAP} {WHO}", DB), "rules|20000", "workers follow the settings of the session")
server.psql(
    f"DROP ROLE IF EXISTS harca_plain; CREATE ROLE harca_plain; GRANT SELECT ON log TO harca_plain; ALTER DATABASE {DB} SET pg_harca.model = query_type",
    DB,
)
is_(server.psql(f"SET ROLE harca_plain; {CHEAP} {COUNT}; {FIND}", DB), serial, "also those that the role itself may not set")
server.psql(f"ALTER DATABASE {DB} RESET pg_harca.model")
server.psql("DROP OWNED BY harca_plain; DROP ROLE harca_plain", DB)
server.psql(f"DROP DATABASE {DB} WITH (FORCE)")
done()
