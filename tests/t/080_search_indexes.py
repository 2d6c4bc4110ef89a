#!/usr/bin/env python3
"""On 100,000 rows both legs use their index; every kind of table, vector and distance can be searched by index."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, like, ok  # noqa: E402

server = Server.attach()
DB = "harca_indexes"
ROWS = 100000
server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
server.psql(f"CREATE DATABASE {DB}")
# Words: some in every row, one in 20 rows each, one in 500 rows each; of every 20 rows in a row the first 10 are the same.
server.psql(
    f"""
    CREATE EXTENSION pg_harca CASCADE;
    SELECT setseed(0.5);
    CREATE UNLOGGED TABLE memory AS
    SELECT i AS id, content, to_tsvector('harca', content) AS tsv, embedding, CASE WHEN i % 100 = 0 THEN 'rare' ELSE 'common' END AS kind
    FROM (SELECT i, format('the report of the team about t%s and p%s 報告', i % 5000, i % 200) AS content,
                 (SELECT array_agg(random() - 0.5) FROM generate_series(1, 64) AS d WHERE i > 0)::vector(64) AS embedding
          FROM generate_series(1, {ROWS}) AS i) AS rows;
    ALTER TABLE memory ADD PRIMARY KEY (id);
    CREATE INDEX memory_words ON memory USING gin (tsv);
    SET maintenance_work_mem = '128MB';
    SET max_parallel_maintenance_workers = 2;
    CREATE INDEX memory_meaning ON memory USING hnsw (embedding vector_cosine_ops) WITH (m = 8, ef_construction = 32);
    ANALYZE memory;
    SELECT harca.register_search_target('memory', 'memory');
    CREATE TABLE question AS SELECT embedding FROM memory WHERE id = 77;
    """,
    DB,
    timeout=300,
)
Q = "(SELECT embedding FROM question)"


def sql(text, setup=""):
    return server.psql(f"{setup} {text}", DB)


def plan(target, query, more="", setup=""):
    text = sql(f"SELECT leg || ': ' || plan FROM harca.explain_legs('{target}', '{query}', {Q}{more})", setup)
    return ["\n".join(line for line in text.split("\n") if line.startswith(leg)) for leg in ("vector", "keyword")]


for query, more in (
    ("t77", ""),
    ("t77 t78 t79", ", 100"),
    ("how does p7 go?", ""),
    ("t77", """, filter => '{"kind": "rare"}'"""),
    ("報告 t77", ", options => '{\"candidates\": 500}'"),
):
    vector, keyword = plan("memory", query, more)
    like(vector, "Index Scan using memory_meaning on memory", f"{query}{more}: the vector leg uses HNSW")
    if "報告" not in query:  # that word is in every row, and reading them all is right
        like(keyword, "Bitmap Index Scan on memory_words", f"{query}{more}: the keyword leg uses GIN")
    ok("Seq Scan" not in vector, f"{query}{more}: nothing is read in order")
like(
    plan("memory", "t77", setup="SET plan_cache_mode = force_generic_plan;")[0],
    "Index Scan using memory_meaning",
    "with generic plans too",
)

found = sql(f"SELECT id, vector_rank, keyword_rank IS NULL FROM hybrid_search('memory', 't77', {Q})").split("\n")
is_((len(found), found[0]), (10, "77|1|f"), "ten rows, and the row itself is the first")
found = sql(f"SELECT count(*), count(vector_rank), count(keyword_rank) FROM hybrid_search('memory', 't77', {Q}, 200)").split(
    "|"
)
is_(found[0], "200", "as many rows as were asked for")
ok(int(found[1]) > 150 and int(found[2]) == 20, f"of both legs ({found[1]} and {found[2]})")
# A question without words has the vector leg alone: it must go on until enough rows fit, although one in 100 does.
for query in ("p100", "?"):
    found = sql(
        f"""SELECT count(*), bool_and(m.kind = 'rare'), count(vector_rank) FROM hybrid_search('memory', '{query}', {Q}, 50, filter => '{{"kind": "rare"}}') AS h JOIN memory AS m ON m.id = h.id::integer"""
    ).split("|")
    is_(found[:2], ["50", "t"], f"{query} with a filter: as many, and all of them fit")
is_(found[2], "50", "of the vector leg")
# How near an approximate index comes is pgvector's matter: the leg gives what a plain search with as wide a scan gives.
found = sql(
    f"""SELECT count(*) FROM (SELECT id FROM memory ORDER BY embedding <=> {Q} LIMIT 100) AS e
        WHERE e.id::text IN (SELECT id FROM hybrid_search('memory', '?', {Q}, 100))""",
    "SET enable_seqscan = off; SET hnsw.ef_search = 100;",
)
is_(found, "100", "the vector leg finds what a plain index scan finds")

# Other kinds of tables, types and distances; each finds the row by word and by vector, and says so in its plan.
sql(
    "CREATE TABLE small AS SELECT id, content, tsv, embedding FROM memory WHERE id <= 2000 AND id % 2 = 1; ALTER TABLE small ADD PRIMARY KEY (id); CREATE TABLE parted (LIKE small INCLUDING INDEXES) PARTITION BY RANGE (id)"
)
sql(
    "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (1) TO (1000); CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (1000) TO (5000); INSERT INTO parted SELECT * FROM small"
)
sql(
    "CREATE MATERIALIZED VIEW view AS SELECT * FROM small; CREATE TABLE half AS SELECT id, content, tsv, embedding::halfvec(64) FROM small; CREATE TABLE flat AS TABLE small; CREATE TABLE inner_p AS TABLE small; CREATE TABLE files AS TABLE small"
)
sql(
    "CREATE UNIQUE INDEX ON view (id); ALTER TABLE half ADD PRIMARY KEY (id); ALTER TABLE flat ADD PRIMARY KEY (id); ALTER TABLE inner_p ADD PRIMARY KEY (id); ALTER TABLE files ADD PRIMARY KEY (id)"
)
for table, method, ops, distance in (
    ("parted", "hnsw", "vector_cosine_ops", "cosine"), ("view", "hnsw", "vector_cosine_ops", "cosine"), ("half", "hnsw", "halfvec_cosine_ops", "cosine"),
    ("flat", "hnsw", "vector_l2_ops", "l2"), ("inner_p", "hnsw", "vector_ip_ops", "inner_product"), ("files", "ivfflat", "vector_cosine_ops", "cosine"),
):  # fmt: skip
    sql(
        f"CREATE INDEX {table}_v ON {table} USING {method} (embedding {ops}); CREATE INDEX {table}_k ON {table} USING gin (tsv); ANALYZE {table}; SELECT harca.register_search_target('{table}', '{table}', distance => '{distance}')"
    )
    vector, keyword = plan(table, "t77", setup="SET enable_seqscan = off;")
    pattern = (
        "Index Scan using parted_1_embedding_idx.*Index Scan using parted_2_embedding_idx"
        if table == "parted"
        else f"Index Scan using {table}_v"
    )
    like(vector, pattern, f"{table}: vector index")
    like(
        keyword,
        "Bitmap Index Scan on parted_._tsv_idx" if table == "parted" else f"Bitmap Index Scan on {table}_k",
        f"{table}: GIN index",
    )
    found = sql(f"SELECT id, vector_rank, keyword_rank FROM hybrid_search('{table}', 't77', {Q})").split("\n")
    is_((len(found), found[0]), (10, "77|1|1"), f"{table}: found")
    operator = {"cosine": "<=>", "l2": "<->", "inner_product": "<#>"}[distance]
    order = sql(
        f"SELECT string_agg(id, ' ' ORDER BY vector_rank) FROM hybrid_search('{table}', '?', {Q}, 5)",
        "SET enable_indexscan = off;",
    )
    is_(
        order,
        sql(f"SELECT string_agg(id::text, ' ') FROM (SELECT id FROM small ORDER BY embedding {operator} {Q} LIMIT 5) AS e"),
        f"{table}: by that distance",
    )
    is_(
        sql(
            f"SELECT bool_and(score >= 0), bool_and(vector_score <> 'NaN') FROM hybrid_search('{table}', 't77', {Q}, 100)"
        ),
        "t|t",
        f"{table}: scores from 0",
    )
sql("REFRESH MATERIALIZED VIEW view; ALTER TABLE parted DETACH PARTITION parted_1")
is_(
    sql(f"SELECT count(*) FROM hybrid_search('parted', 't77', {Q}) WHERE id = '77'"),
    "0",
    "a partition that is detached is not searched",
)
server.psql(f"DROP DATABASE {DB} WITH (FORCE)")
done()
