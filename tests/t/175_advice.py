#!/usr/bin/env python3
"""harca.advise(): each situation that SQL can make is advised on, its statement ends it, and without it nothing is said.

The rules that need an engine in trouble have their tests in the core: crates/harca_core/src/watch/advice.
"""

import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, like, ok  # noqa: E402
from harness.onnx import affine, slow_beyond  # noqa: E402
from harness.registry import registration, with_graph  # noqa: E402

DB = "harca_advice"
# Seconds that a test waits for what has to come, on a machine that has much else to do.
PATIENCE = 180
ROWS = 12000
DIMENSIONS = 16
server = Server(f"test-advice-{os.getpid()}", settings={"pg_harca.max_latency": "3ms", "pg_harca.latency_window": "1s", "max_parallel_workers": "0"})
server.start()
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE", DB)
server.psql("CREATE ROLE watcher LOGIN IN ROLE pg_monitor; CREATE ROLE keeper LOGIN IN ROLE harca_admin; CREATE ROLE nobody_else LOGIN")


def sql(statement, user="postgres", timeout=300):
    return server.psql(statement, DB, user, timeout)


def advice(rule=None, measure=False, user="postgres", setup=""):
    """The rows of a rule, or all, as dictionaries."""
    rows = sql(f"{setup} SELECT coalesce(json_agg(a), '[]') FROM harca.advise({str(measure).lower()}) AS a", user)
    return [row for row in json.loads(rows) if rule in (None, row["rule"])]


def rules(**options):
    return sorted({row["rule"] for row in advice(**options)})


def follow(row):
    """Runs the statement of a row, without its comment."""
    for statement in row["statement"].partition(" -- ")[0].split("; "):
        sql(statement)


# The library and the roles

(found,) = advice()
is_((found["rule"], found["severity"], found["subject"]), ("preload", "warning", "shared_preload_libraries"), "a fresh server is told to preload the library, and nothing else")
is_(found["statement"], "ALTER SYSTEM SET shared_preload_libraries = 'pg_harca' -- then restart the server", "by a statement")
is_(rules(user="watcher"), ["preload"], "pg_monitor is told")
is_(rules(user="keeper"), [], "harca_admin may not see the setting, and is told nothing of it")
is_(server.sqlstate("SELECT * FROM harca.advise()", DB, "nobody_else"), "42501", "others are refused")
is_(server.refused("SELECT * FROM harca.advice_on('{\"server\": 7}')", DB)[0], "22023", "facts of another form are an error")
follow(found)
server.configure(pg_harca__cache_size="1000")
server.restart()
is_(rules(), [], "a server that preloads it is told nothing")
is_(rules(measure=True), [], "nor when it measures")

# The shared cache

SWEEP = "SELECT count(query_type('note ' || i)) FROM generate_series(1, 10000) AS i"
# Of 120,000 look-ups nearly two thousand are sampled: a thousand have to be.
for _ in range(12):
    sql(SWEEP)
curve = dict(line.split("|")[:2] for line in sql("SELECT entries, hit_ratio FROM harca.hit_curve()").splitlines())
capacity = int(sql("SELECT capacity FROM harca.stat_cache WHERE level = 'shared'"))
# Some 156 keys are followed, a dozen more or fewer by chance: so the curve is right to a tenth or two.
ok(float(curve[str(capacity)]) < 0.3 and float(curve[str(16 * capacity)]) - float(curve[str(capacity)]) > 0.5, f"twelve sweeps over 10,000 queries: a cache of {capacity} has next to none of them, one of 16 times as many most")
is_(server.sqlstate("SELECT * FROM harca.hit_curve()", DB, "keeper"), "42501", "the curve is for pg_monitor")
(found,) = advice("shared cache", user="watcher")
like(found["finding"], rf"room for {capacity} answers and has put out \d+", "the shared cache is found too small")
follow(found)
server.restart()
for _ in range(12):
    sql(SWEEP)
is_(advice("shared cache"), [], "and large enough as it was advised")
sql("SELECT harca.stat_reset()")
is_(sql("SELECT count(*) FROM harca.hit_curve()"), "0", "the curve begins anew with the counts")

# Search targets

sql(
    f"""
    SELECT setseed(0.5);
    CREATE TABLE memory (id bigint PRIMARY KEY, content text, tsv tsvector, embedding vector({DIMENSIONS})) WITH (autovacuum_enabled = off);
    INSERT INTO memory
    SELECT i, content, to_tsvector('harca', content), (SELECT array_agg(random() - 0.5) FROM generate_series(1, {DIMENSIONS}) AS d WHERE i > 0)::vector({DIMENSIONS})
    FROM (SELECT i, format('report %s of the team about t%s ', i, i % 5000) || repeat('filler ', 60) AS content FROM generate_series(1, {ROWS}) AS i) AS rows;
    """
)
sql("SELECT harca.register_search_target('memory', 'memory')")
is_(rules(), ["keyword index", "vector index"], "a table without indexes is to have both")
is_(rules(user="keeper"), ["keyword index", "vector index"], "whoever owns it")
rows = {row["rule"]: row for row in advice()}
is_(rows["vector index"]["statement"], "CREATE INDEX CONCURRENTLY ON public.memory USING hnsw (embedding public.vector_cosine_ops)", "of the operator class of its distance")
follow(rows["keyword index"])
sql("CREATE INDEX far ON memory USING hnsw (embedding vector_l2_ops) WITH (m = 2, ef_construction = 4)")
(found,) = advice()
is_(found["rule"], "operator class", "one of another distance is none for its searches")
like(found["finding"], r"index public\.far has the operator class public\.vector_l2_ops", "and is named")
sql("CREATE INDEX meaning ON memory USING hnsw (embedding vector_cosine_ops) WITH (m = 2, ef_construction = 4)")
is_(rules(), [], "with both indexes nothing is said")
sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'meaning'::regclass")
(found,) = advice()
is_((found["rule"], found["statement"]), ("invalid index", "REINDEX INDEX CONCURRENTLY public.meaning"), "an index that failed to be built is built again")
follow(found)
is_(rules(), [], "and is well then")

sql(f"DELETE FROM memory WHERE id > {ROWS - 2000}; SELECT pg_stat_force_next_flush()")
(found,) = advice()
is_((found["rule"], found["severity"], found["statement"]), ("search statistics", "warning", "SELECT harca.refresh_search_statistics('memory')"), "changes of a sixth call for new statistics")
like(found["finding"], rf"2000 rows have changed since there were {ROWS} documents", "and are counted")
follow(found)
is_(rules(), [], "which end it")
sql("UPDATE harca.search_target SET parser_version = 0")
is_(rules(), ["parser version"], "documents of a former parser are to be made anew")
sql("UPDATE harca.search_target SET parser_version = harca.parser_version()")

is_(rules(setup="SET work_mem = '256kB';"), [], "4096 pages have room in 256 kB, as all of the table")
(found,) = advice(setup="SET work_mem = '64kB';")
is_((found["rule"], found["subject"]), ("work_mem", "memory"), "in 64 kB they have none")
heap = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT id FROM memory WHERE harca.with_frequencies(tsv) @@ 'report'::tsquery"
settings = "SET enable_seqscan = off; SET max_parallel_workers_per_gather = 0;"
like(sql(f"{settings} SET work_mem = '64kB'; {heap}"), r"lossy=\d", "a bitmap of these keeps whole pages")
needed = found["statement"].split("'")[1]
ok("lossy" not in sql(f"{settings} SET work_mem = '{needed}'; {heap}"), f"and none with {needed}, as is advised")
is_(rules(), [], "nothing is said with the default")

# Measured

is_(rules(user="watcher", measure=True), [], "who may not read a table measures nothing of it")
(found,) = advice(measure=True)
is_((found["rule"], found["subject"]), ("hnsw.ef_search", "memory"), "an index of few links finds too little of what is near")
sql("DROP INDEX meaning; CREATE INDEX meaning ON memory USING hnsw (embedding vector_cosine_ops)")
is_(rules(measure=True), [], "a usual one enough")
is_(sql("SELECT current_setting('hnsw.ef_search') FROM (SELECT count(*) FROM harca.advise(true)) AS a"), "40", "the setting is as it was")

# The right rows are those that are nearest; words lead to others.
sql("UPDATE harca.search_target SET vector_weight = 0.05, calibration = 'off'; UPDATE harca.search_profile SET vector_weight = 0.05")
judge = "SELECT count(harca.record_feedback('memory', 'report of t' || (4000 - id), id::text, 1, embedding)) FROM memory WHERE id BETWEEN {} AND {}"
sql(judge.format(1, 49))
is_(rules(), [], "49 judgements are too few to speak of")
sql(judge.format(50, 60))
(found,) = advice()
is_((found["rule"], found["statement"]), ("weights", "SELECT * FROM harca.tune_search('memory')"), "60 that no tuning has seen are spoken of")
(found,) = advice(measure=True)
like(found["gain"], r"nDCG at 10 of 0\.\d+|nDCG at 10 of 1\.0", "measured, they tell what is to be gained")
follow(found)
is_(rules(), [], "a tuning has seen them")
is_(rules(measure=True), [], "and there is nothing left to gain")

sql(
    """
    CREATE TABLE wide (id bigint PRIMARY KEY, content text, tsv tsvector, embedding vector(2001));
    INSERT INTO wide SELECT i, 'x', to_tsvector('harca', 'x'), NULL FROM generate_series(1, 6000) AS i;
    CREATE INDEX ON wide USING gin (tsv);
    """
)
sql("SELECT harca.register_search_target('wide', 'wide')")
(found,) = advice()
is_(found["rule"], "dimensions", "a column that no index takes is to be of half precision")
follow(found)
is_(rules(), ["vector index"], "then it can have one")
sql("SELECT harca.drop_search_target('wide')")

sql("UPDATE harca.search_target SET embedding_column = 'nowhere'")
is_(rules(measure=True), [], "of a column that is gone nothing is said")
sql(
    """
    CREATE SCHEMA theirs;
    CREATE DOMAIN theirs.vector AS text;
    CREATE TABLE trap (id bigint PRIMARY KEY, content text, tsv tsvector, embedding theirs.vector);
    INSERT INTO trap SELECT i, 'x', to_tsvector('harca', 'x'), 'x' FROM generate_series(1, 6000) AS i;
    CREATE INDEX ON trap USING gin (tsv);
    UPDATE harca.search_target SET relation = 'trap', embedding_column = 'embedding';
    """
)
ok("hnsw.ef_search" not in rules(measure=True), "and of one of another type nothing is measured")
sql("UPDATE harca.search_target SET relation = 'memory'")

# Models

sql(registration(with_graph(slow_beyond(200), "slow")))
evaluated = "INSERT INTO harca.model_evaluation (model, identity, queries, accuracy, p50_us, p95_us, labelled_digest) SELECT m.key, m.identity, 200, {}, {}, {}, 'set' FROM harca.models m WHERE m.key = '{}'"
sql(evaluated.format(0.9, 60, 90, "builtin"))
sql(evaluated.format(0.9, 50, 90, "slow 1"))
is_(rules(), [], "a model that is hardly faster is not worth a change")
sql(evaluated.format(0.89, 5, 9, "slow 1"))
is_(rules(), [], "nor one that is less right")
sql(evaluated.format(0.9, 5, 9, "slow 1"))
(found,) = advice(user="keeper")
is_((found["rule"], found["statement"]), ("slower model", "SELECT harca.activate_model('slow 1')"), "one that is as right and faster is")
is_(rules(user="watcher"), [], "pg_monitor may not see evaluations")
sql("SELECT harca.activate_model('slow 1', force => true)")
is_(rules(), [], "the fastest is active")
numbers = iter(range(10**9))
session = server.session(DB)
deadline = time.monotonic() + PATIENCE
while time.monotonic() < deadline and not advice("latency bound"):
    for _ in range(40):
        session.psql(f"SELECT query_type('zebra {next(numbers)} {'and then ' * 60}')")
(found,) = advice("latency bound")
is_((found["subject"], found["severity"]), ("slow 1", "warning"), "a model that never keeps the bound calls for another one")
sql("SELECT harca.rollback_model()")
session.close()
is_(advice("latency bound"), [], "not once it does not answer any more")

# A shadow of one opinion with the active model, and another speed
sql("ALTER SYSTEM SET pg_harca.max_latency = 0")
server.reload()
deadline = time.monotonic() + PATIENCE
while time.monotonic() < deadline and sql("SELECT query_type('x'); SHOW pg_harca.max_latency").splitlines()[-1] != "0":
    time.sleep(0.2)
sql(registration(with_graph(slow_beyond(200, work=16), "slower")))
sql(registration(with_graph(affine([0, 0], [1, 0]), "quick")))
sql("SELECT harca.activate_model('slower 1', force => true); SELECT harca.compare_model('quick 1', 'shadow')")
ask = "SELECT count(query_type('zebra ' || i || repeat(' and then', 60))) FROM generate_series({}, {}) AS i"
sql(ask.format(1, 900))
is_(advice("slower model"), [], "900 answers of a shadow are too few")
sql(ask.format(901, 1100))
(found,) = advice("slower model", user="watcher")
is_((found["subject"], found["statement"]), ("slower 1", "SELECT harca.activate_model('quick 1')"), "a shadow that gives the same answers, faster, is to be activated")
like(found["finding"], r"the same answer to 100\.00 % of 1100 queries", "by so many")
sql("SELECT harca.stop_comparison()")
is_(advice("slower model"), [], "without a shadow nothing is known")

# The engine

sql("UPDATE harca.search_target SET embedding_model = 'nothing 1'; SELECT harca.drop_model('slow 1')")
is_(advice("engine off"), [], "an engine that is on")
sql("ALTER SYSTEM SET pg_harca.engine = off")
server.reload()
deadline = time.monotonic() + PATIENCE
while time.monotonic() < deadline and not advice("engine off"):
    time.sleep(0.2)
found = advice()[0]
is_((found["rule"], found["severity"]), ("engine off", "critical"), "one that is off, and needed, comes before all else")
like(found["finding"], r"needed by search target memory", "by whom")
follow(found)
deadline = time.monotonic() + PATIENCE
while time.monotonic() < deadline and advice("engine off"):
    time.sleep(0.2)
is_(advice("engine off"), [], "until it is on")
done()
