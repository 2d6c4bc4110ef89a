#!/usr/bin/env python3
"""Servers as people run them give the answers that a plain one gives: with hundreds of idle sessions, behind PgBouncer in transaction
mode, read only, with JIT for everything, with strings that are equal although they differ, in huge pages.

PgBouncer is skipped where scripts/setup_pgbouncer.sh has not unpacked it, and what a server was built without.
"""

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import namedtuple

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import PgError, Server, done, is_, ok, skip  # noqa: E402
from harness.places import BUILD, as_user, own_folder  # noqa: E402
from harness.wire import Connection  # noqa: E402

DB = "harca_production"
IDLE = 500
CLIENTS, CONNECTIONS, ROUNDS = 20, 3, 10
HUGE_PAGES = 256

server = Server(
    f"test-production-{os.getpid()}",
    settings={"shared_preload_libraries": "pg_harca", "max_connections": 1000, "shared_buffers": "128MB"},
)
server.start()
postmaster = server.postmaster_pid()
server.psql(f"CREATE DATABASE {DB}")
ROWS = """
    SELECT 'note ' || i, 'report ' || i || CASE i % 3 WHEN 0 THEN ' harbour' WHEN 1 THEN ' crane' ELSE ' harbour crane' END,
           CASE WHEN i % 2 = 0 THEN 'Note' ELSE 'fact' END, ARRAY[cos(i / 50.0), sin(i / 50.0)]::vector
    FROM generate_series(1, 300) AS i"""
COLUMNS = "embedding vector(2), tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED"
server.psql(
    f"""
    CREATE EXTENSION pg_harca CASCADE;
    CREATE TABLE memory (id text PRIMARY KEY, content text, kind text, {COLUMNS});
    INSERT INTO memory {ROWS};
    CREATE INDEX ON memory USING gin (tsv);
    CREATE INDEX ON memory USING hnsw (embedding vector_cosine_ops);
    ANALYZE memory;
    SELECT harca.register_search_target('memory', 'memory', calibration => 'off');
    """,
    DB,
)
SEARCH = "SELECT id, score, keyword_rank, vector_rank FROM hybrid_search('{target}', '{query}', {embedding}, 7)"
SEARCHES = [
    (query, embedding)
    for query in ("harbour report", "report 7 crane", "what happened to the crane of the harbour")
    for embedding in ("NULL", "'[0, 1]'", "'[1, 0]'")
]
ASKED = [SEARCH.format(target="memory", query=query, embedding=embedding) for query, embedding in SEARCHES]
ASKED += [
    "SELECT query_type, confidence FROM classify_query('what happened to the crane')",
    "SELECT query, query_type FROM classify_queries(ARRAY['git rebase --onto', 'causes of the french revolution'])",
    "SELECT id FROM hybrid_search('memory', 'crane', filter => '{\"kind\": \"fact\"}')",
    "SELECT hybrid_search_explain('memory', 'harbour') -> 'query_type'",
]


def answers(connection, asked=ASKED):
    """What a connection gives for each statement."""
    return [connection.query(sql) for sql in asked]


with Connection(server, DB) as plain:
    expected = answers(plain)
ok(all(expected), "a plain session answers everything")


def with_settings(*settings):
    """What a new session gives under settings of its own."""
    with Connection(server, DB) as connection:
        for setting in settings:
            connection.query(f"SET {setting}")
        return answers(connection)


is_(with_settings("default_transaction_read_only = on"), expected, "read only: the same answers")
state, _ = server.refused("SET default_transaction_read_only = on; SELECT harca.record_feedback('memory', 'crane', 'note 1')", DB)
is_(state, "25006", "and what writes is refused as PostgreSQL refuses it")
if server.psql("SELECT pg_jit_available()") == "t":
    costs = [f"{name} = 0" for name in ("jit_above_cost", "jit_inline_above_cost", "jit_optimize_above_cost")]
    is_(with_settings("jit = on", *costs), expected, "JIT for everything: the same answers")
else:
    skip("JIT for everything", "this server was built without LLVM, or it is not installed")

try:
    server.psql("CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)", DB)
    loose = True
except PgError as error:
    skip("strings that are equal although they differ", f"this server has no ICU ({error.sqlstate})")
    loose = False
if loose:
    server.psql(
        f"""
        CREATE TABLE loose (id text COLLATE loose PRIMARY KEY, content text COLLATE loose, kind text COLLATE loose, {COLUMNS});
        INSERT INTO loose {ROWS};
        SELECT harca.register_search_target('loose', 'loose', calibration => 'off');
        """,
        DB,
    )
    with Connection(server, DB) as connection:
        found = answers(connection, [SEARCH.format(target="loose", query=query, embedding=embedding) for query, embedding in SEARCHES])
        # How far its similarities spread is measured by a sample, and moves the scores a little.
        ids = [[[row[0] for row in page] for page in pages] for pages in (found, expected[: len(SEARCHES)])]
        is_(ids[0], ids[1], "a collation for which unlike strings are equal: the same rows")
        notes = connection.query("SELECT id FROM hybrid_search('loose', 'crane', \"limit\" => 300, filter => '{\"kind\": \"NOTE\"}')")
        same = connection.query("SELECT id FROM loose WHERE tsv @@ 'crane' AND kind = 'NOTE'")
        ok(same, "which has rows for another spelling")
        is_(sorted(notes), sorted(same), "and filters compare by it, as WHERE does")

# Idle sessions, each of which has searched and classified once.
sessions = [Connection(server, DB) for _ in range(IDLE)]
wrong = [session.pid for session in sessions if answers(session, ASKED[:1] + ASKED[-4:]) != expected[:1] + expected[-4:]]
is_(wrong, [], f"{IDLE} sessions that stay: each has the same answers")
is_(with_settings(), expected, "and so has one beside them")
state = server.psql("SELECT string_agg(DISTINCT state, ' ') FROM harca.health() WHERE component IN ('classification', 'shared memory')", DB)
is_(state, "ok", "nothing has run short")
for session in sessions:
    session.close()

Pool = namedtuple("Pool", "socket port")


def pooled():
    """PgBouncer with few connections to the server; its process, and where it is asked."""
    folder = server.folder / "pgbouncer"
    own_folder(folder, server.user)
    (folder / "users").write_text('"postgres" ""\n', encoding="utf-8")
    (folder / "pgbouncer.ini").write_text(
        f"""[databases]
{DB} = host={server.socket} port={server.port} dbname={DB}
[pgbouncer]
listen_port = 6432
listen_addr =
unix_socket_dir = {server.socket}
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {CONNECTIONS}
max_client_conn = 100
logfile = {folder}/log
""",
        encoding="utf-8",
    )
    # The server's user need not reach the folder of this checkout.
    shutil.copytree(BUILD / "pgbouncer/usr", folder / "usr")
    libraries = next((folder / "usr/lib").glob("*-linux-gnu"))
    process = subprocess.Popen(
        [folder / "usr/sbin/pgbouncer", "-q", folder / "pgbouncer.ini"], cwd="/", stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "LD_LIBRARY_PATH": str(libraries)}, **as_user(server.user),
    )  # fmt: skip
    for _ in range(600):
        if (server.socket / ".s.PGSQL.6432").exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    return process, Pool(server.socket, 6432)


def client(pool, number, backends, faults):
    """Statements by themselves and in transactions, with settings of their own and a cursor, in the order of its number."""
    draw = random.Random(number)
    try:
        with Connection(pool, DB) as connection:
            for _ in range(ROUNDS):
                place = draw.randrange(len(ASKED))
                if connection.query(ASKED[place]) != expected[place]:
                    faults.append(f"client {number}: {ASKED[place]}")
                connection.query("BEGIN")
                backends.add(connection.value("SELECT pg_backend_pid()"))
                connection.query("SET LOCAL pg_harca.enabled = off")
                if connection.value("SELECT model FROM classify_query('what happened to the crane')") != "rules":
                    faults.append(f"client {number}: a setting of its transaction does not count")
                connection.query(f"DECLARE page CURSOR FOR {ASKED[1]}")
                page = [row for _ in range(8) for row in connection.query("FETCH 1 FROM page")]
                if page != by_rules[1]:
                    faults.append(f"client {number}: a cursor")
                connection.query("COMMIT")
    except Exception as error:  # noqa: BLE001
        faults.append(f"client {number}: {error!r}")


if (BUILD / "pgbouncer/usr/sbin/pgbouncer").exists():
    process, pool = pooled()
    by_rules = with_settings("pg_harca.enabled = off")
    backends, faults = set(), []
    threads = [threading.Thread(target=client, args=(pool, number, backends, faults)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    is_(faults[:5], [], f"{CLIENTS} clients of PgBouncer in transaction mode: each has its own answers and settings")
    ok(1 <= len(backends) <= CONNECTIONS, f"by {len(backends)} sessions of the server")
    process.terminate()
    process.wait()
else:
    skip("PgBouncer in transaction mode", "it is not here (scripts/setup_pgbouncer.sh)")

is_(server.postmaster_pid(), postmaster, "the server never restarted")
with open("/proc/meminfo", encoding="utf-8") as file:
    free = next((int(line.split()[1]) for line in file if line.startswith("HugePages_Free:")), 0)
if free >= HUGE_PAGES:
    server.configure(huge_pages="on")
    server.restart()
    is_(with_settings(), expected, "in huge pages: the same answers")
else:
    skip("huge pages", f"the system has {free} of them to spare (vm.nr_hugepages), and the test takes {HUGE_PAGES}")
server.stop()
server.remove()
done()
