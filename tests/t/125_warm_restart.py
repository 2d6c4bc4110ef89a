#!/usr/bin/env python3
"""The shared cache comes through a restart, and neither a crash nor a damaged file keeps the server from coming up and answering."""

import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import PgError, Server, done, is_, like, ok  # noqa: E402

DB = "harca_restart"
COUNT = 10000
# Room enough, as a key has only the 28 places of its two sets.
server = Server(f"test-restart-{os.getpid()}", settings={"shared_preload_libraries": "pg_harca", "pg_harca.cache_size": str(3 * COUNT)})
# Each takes a restart; the servers differ in nothing that matters here, so one of them is put to it in earnest.
TIMES = 50 if server.major >= 18 else 10
server.start()
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE", DB)
dump = server.data / "pg_harca.cache"
ASKED = f"FROM generate_series(1, {COUNT}) AS i"
ALL = f"SELECT md5(string_agg(query_type('what is the state of order ' || i), ',' ORDER BY i)) {ASKED}"
ONE = "SELECT query_type, model FROM classify_query('why are my searches slow')"


def shared(columns):
    return server.psql(f"SELECT {columns} FROM harca.stat_cache WHERE level = 'shared'", DB)


def log_lines(pattern):
    return sum(pattern in line for line in server.log().splitlines())


answers, one = server.psql(ALL, DB), server.psql(ONE, DB)
kept = int(shared("entries"))
ok(kept > 0.99 * COUNT, f"{kept} answers of {COUNT} have found room")
server.restart()
is_(shared("restored"), str(kept), "after a restart all of them are there")
is_(server.psql(ALL, DB), answers, "with the same answers")
hits = int(shared("hits"))
ok(hits >= 0.99 * COUNT, f"{hits} of {COUNT} queries hit")
is_(oct(dump.stat().st_mode & 0o777), "0o600", "the file is for the server alone")
for mode in ("smart", "fast"):
    server.restart(mode)
    ok(int(shared("restored")) >= kept, f"{mode} shutdown writes the file")

# Written while the server runs.
server.configure(pg_harca__cache_dump_interval="1").reload()
server.psql("SELECT query_type('a question that came late')", DB)
old, deadline = dump.stat().st_mtime_ns, time.monotonic() + 20
while dump.stat().st_mtime_ns == old and time.monotonic() < deadline:
    time.sleep(0.1)
ok(dump.stat().st_mtime_ns > old, "the worker writes it, too, when the interval is over")
server.kill()
server.start()
session = server.session(DB)
session.psql("SELECT query_type('a question that came late')")
is_(session.psql("SELECT cache_hits, inferences FROM harca.backend_status()"), "1|0", "and what it wrote is there after kill -9 of the postmaster")
session.close()
server.configure(pg_harca__cache_dump_interval=None).restart()

# Files that are none.
whole = dump.read_bytes()
rng = random.Random(4)


def altered():
    copy = bytearray(whole)
    copy[rng.randrange(len(copy))] ^= 1 << rng.randrange(8)
    return bytes(copy)


def comes_up_without(what, content):
    """Starts with this file; one line in the log says that it is discarded."""
    server.stop()
    if content is None:
        dump.unlink(missing_ok=True)
        os.mkfifo(dump)
    else:
        dump.write_bytes(content)
    if server.user:
        os.chown(dump, server.user.pw_uid, server.user.pw_gid)
    before = log_lines("file of the cache is discarded")
    server.start()
    found = server.psql(ONE, DB), shared("restored"), log_lines("file of the cache is discarded") - before
    if found != (one, "0", 1):
        is_(found, (one, "0", 1), f"{what}: answers, entries restored, lines in the log")
        return False
    return True


for what, content in {
    "an empty file": b"",
    "a foreign file": b"PGDMP" + bytes(1000),
    "half a file": whole[: len(whole) // 2],
    "a file with something behind it": whole + b"\0",
    "a file of another version": whole[:12] + b"0.0.1" + bytes(15) + whole[32:],
    "a file of another format": whole[:8] + b"\xff\0\0\0" + whole[12:],
    "a named pipe": None,
}.items():
    ok(comes_up_without(what, content), f"{what}: the server comes up, answers and says in one line that it is discarded")
is_(sum(comes_up_without("a bit was flipped", altered()) for _ in range(TIMES)), TIMES, f"{TIMES} files with one flipped bit: the same each time")

# Processes that die while they write.
# Long enough to be hit, and not longer: a backend at work does not notice that its postmaster is gone.
WRITE = "SELECT count(query_type('what becomes of parcel ' || i || ' ' || random())) FROM generate_series(1, 20000) AS i"
survived = 0
for _ in range(TIMES):
    victims = [server.session(DB), server.session(DB)]
    for victim in victims:
        victim.send(WRITE)
    time.sleep(rng.uniform(0.02, 0.1))
    server.kill(victims[0].pid, signal.SIGKILL)
    for victim in victims:
        try:
            victim.wait(30)
        except PgError:
            pass
        victim.process.kill()
        victim.process.wait()
    survived += server.wait_ready() and server.psql(ONE, DB) == one
is_(survived, TIMES, f"{TIMES} times kill -9 of a backend in the midst of writes: the server recovers and answers")
survived = 0
for _ in range(TIMES):
    writer = server.session(DB)
    writer.send(WRITE)
    time.sleep(rng.uniform(0.02, 0.1))
    server.kill()
    writer.process.kill()
    writer.process.wait()
    server.start()
    survived += server.psql(ONE, DB) == one
is_(survived, TIMES, f"{TIMES} times kill -9 of the postmaster: the same")
is_(server.psql(ALL, DB), answers, "after all of it, ten thousand answers are as they were")
server.restart("immediate")
is_(server.psql(ONE, DB), one, "immediate shutdown: the same answer")
like(server.psql("SELECT count(*) FROM harca.stat_cache WHERE level = 'shared'", DB), "^1$", "and a shared cache")
server.remove()
done()
