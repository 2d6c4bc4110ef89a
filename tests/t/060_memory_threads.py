#!/usr/bin/env python3
"""A backend stays at one thread and a bounded memory, whatever it has classified and however often it failed; so does the postmaster."""

import os
import sys
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, like, ok  # noqa: E402

DB = "harca_memory"
LIMIT = 2048  # kB


def threads(pid):
    listed = len(os.listdir(f"/proc/{pid}/task"))
    status = Path(f"/proc/{pid}/status").read_text()
    return listed, int(status.split("\nThreads:")[1].split()[0])


def resident(session):
    """Private memory of a backend, in kB."""
    return int(Path(f"/proc/{session.pid}/status").read_text().split("\nRssAnon:")[1].split()[0])


def contexts(session):
    """What PostgreSQL's own memory contexts hold, in kB; pg_harca's among them."""
    return int(session.psql("SELECT (sum(total_bytes) / 1024)::bigint FROM pg_backend_memory_contexts"))


def maps(pid):
    return Path(f"/proc/{pid}/maps").read_text()


def prepare(server):
    server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
    server.psql(f"CREATE DATABASE {DB}")
    server.psql("CREATE EXTENSION pg_harca CASCADE", DB)
    server.psql(f"ALTER DATABASE {DB} SET pg_harca.executor = onnxruntime")
    server.psql(
        "CREATE TABLE batch AS SELECT array_agg('how do I find report ' || i) AS queries FROM generate_series(1, 100000) AS i", DB
    )


def stays_single(server, kind):
    session = server.session(DB)
    is_(threads(session.pid), (1, 1), f"{kind}: a new backend has one thread")
    session.psql("SELECT query_type('why are my searches slow')")
    is_(threads(session.pid), (1, 1), f"{kind}: and one after its first query")
    like(maps(session.pid), "libonnxruntime", f"{kind}: which the runtime has answered")
    session.psql("SELECT count(*) FROM classify_queries(ARRAY(SELECT 'batch ' || i FROM generate_series(1, 1000) AS i))")
    is_(threads(session.pid), (1, 1), f"{kind}: and after a batch")
    is_(session.psql("SELECT threads FROM harca.backend_status()"), "1", f"{kind}: backend_status agrees")
    session.close()


def postmaster(server, kind, runtime):
    pid = server.postmaster_pid()
    is_(threads(pid), (1, 1), f"{kind}: the postmaster has one thread")
    is_("onnxruntime" in maps(pid), runtime, f"{kind}: and {'the' if runtime else 'no'} ONNX Runtime")


server = Server.attach()
prepare(server)
own = Server(f"test-memory-{os.getpid()}", settings={"pg_harca.executor": "onnxruntime"})
own.start()
prepare(own)
stays_single(own, "loaded on demand")
postmaster(own, "loaded on demand", runtime=False)
is_("pg_harca.so" in maps(own.postmaster_pid()), False, "loaded on demand: not in the postmaster at all")
own.configure(shared_preload_libraries="pg_harca").restart()
stays_single(own, "preloaded")
postmaster(own, "preloaded", runtime=True)
own.configure(pg_harca__preload_session="off").restart()
stays_single(own, "preloaded without a session")
postmaster(own, "preloaded without a session", runtime=False)
is_("pg_harca.so" in maps(own.postmaster_pid()), True, "preloaded without a session: the extension itself is in the postmaster")
new = own.session(DB)
ok("onnxruntime" not in maps(new.pid), "preloaded without a session: a backend loads the runtime when it needs it")
new.close()
own.remove()


def grows_little(what, session, warm_up, work, limit=LIMIT):
    """Runs the work after the warm-up and compares the memory, in kB.

    A run of the session takes and gives back a megabyte or two at the end of the heap, and the allocator keeps some of it or
    not: what seems to grow is measured again, up to three times. A leak grows every time.
    """
    warm_up()
    for _ in range(3):
        first = resident(session), contexts(session)
        work()
        last = resident(session), contexts(session)
        grown = last[0] - first[0], last[1] - first[1]
        if max(grown) <= limit:
            break
    ok(max(grown) <= limit, f"{what}: memory grows by {grown[0]} kB, PostgreSQL's own by {grown[1]} kB, at most {limit} kB")
    is_(threads(session.pid), (1, 1), f"{what}: one thread")


def distinct(call, start, count):
    return f"SELECT count({call.format(q=chr(39) + 'how do I reset thing ' + chr(39) + ' || i')}) FROM generate_series({start}, {start + count - 1}) AS i"


for call in ("query_type({q})", "(classify_query({q})).scores"):
    session = server.session(DB)
    before = session.psql("SELECT inferences FROM harca.backend_status()")
    grows_little(
        f"100,000 distinct calls of {call.split('(')[call.startswith('(')]}",
        session,
        lambda: session.psql(distinct(call, 1, 2000)),
        lambda: session.psql(distinct(call, 10001, 100000), timeout=120),
    )
    is_(
        session.psql(f"SELECT inferences - {before}, cache_entries FROM harca.backend_status()"),
        "102000|1000",
        "the model has run on each, and the cache is full",
    )
    session.close()

session = server.session(DB)
grows_little(
    "statement by statement, 5,000 times",
    session,
    lambda: session.psql(";".join(f"SELECT query_type('what is item {i}') \\g /dev/null\n" for i in range(2000))),
    lambda: session.psql(";".join(f"SELECT query_type('where is item {i}') \\g /dev/null\n" for i in range(5000))),
)
session.close()

# The array is large itself, and the C library keeps freed blocks of that size for a while: the rows go to disk here, and a
# first pass over another array of the same size warms up.
session = server.session(DB)
batch = "SELECT count(*) FROM classify_queries(ARRAY(SELECT 'how do I {n} report ' || i FROM generate_series(1, {size}) AS i));"
session.psql("SET work_mem = '64kB'")
grows_little(
    "classify_queries over 100,000 elements, three times",
    session,
    lambda: session.psql(batch.format(n=0, size=100000), timeout=120),
    lambda: session.psql("".join(batch.format(n=n, size=100000) for n in (1, 2, 3)), timeout=120),
)
session.close()
session = server.session(DB)
grows_little(
    "classify_queries over 2,000 elements, 50 times",
    session,
    lambda: session.psql("".join(batch.format(n=n, size=2000) for n in range(5)), timeout=120),
    lambda: session.psql("".join(batch.format(n=n, size=2000) for n in range(100, 150)), timeout=120),
)
session.close()

# Errors raised around the classification, and by PostgreSQL inside it: the rows do not fit into temp_file_limit.
FAILING = {
    "an error beside the call": "SELECT query_type('what about ' || n), 1 / (n - n) FROM (SELECT {n}) AS t (n)",
    "an error inside classify_queries": "SELECT count(*) FROM classify_queries(ARRAY(SELECT 'item {n} ' || i FROM generate_series(1, 700) AS i))",
    "an error of load_model": "SELECT harca.load_model()",
}
STATES = {"an error beside the call": "22012", "an error inside classify_queries": "53400", "an error of load_model": "58P01"}
SETTINGS = {
    "an error inside classify_queries": "SET work_mem = '64kB'; SET temp_file_limit = '16kB'",
    "an error of load_model": "SET pg_harca.model = '/nowhere'",
}
for what, statement in FAILING.items():
    session = server.session(DB)
    session.psql(f"SELECT query_type('warm'); {SETTINGS.get(what, '')}")
    loop = """DO $$
        DECLARE code text; seen integer := 0;
        BEGIN
            FOR i IN {start}..{end} LOOP
                BEGIN
                    EXECUTE replace($q${statement}$q$, '{{n}}', i::text);
                EXCEPTION WHEN OTHERS THEN
                    IF SQLSTATE = '{state}' THEN seen := seen + 1; ELSE RAISE; END IF;
                END;
            END LOOP;
            ASSERT seen = {end} - {start} + 1, seen;
        END $$"""
    run = lambda start, end: session.psql(loop.format(start=start, end=end, statement=statement, state=STATES[what]), timeout=120)  # noqa: E731
    grows_little(f"2,000 times {what}", session, lambda: run(1, 200), lambda: run(1001, 3000))
    like(
        session.psql("RESET ALL; SELECT (classify_query('is it still here')).model"),
        "^query_type ",
        f"2,000 times {what}: the session works",
    )
    session.close()

session = server.session(DB)
cancelled = "BEGIN; SET LOCAL statement_timeout = '3ms'; SELECT count(*) FROM batch, classify_queries(queries); ROLLBACK;"


def cancel(times):
    """Runs into the timeout so many times; psql goes on after each."""
    session.send(cancelled * times)
    text = ""
    try:
        text = session.wait(120)
    except Exception as error:  # every one of them is an error: that is the point
        text = getattr(error, "stderr", str(error))
    return text.count("57014")


seen = []
grows_little("500 cancels", session, lambda: cancel(50), lambda: seen.append(cancel(500)))
is_(set(seen), {500}, "500 cancels: each of them was one")
session.close()

# A model that is loaded again and again leaves nothing behind. Its 2 MB are released and taken anew each time, so the heap
# rises and falls by two of them; a model that stayed would make it 400 MB.
session = server.session(DB)
switch = "SET pg_harca.model = query_type; SELECT query_type('x y'); SET pg_harca.model = builtin; SELECT query_type('x y');"
grows_little(
    "200 changes of the model",
    session,
    lambda: session.psql(switch * 10),
    lambda: session.psql(switch * 100, timeout=120),
    limit=8192,
)
session.close()

# A larger cache takes what it says, and gives it back.
session = server.session(DB)
session.psql("SELECT query_type('warm')")
before = resident(session)
session.psql(f"SET pg_harca.local_cache_size = 100000; {distinct('query_type({q})', 1, 100000)}", timeout=120)
full = resident(session) - before
session.psql("SET pg_harca.local_cache_size = 10; SELECT query_type('x y')")
is_(session.psql("SELECT cache_entries FROM harca.backend_status()"), "10", "a cache that is made smaller forgets at once")
ok(2048 < full < 100000 * 300 / 1024, f"100,000 entries take {full * 1024 // 100000} bytes each")
session.close()
server.psql(f"DROP DATABASE {DB} WITH (FORCE)")
done()
