#!/usr/bin/env python3
"""The shared cache: what one session has asked the others need not, by whatever way the memory came; who may see and reset it."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, like, ok  # noqa: E402

DB = "harca_shared"
QUALITY = os.path.join(os.path.dirname(__file__), "../data/quality_queries.tsv")
server = Server(f"test-shared-{os.getpid()}", settings={"shared_preload_libraries": "pg_harca"})
server.start()
server.psql(f"CREATE DATABASE {DB}")
server.psql(
    """
    CREATE EXTENSION pg_harca CASCADE;
    CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
    CREATE ROLE nobody_special LOGIN;
    CREATE TABLE question (id serial PRIMARY KEY, query text);
    """,
    DB,
)
with open(QUALITY, encoding="utf-8") as file:
    queries = [line.split("\t")[0].replace("'", "''") for line in file.readlines()[1:]]
server.psql("INSERT INTO question (query) VALUES " + ",".join(f"('{query}')" for query in queries), DB)
ANSWERS = "SELECT md5(string_agg(classify_query(query)::text, ',' ORDER BY id)) FROM question"


def shared(columns, session=None):
    sql = f"SELECT {columns} FROM harca.stat_cache WHERE level = 'shared'"
    return session.psql(sql) if session else server.psql(sql, DB)


def runs(session):
    return int(session.psql("SELECT inferences FROM harca.backend_status()"))


def two_sessions(kind):
    """What the first one asks costs the second no run of the model, and both get the same."""
    first, second = server.session(DB), server.session(DB)
    before = shared("hits, misses, entries").split("|")
    ok(before != [""], f"{kind}: there is a shared cache")
    hits, misses, entries = map(int, before)
    answers = first.psql(ANSWERS)
    is_(second.psql(ANSWERS), answers, f"{kind}: two sessions answer alike")
    is_((runs(first) > 0, runs(second)), (True, 0), f"{kind}: the model has run in the first one alone")
    after = [int(n) for n in shared("hits, misses, entries").split("|")]
    distinct = len(set(queries))
    is_(
        (after[0] - hits, after[1] - misses, after[2] - entries),
        (2 * len(queries) - distinct, distinct, distinct),
        f"{kind}: counted as such",
    )
    is_(second.psql("SELECT cache_hits, cache_misses, cache_entries FROM harca.backend_status()"), f"{len(queries)}|0|0", f"{kind}: by the session, too")
    batch = second.psql("SELECT count(*) FROM classify_queries(ARRAY(SELECT query FROM question))")
    is_((batch, runs(second)), (str(len(queries)), 0), f"{kind}: a batch is answered by the cache as well")
    first.close()
    second.close()
    return answers


answers = two_sessions("preloaded")
is_(server.psql("SELECT count(*) FROM harca.stat_cache WHERE level = 'local' AND entries = 0 AND bytes >= 0", DB), "1", "a row for the session's own cache")
ok(int(shared("bytes")) < 10000 * 80 + 200 * 1024, "ten thousand entries take less than 80 bytes each")
ok(10000 <= int(shared("capacity")) < 10014, "there is room for as many as were asked for")

# What the model has done.
STATS = "SELECT queries, runs, p50_us <= p95_us AND p95_us <= p99_us AND p99_us <= max_us * 1.04 AND max_us <= total_us FROM harca.stat_inference WHERE model ~ '^query_type '"
server.psql("SELECT harca.stat_reset()", DB)
is_(server.psql(STATS, DB), "0|0|", "stat_reset begins the counts of the model anew")
server.psql("SELECT query_type('an item that nobody has asked for'); SELECT count(*) FROM classify_queries(ARRAY(SELECT 'item ' || i FROM generate_series(1, 1000) AS i))", DB)
asked, ran, ordered = server.psql(STATS, DB).split("|")
is_((asked, ordered), ("1001", "t"), "a query and a batch are counted, with times in order")
ok(1 < int(ran) < 200, f"in few runs ({ran})")
before = server.psql(STATS, DB)
server.psql("SELECT query_type('an item that nobody has asked for')", DB)
is_(server.psql(STATS, DB), before, "a hit is no run")

untracked = server.session(DB)
untracked.psql("SET pg_harca.track_statistics = off")
hits, before = shared("hits"), server.psql(STATS, DB)
untracked.psql("SELECT query_type('an item that nobody has asked for'), query_type('another such item')")
is_((shared("hits"), server.psql(STATS, DB)), (hits, before), "with track_statistics off neither hits nor runs are counted")
is_(server.sqlstate("SET pg_harca.track_statistics = off", DB, "nobody_special"), "42501", "which is for a superuser to say")
untracked.close()

# Settings, models and encodings that change the answer change the key.
session = server.session(DB)
session.psql("SELECT query_type('why is the report so late this time')")
session.psql("SET pg_harca.max_query_chars = 16")
before = runs(session)
session.psql("SELECT query_type('why is the report so late this time')")
is_(runs(session), before + 1, "a text that is cut off elsewhere is another text")
session.psql("RESET pg_harca.max_query_chars; SET pg_harca.model = query_type")
is_(session.psql(ANSWERS), answers, "the same model from its folder answers alike")
session.psql("SET pg_harca.enabled = off")
like(session.psql("SELECT model FROM classify_query('why is the report so late this time')"), "^rules$", "the rules do not read the cache")
session.psql("RESET pg_harca.enabled; RESET pg_harca.model; SET pg_harca.min_confidence = 1")
is_(session.psql("SELECT query_type('why is the report so late this time')"), "unknown", "the least confidence is judged at every hit")
session.close()

# Time to live.
server.psql("SELECT query_type('an answer that grows old')", DB)
expired = int(shared("expirations"))
late = server.session(DB)
late.psql("SET pg_harca.cache_ttl = 1; SELECT pg_sleep(1.1)")
late.psql("SELECT query_type('an answer that grows old')")
is_((runs(late), int(shared("expirations")) - expired), (1, 1), "an answer past its time is asked for again, and counted once")
late.close()

# Reset, and who may.
entries = int(shared("entries"))
is_(server.psql("SELECT harca.cache_reset()", DB), str(entries), "cache_reset takes all of them out")
is_(shared("entries"), "0", "and none is left")
server.psql("SELECT harca.stat_reset()", DB)
is_(shared("hits, misses, evictions, expirations"), "0|0|0|0", "stat_reset begins anew")
is_(server.psql("SELECT count(*) FROM harca.stat_cache; SELECT count(*) > 0 FROM harca.stat_inference", DB, user="monitor"), "3\nt", "pg_monitor sees the statistics")
for call in ("harca.cache_reset()", "harca.stat_reset()"):
    is_([server.sqlstate(f"SELECT {call}", DB, user) for user in ("monitor", "nobody_special")], ["42501"] * 2, f"{call} is for the owner")
for view in ("stat_cache", "stat_inference", "stat_memory"):
    is_(server.sqlstate(f"SELECT * FROM harca.{view}", DB, "nobody_special"), "42501", f"{view} is not for everybody")
like(server.psql("SELECT harca.prewarm()", DB, user="nobody_special"), "^query_type ", "prewarm is")

# Where memory goes.
MEMORY = "SELECT coalesce(sum(bytes), 0) FROM harca.stat_memory WHERE "
cache_bytes, rest = (int(server.psql(f"{MEMORY} pid IS NULL AND part = '{part}'", DB)) for part in ("shared cache", "statistics"))
is_((shared("bytes"), rest > 0), (str(cache_bytes), True), "stat_memory knows the shared parts")
session = server.session(DB)
pid = session.psql("SELECT pg_backend_pid()")
session.psql("SELECT count(*) FROM classify_queries(ARRAY(SELECT 'memory ' || i FROM generate_series(1, 1000) AS i))")
own = f"{MEMORY} pid = {pid} AND part"
inherited, buffers = (int(server.psql(f"{own} = '{part}'", DB, user="monitor")) for part in ("session", "buffers"))
ok(inherited < 1 << 20, f"an inherited session has cost this process next to nothing ({inherited})")
ok(100_000 < buffers < 4 << 20, f"others see what its buffers take ({buffers})")
session.close()
gone = f"SELECT count(*) FROM harca.stat_memory WHERE pid = {pid}"
server.psql(f"DO $$ BEGIN FOR i IN 1..300 LOOP EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {pid}); PERFORM pg_sleep(0.1), pg_stat_clear_snapshot(); END LOOP; END $$", DB)
is_(server.psql(gone, DB), "0", "a process that has ended is not listed")

# Parallel workers share it, too.
server.psql("CREATE TABLE many AS SELECT 'what is item ' || i % 2000 AS query FROM generate_series(1, 100000) AS i; ANALYZE many", DB)
parallel = "SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; "
server.psql("SELECT count(query_type(query)) FROM many", DB)
misses = shared("misses")
like(server.psql(f"{parallel} EXPLAIN SELECT count(*) FROM many WHERE query_type(query) = 'semantic'", DB), "Parallel Seq Scan", "a scan over a table takes workers")
server.psql(f"{parallel} SELECT count(*) FROM many WHERE query_type(query) = 'semantic'", DB)
is_(shared("misses"), misses, "and they find what was asked before")

# More queries than there is room for.
server.configure(pg_harca__cache_size="100").restart()
server.psql("SELECT count(query_type('number ' || i)) FROM generate_series(1, 5000) AS i", DB)
held, room, evicted, restored = map(int, shared("entries, capacity, evictions, restored").split("|"))
ok(100 <= room < 114 and 0.8 * room < held <= room, f"it is full ({held} of {room})")
is_(evicted, restored + 5000 - held, "and what came later took the place of something else")
is_(server.psql(ANSWERS, DB), answers, "the answers are the same")

# None at all, and memory that comes with the first session.
server.configure(pg_harca__cache_size="0").restart()
is_(shared("count(*)"), "0", "size 0: no shared cache")
is_(server.psql(ANSWERS, DB), answers, "size 0: the same answers")
server.configure(pg_harca__cache_size=None, shared_preload_libraries="").restart()
if server.major >= 17:
    is_(two_sessions("not preloaded"), answers, "not preloaded: the same answers")
    server.psql("SELECT harca.stat_reset()", DB)
else:
    is_(shared("count(*)"), "0", "not preloaded: no shared cache before PostgreSQL 17")
    is_(server.sqlstate("SELECT harca.stat_reset()", DB), "55000", "not preloaded: nothing to reset")
    is_(server.psql(ANSWERS, DB), answers, "not preloaded: the same answers")
for executor, least, most in (("auto", 0, 2 << 20), ("onnxruntime", 4 << 20, 16 << 20)):
    setup = f"SET pg_harca.executor = {executor}; SELECT harca.prewarm()"
    own = int(server.psql(f"{setup}; {MEMORY} pid = pg_backend_pid() AND part = 'session'", DB).split("\n")[-1])
    ok(least <= own < most, f"not preloaded, {executor}: a session of its own costs a process {own} bytes")
server.remove()
done()
