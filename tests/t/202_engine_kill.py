#!/usr/bin/env python3
"""The engine is killed again and again under load, and by its memory bound, and crashes by a model: no classification fails, no session ends, and it is back; a model that brings it down is quarantined until it is released."""

import contextlib
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import PgError, Server, done, is_, like, ok  # noqa: E402
from harness.onnx import hungry_beyond  # noqa: E402
from harness.transformer import LABELS, manifest, registration, until  # noqa: E402

DB = "harca_engine_kill"
# HARCA_KILLS=50 takes three minutes: the engine pauses longer and longer before it is started again.
KILLS = int(os.environ.get("HARCA_KILLS", "12"))
CLIENTS = 4
server = Server(
    f"test-engine-kill-{os.getpid()}",
    settings={
        "shared_preload_libraries": "pg_harca", "pg_harca.max_latency": "0", "pg_harca.local_cache_size": "0", "pg_harca.cache_size": "0",
        "pg_harca.engine_memory": "512MB",
    },  # fmt: skip
)
server.start()
postmaster = server.postmaster_pid()
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE", DB)


def sql(statement):
    return server.psql(statement, DB)


RUNNING = "(SELECT e.state = 'running' FROM harca.engine_status() AS e)"
ok(until(server, RUNNING, DB), "the engine runs")
sql(registration(manifest()))
sql("SELECT harca.activate_model('tiny', true)")
# What they take for a text of more than 50 tokens: 600 MB, beyond the bound of the engine, and 1.6 GB, which the system refuses.
golden = [{"query": "zebra", "type": LABELS[0]}]
for name, numbers in [("hungry", 75_000_000), ("greedy", 400_000_000)]:
    graph = hungry_beyond(50, numbers, len(LABELS))
    sql(registration(manifest(name, graph=graph, inputs={"ids": "features"}, golden=golden), graph))

stop = threading.Event()
failures, answers, named_errors, named = [], [0] * CLIENTS, [], [0] * CLIENTS


def client(number):
    """Classifies as long as it is let; the answers of an own session, and of a model by its name."""
    session = server.session(DB)
    backend = session.psql("SELECT pg_backend_pid()")
    count = 0
    while not stop.is_set():
        count += 1
        try:
            found = session.psql(f"SELECT query_type FROM classify_query('why does query {number} {count} take so long')")
            if not found.strip():
                failures.append("an answer without a type")
            answers[number] += 1
        except Exception as error:  # noqa: BLE001
            failures.append(str(error))
            break
        try:
            session.psql(f"SELECT harca.classify('the wording of query {number} {count}', 'tiny')")
            named[number] += 1
        except PgError as error:
            named_errors.append(error.sqlstate)
    if session.psql("SELECT pg_backend_pid()") != backend:
        failures.append("a session was lost")
    session.close()


threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
for thread in threads:
    thread.start()
killed, seed = 0, random.Random(20)
for _ in range(KILLS):
    while True:
        pid = sql("SELECT pid FROM harca.engine_status()")
        if pid:
            break
        time.sleep(0.02)
    time.sleep(seed.random() * 0.2)
    try:
        os.kill(int(pid), signal.SIGKILL)
        killed += 1
    except ProcessLookupError:
        pass
ok(until(server, RUNNING, DB), f"after {killed} kills it is back")

pid = sql("SELECT pid FROM harca.engine_status()")
state, text = server.refused("SELECT harca.classify(repeat('long ', 90), 'greedy')", DB)
ok(state == "38000" and "bad_alloc" in text, f"memory that the system refuses is an error of who asked ({state})")
is_(sql("SELECT pid FROM harca.engine_status()"), pid, "and the engine goes on")
ends = 0
for _ in range(20):
    ok(until(server, RUNNING, DB), "it runs")
    before = int(sql("SELECT restarts FROM harca.engine_status()"))
    try:
        sql("SELECT harca.classify(repeat('long ', 90), 'hungry')")
    except PgError as error:
        ok(error.sqlstate in ("55000", "38000"), f"a run beyond the memory of the engine is one clean error ({error.sqlstate})")
        if "quarantined" in error.stderr:
            break
    ok(until(server, f"(SELECT e.restarts > {before} FROM harca.engine_status() AS e)", DB), "the engine is started anew")
    ends += 1
is_(ends, 3, "after three ends by its memory bound the model is quarantined")
is_(sql("SELECT harca.classify('short', 'tiny') IS NOT NULL"), "t", "the other one answers")
ADVICE = "SELECT severity, subject, split_part(statement, ' --', 1) FROM harca.advise() WHERE rule = 'quarantined model'"
is_(sql(ADVICE), "critical|hungry 1|SELECT harca.release_model('hungry 1')", "harca.advise() says how it comes back")
ok("bytes of 536870912 that it may have, and ends" in server.log(), "the log says why it ended")
is_(sql("SELECT harca.release_model('hungry')"), "t", "it is released")
ok(until(server, "(SELECT state FROM harca.health() WHERE component = 'engine') = 'running'", DB), "the engine hears of it")
is_(sql(ADVICE), "", "and nothing once it is")
before = sum(named)
for _ in range(600):
    if sum(named) > before + CLIENTS:
        break
    time.sleep(0.1)
stop.set()
for thread in threads:
    thread.join()
is_(failures, [], "no classification failed, no session was lost")
ok(killed >= KILLS - 2 and min(answers) > 0, f"{sum(answers)} answers under {killed} kills")
ok(sum(named) > before, "the model answers by its name again")
ok(set(named_errors) <= {"55000"}, f"who asked by name had one clean error each ({len(named_errors)})")
is_(server.postmaster_pid(), postmaster, "the server never restarted")
is_(sql("SELECT state FROM harca.health() WHERE component = 'engine'"), "running", "kills from outside are no model's fault")

# A crash while a model is at work is laid at its door. The file that says what is at work is written by the engine; here it
# is stopped in the midst of a run, as a model that crashes would stop it.
identity = sql("SELECT identity FROM harca.models WHERE name = 'tiny'")
data = sql("SHOW data_directory")
for strike in range(3):
    ok(until(server, RUNNING, DB), f"it runs (strike {strike})")
    pid = int(sql("SELECT pid FROM harca.engine_status()"))
    os.kill(pid, signal.SIGSTOP)
    with open(f"{data}/pg_harca_engine.at_work", "r+b") as file:
        file.write(b"\x01" + bytes.fromhex(identity))
    os.kill(pid, signal.SIGABRT)
    # On a busy machine both signals may find it before it has stopped, and the second ends it.
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    ok(until(server, f"(SELECT coalesce(e.pid, {pid}) <> {pid} FROM harca.engine_status() AS e)", DB), "it is started again")
ok(until(server, RUNNING, DB), "it runs without the model")
like(sql("SELECT query_type FROM classify_query('what does the quarantined model say')"), "semantic", "the previous model answers")
try:
    sql("SELECT harca.classify('what does the quarantined model say', 'tiny')")
    ok(False, "asked by its name it is refused")
except PgError as error:
    like(error.stderr, "quarantined", "asked by its name it is refused")
is_(sql("SELECT state FROM harca.health() WHERE component = 'engine'"), "quarantine", "health says so")
is_(sql("SELECT DISTINCT model FROM harca.stat_engine WHERE state = 'quarantined'"), "tiny 1", "and the statistics, by a name that this engine never heard")
is_(sql("SELECT harca.release_model('tiny')"), "t", "it is released")
is_(sql("SELECT harca.release_model('tiny')"), "f", "once")
ok(until(server, "(SELECT state FROM harca.health() WHERE component = 'engine') = 'running'", DB), "the engine hears of that one, too")
is_(sql("SELECT query_type IS NOT NULL FROM harca.classify('is the model back', 'tiny')"), "t", "and runs it again")
server.stop()
server.remove()
done()
