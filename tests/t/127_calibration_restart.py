#!/usr/bin/env python3
"""What a search target has learned from its searches comes through a restart, and neither a crash nor a damaged file keeps the
server from coming up and answering."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, ok  # noqa: E402

DB = "harca_learned"
server = Server(f"test-learned-{os.getpid()}", settings={"shared_preload_libraries": "pg_harca"})
server.start()
server.psql(f"CREATE DATABASE {DB}")
# A row is about one of 40 things and near the direction of that thing.
server.psql(
    """CREATE EXTENSION pg_harca CASCADE;
    CREATE FUNCTION direction(thing integer, noise float8) RETURNS vector LANGUAGE sql IMMUTABLE AS $$
        SELECT array_agg(sin(thing * n * 1.7) + noise * sin(thing + n * 31.0) ORDER BY n)::vector FROM generate_series(1, 16) AS n $$;
    CREATE TABLE memory (id integer PRIMARY KEY, content text, embedding vector(16),
                         tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED);
    INSERT INTO memory SELECT i, format('people talked about thing%s and what they felt', i % 40), direction(i % 40, 0.1 + (i % 7) / 20.0)
    FROM generate_series(1, 400) AS i;
    SELECT harca.register_search_target('memory', 'memory')""",
    DB,
)
file = server.data / "pg_harca.calibrations"


def ask(first, last):
    """Questions that differ."""
    server.psql(
        f"""SELECT count(*) FROM generate_series({first}, {last}) AS n,
            hybrid_search('memory', format('why did the people feel so strongly about thing%s, asked %s times?', n % 40, n), direction(n % 40, 0.2))""",
        DB,
    )


def learned():
    return server.psql("SELECT concat_ws(' ', searches, calibrated_from, calibrated_since, vector_weight, wording) FROM harca.stat_search_target", DB)


def wait_for_write(since):
    deadline = time.monotonic() + 30
    while file.stat().st_mtime_ns == since and time.monotonic() < deadline:
        time.sleep(0.1)
    return file.stat().st_mtime_ns > since


new = learned()
ask(1, 30)
known = learned()
ok(int(known.split()[0]) >= 20 and known != new, f"30 questions have told something: {known}")
for mode in ("fast", "smart"):
    server.restart(mode)
    is_(learned(), known, f"{mode} shutdown: it is known after the restart")
is_(oct(file.stat().st_mode & 0o777), "0o600", "the file is for the server alone")

server.configure(pg_harca__cache_dump_interval="1").reload()
since = file.stat().st_mtime_ns
ask(31, 35)
known = learned()
ok(wait_for_write(since), "the worker writes it, too, when the interval is over")
server.kill()
server.start()
is_(learned(), known, "and what it wrote is there after kill -9 of the postmaster")
server.configure(pg_harca__cache_dump_interval=None).restart()

server.psql("SELECT harca.reset_calibration('memory')", DB)
server.restart()
is_(learned(), new, "what was reset is not known again")

whole = file.read_bytes()
for what, content in {
    "an empty file": b"",
    "a foreign file": b"PGDMP" + bytes(100),
    "half a file": whole[: len(whole) // 2],
    "another format": whole.replace(b"calibrations 1", b"calibrations 0"),
    "an altered file": whole.replace(b"[", b"{"),
}.items():
    server.stop()
    file.write_bytes(content)
    if server.user:
        os.chown(file, server.user.pw_uid, server.user.pw_gid)
    before = server.log().count("file of the calibrations is discarded")
    server.start()
    found = learned(), server.log().count("file of the calibrations is discarded") - before, file.exists()
    is_(found, (new, 1, False), f"{what}: the server comes up and says in one line that it is discarded")
server.remove()
done()
