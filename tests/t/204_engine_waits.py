#!/usr/bin/env python3
"""Without preload the first session that needs the engine starts it; a wait for it ends by a cancel, by a timeout and by its own bound; and it ends when the server dies."""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import PgError, Server, done, is_, like, ok  # noqa: E402
from harness.transformer import manifest, registration, until  # noqa: E402

DB = "harca_engine_waits"
server = Server(f"test-engine-waits-{os.getpid()}", settings={"pg_harca.max_latency": "0"})
server.start()
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE", DB)


def sql(statement):
    return server.psql(statement, DB)


def refused(statement):
    return server.refused(statement, DB)


is_(sql("SELECT state FROM harca.engine_status()"), "not started", "without preload nothing is started before it is needed")
is_(sql("SELECT query_type FROM classify_query('東京 天気')"), "keyword", "nor by a model that a backend runs itself")
is_(sql("SELECT state FROM harca.engine_status()"), "not started", "nothing is there yet")
is_(sql(registration(manifest())), "tiny 1", "the first who needs the engine has it started")
sessions = [server.session(DB) for _ in range(3)]
pids = {session.psql("SELECT pid FROM harca.engine_status()") for session in sessions}
ok(len(pids) == 1, "all sessions have the same one")
pid = int(pids.pop())
for session in sessions:
    session.close()

WAIT = "SELECT harca.classify('does anybody answer', 'tiny')"
os.kill(pid, signal.SIGSTOP)
session = server.session(DB)
backend = session.psql("SELECT pg_backend_pid()")
session.psql("SET pg_harca.engine_timeout = 0")
session.send(WAIT)
waiting = f"(SELECT count(*) FROM pg_stat_activity WHERE pid = {backend} AND state = 'active' AND wait_event = 'Extension') = 1"
ok(until(server, waiting, DB), "a session waits for an engine that stands still")
sql(f"SELECT pg_cancel_backend({backend})")
try:
    session.wait()
    ok(False, "the wait ends by a cancel")
except PgError as error:
    is_(error.sqlstate, "57014", "the wait ends by a cancel")
is_(session.psql("SELECT 1"), "1", "and the session goes on")
is_(refused(f"SET pg_harca.engine_timeout = 0; SET statement_timeout = 300; {WAIT}")[0], "57014", "by statement_timeout")
state, text = refused(f"SET pg_harca.engine_timeout = 300; {WAIT}")
ok(state == "55000" and "engine_timeout" in text, "by pg_harca.engine_timeout")
sql("SELECT harca.activate_model('tiny', true)")
is_(server.psql("SET pg_harca.engine_timeout = 300; SELECT model LIKE 'query_type%' FROM classify_query('who answers now')", DB), "t", "then a classification takes its fallback")
os.kill(pid, signal.SIGCONT)
is_(session.psql("SELECT query_type IS NOT NULL FROM harca.classify('is it back', 'tiny')"), "t", "it answers when it goes on")
is_(sql("SELECT failed FROM harca.stat_engine WHERE model = 'tiny 1' AND priority = 'interactive'"), "0", "what was given up was taken back, and is no failure")
session.close()

server.configure(**{"pg_harca.engine_queue": "1", "pg_harca.engine_wait": "0"})
server.reload()
many = "ARRAY(SELECT 'word ' || n FROM generate_series(1, 900) AS n)"
is_(sql(f"SELECT count(*) FROM harca.classify({many}, 'tiny')"), "900", "a single request finds room in an empty queue, however large it is")

folder = sql("SHOW data_directory")
server.kill(number=signal.SIGKILL)
for _ in range(600):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as status:
            ended = status.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        ended = True
    if ended:
        break
    time.sleep(0.05)
ok(ended, "it ends when the server dies")
server.start()
is_(sql("SELECT state FROM harca.engine_status()"), "not started", "a server that begins anew knows nothing of the former engine")
is_(sql("SELECT query_type IS NOT NULL FROM harca.classify('and again', 'tiny')"), "t", "and starts one when it is needed")
server.stop()
server.remove()
done()
