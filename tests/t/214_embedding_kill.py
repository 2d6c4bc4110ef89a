#!/usr/bin/env python3
"""Backends, the worker, the engine and the server are killed under a load of inserts, updates and deletes: at the end every embedding is that of its text, and nothing is left in the queue."""

import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import PgError, Server, done, is_, ok  # noqa: E402
from harness.transformer import EXPECTED, embedding, registration, until  # noqa: E402

DB = "harca_embedding_kill"
WIDTH = len(EXPECTED[0]["vector"])
# Of each of the four. HARCA_KILLS=30 takes some ten minutes.
KILLS = int(os.environ.get("HARCA_KILLS", "3"))
CLIENTS = 2
server = Server(f"test-embedding-kill-{os.getpid()}", settings={"shared_preload_libraries": "pg_harca"})
server.start()
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE", DB)


def sql(statement):
    return server.psql(statement, DB)


IN_STEP = "(SELECT p.state = 'in step' AND p.pending = 0 AND p.failed = 0 FROM harca.embedding_progress AS p)"
sql(registration(embedding("tiny")))
sql(f"CREATE TABLE memory (id int PRIMARY KEY, content text, kind int, tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED, embedding vector({WIDTH}))")
sql("INSERT INTO memory (id, content) SELECT i, 'before ' || i FROM generate_series(1, 2000) AS i")
sql("SELECT harca.embed_table('memory', 'tiny', rows_per_second => 200)")

stop = threading.Event()
statements, lost = [0] * CLIENTS, [0] * CLIENTS


def client(number):
    """Writes as long as it is let, by one connection after the other."""
    chance, session = random.Random(number), None
    while not stop.is_set():
        first = chance.randrange(1, 4000)
        statement = chance.choice([
            f"INSERT INTO memory (id, content) SELECT i, 'new {first} ' || i FROM generate_series({first}, {first + 5}) AS i ON CONFLICT (id) DO UPDATE SET content = excluded.content",
            f"UPDATE memory SET content = 'changed {chance.random()}' WHERE id BETWEEN {first} AND {first + 5}",
            f"UPDATE memory SET kind = {first} WHERE id BETWEEN {first} AND {first + 50}",
            f"DELETE FROM memory WHERE id BETWEEN {first} AND {first + 2}",
            f"BEGIN; UPDATE memory SET content = 'never' WHERE id = {first}; ROLLBACK",
        ])  # fmt: skip
        try:
            session = session or server.session(DB)
            session.psql(statement)
            statements[number] += 1
        except (PgError, OSError, TimeoutError, ValueError):
            # Two clients may also have met at one row; or it was killed.
            lost[number] += 1
            if session:
                session.process.kill()
            session = None
            time.sleep(0.1)
        time.sleep(0.01)
    if session:
        session.close()


def process_of(what):
    """The process to be killed; none where it is not there just now."""
    of = {
        "backend": "SELECT min(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        "worker": "SELECT min(pid) FROM pg_stat_activity WHERE backend_type = 'pg_harca database worker'",
        "engine": "SELECT pid FROM harca.engine_status()",
    }
    try:
        found = sql(of[what])
        return int(found) if found else None
    except PgError:
        return None


threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
for thread in threads:
    thread.start()
seed, killed = random.Random(21), {"backend": 0, "worker": 0, "engine": 0, "server": 0}
for what in sorted(list(killed) * KILLS, key=lambda _: seed.random()):
    time.sleep(seed.random() * 2)
    if what == "server":
        server.stop("immediate")
        server.start()
        killed[what] += 1
        continue
    for _ in range(600):
        pid = process_of(what)
        if pid:
            break
        time.sleep(0.1)
    try:
        os.kill(pid, signal.SIGKILL)
        killed[what] += 1
    except (ProcessLookupError, TypeError):
        pass
    server.wait_ready()
stop.set()
for thread in threads:
    thread.join()
ok(all(count >= KILLS - 1 for count in killed.values()), f"killed: {killed}")
ok(min(statements) > 0, f"{sum(statements)} statements, {sum(lost)} lost")
ok(until(server, IN_STEP, DB, attempts=3000), "at the end the table is in step")
ok(until(server, "(SELECT e.state = 'running' FROM harca.engine_status() AS e)", DB), "and the engine runs")
is_(sql("SELECT count(*) FROM harca.embedding_queue"), "0", "nothing is left in the queue")
is_(sql("SELECT count(*) FROM memory WHERE embedding IS NULL"), "0", "every row has an embedding")
is_(
    sql(
        "WITH told AS (SELECT row_number() OVER () AS n, content, embedding AS found FROM memory)"
        " SELECT count(*) FROM told JOIN harca.embed((SELECT array_agg(content ORDER BY n) FROM told), 'tiny') AS e ON e.ordinality = told.n"
        " WHERE NOT told.found <=> e.embedding < 1e-5"
    ),
    "0",
    "and it is that of its text",
)

# A worker that is killed before it has connected leaves what it has written of its start.
sql("INSERT INTO memory (id, content) VALUES (9999, 'written while no worker begins')")
data = sql("SHOW data_directory")
server.stop("immediate")
with open(f"{data}/pg_harca_engine.databases", encoding="ascii") as file:
    databases = [line.split()[:2] for line in file]
is_(len(databases), 1, "the database of the worker is written down")
with open(f"{data}/pg_harca_engine.databases", "w", encoding="ascii") as file:
    file.writelines(" ".join([*database, "1"]) + "\n" for database in databases)
server.start()
ok(until(server, IN_STEP, DB, attempts=3000), "its start is tried again")
server.remove()
done()
