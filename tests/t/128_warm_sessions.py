#!/usr/bin/env python3
"""Backends inherit the session from the postmaster when they can, build their own when they cannot, and leave nothing behind."""

import os
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, like, ok  # noqa: E402

DB = "harca_warm"
CYCLES = 1000
server = Server(f"test-warm-{os.getpid()}", settings={"shared_preload_libraries": "pg_harca", "pg_harca.executor": "onnxruntime"})
server.start()
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE", DB)
ONE = "SELECT query_type, model FROM classify_query('why are my searches slow')"
one = server.psql(ONE, DB)
like(one, r"^semantic\|query_type ", "the model answers")


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def private(pid):
    """What a process has written for itself alone, in kB; of files and shared memory there is one copy for all."""
    text = Path(f"/proc/{pid}/smaps").read_text()
    own = re.findall(r"^[0-9a-f]+-[0-9a-f]+ ...p [^\n]*\n(?:[A-Z][^\n]*\n)*?Private_Dirty:\s+(\d+)", text, re.M)
    return sum(map(int, own))


def resident(pid):
    """Memory in kB that is no file's; what a process shares with its children counts, too, whether it has any or not."""
    return int(Path(f"/proc/{pid}/status").read_text().split("\nRssAnon:")[1].split()[0])


def opened(pid):
    """Where the runtime stands: mapped by the process or not."""
    return "libonnxruntime" in Path(f"/proc/{pid}/maps").read_text()


def grows(kind, most):
    """What a first call adds to a backend, in kB."""
    session = server.session(DB)
    session.psql("SELECT md5('x')")
    before = private(session.pid)
    session.psql(ONE)
    grown = private(session.pid) - before
    session.close()
    ok(grown <= most, f"{kind}: a first call adds {grown} kB to a backend, at most {most}")
    return grown


is_(threads(server.postmaster_pid()), 1, "the postmaster has one thread")
ok(opened(server.postmaster_pid()), "and the runtime")
warm = grows("inherited", 512)
session = server.session(DB)
is_(session.psql("SELECT state, inferences FROM harca.backend_status()"), "not loaded|0", "a new session has asked for nothing")
like(session.psql("SELECT harca.prewarm()"), "^query_type ", "prewarm takes the model over")
is_(session.psql("SELECT state, threads FROM harca.backend_status()"), "ready|1", "and there it is")
# Another model, and back: what was inherited is left alone, and a session of its own takes its place.
for setting in ("query_type", "builtin", "query_type"):
    session.psql(f"SET pg_harca.model = {setting}")
    is_(session.psql(ONE), one, f"model set to {setting}: the same answer")
is_(session.psql("SELECT state, threads FROM harca.backend_status()"), "ready|1", "still one thread")
session.close()
# A reload assigns all settings again, and changes none.
session = server.session(DB)
session.psql(ONE)
before = private(session.pid)
server.reload()
session.psql("SELECT pg_sleep(0.5)")
session.psql(ONE.replace("slow", "still slow"))
ok(private(session.pid) - before < 1024, "a reload does not make a backend build a session of its own")
session.close()

# Parallel workers inherit it, too: each is a new process.
parallel = "SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; "
server.psql("CREATE TABLE many AS SELECT 'what is item ' || i AS query FROM generate_series(1, 20000) AS i; ANALYZE many", DB)
is_(
    server.psql(f"{parallel} SELECT count(*) FROM many WHERE query_type(query) IS NOT NULL", DB), "20000", "parallel workers answer"
)

def until(condition, seconds=20):
    """Waits for what follows soon, such as the end of a process that has closed its connection."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def title(pid):
    """What a process calls itself; the server's own come and go, and do not name a database."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def ended(pid):
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except (FileNotFoundError, ProcessLookupError):
        return True


# Connections that come and go.
postmaster = server.postmaster_pid()


def left_behind():
    files = len(os.listdir(f"/proc/{postmaster}/fd"))
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    return threads(postmaster), files, sum(f" {DB} " in title(pid) for pid in children)


server.psql(ONE, DB)
until(lambda: left_behind()[2] == 0)
before, memory = left_behind(), resident(postmaster)
script = f"{ONE} \\g /dev/null\n\\c\n" * (CYCLES - 1)
is_(server.psql(script + ONE, DB, timeout=300).splitlines()[-1], one, f"{CYCLES} times connect, classify, disconnect")
until(lambda: left_behind() == before)
is_(left_behind(), before, "leave no thread, file or process behind")
ok(resident(postmaster) - memory < 1024, "nor memory in the postmaster")
for mode in ("smart", "fast", "immediate"):
    server.stop(mode)
    is_(server.running(), False, f"{mode} shutdown ends it")
    ok(until(lambda: ended(postmaster)), f"{mode}: no process stays")
    server.start()
    postmaster = server.postmaster_pid()
    is_(server.psql(ONE, DB), one, f"after a {mode} shutdown: the same answer")

# When it cannot be had, the server comes up all the same.
for what, settings, line in (
    ("a missing model", {"pg_harca__model": "/nowhere"}, "model cannot be read"),
    ("a missing runtime", {"pg_harca__onnxruntime_path": "/nowhere.so"}, "ONNX Runtime cannot be loaded"),
):
    before = server.log().count(line)
    server.configure(**settings).restart()
    is_(server.log().count(line) - before, 1, f"{what}: one line in the log")
    like(server.run(ONE, DB).out, r"\|rules$", f"{what}: the rules answer")
    server.configure(**dict.fromkeys(settings))
server.configure(pg_harca__preload_session="off").restart()
is_(server.psql(ONE, DB), one, "switched off: each backend has its own")
ok(not opened(server.postmaster_pid()), "switched off: the postmaster has no runtime")
ok(grows("switched off", 64 * 1024) > warm, "switched off: which takes more memory")
server.remove()
done()
