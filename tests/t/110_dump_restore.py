#!/usr/bin/env python3
"""The extension can be dropped and created under a session that uses it, and a dump keeps what was registered."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, like, skip  # noqa: E402

server = Server.attach()
DB, RESTORED, DUMPER = "harca_dump", "harca_restored", "harca_dumper"
server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
server.psql(f"CREATE DATABASE {DB}")
server.psql(
    """
    CREATE EXTENSION pg_harca CASCADE;
    CREATE TABLE memory (id integer PRIMARY KEY, content text, tsv tsvector, embedding vector(2));
    INSERT INTO memory VALUES (1, 'harbour plan', to_tsvector('harca', 'harbour plan'), '[1,0]'), (2, '昼食', to_tsvector('harca', '昼食'), '[0,1]');
    INSERT INTO memory SELECT i, 'note', to_tsvector('harca', 'note'), '[0,1]' FROM generate_series(3, 20) AS i;
    SELECT harca.register_search_target('memory', 'memory', vector_weight => 0.6);
    UPDATE harca.search_profile SET vector_weight = 0.125 WHERE query_type = 'keyword';
    INSERT INTO harca.search_feedback VALUES ('memory', 'harbour', '[1,0]', '1', 2, 'somebody', '2026-01-01');
    INSERT INTO harca.search_tuning VALUES ('memory', '2026-01-02', 12, 0.5, 0.6, '{"k1": 1}')
    """,
    DB,
)
QUERY = "why are my searches slow"
ONE = f"SELECT query_type, confidence, scores, model FROM classify_query('{QUERY}')"
SEARCH = "SELECT id, vector_rank, keyword_rank, vector_weight FROM hybrid_search('memory', 'harbour', '[1,0]', options => '{\"vector_weight\": 0.5}')"
one, search = server.psql(ONE, DB), server.psql(SEARCH, DB)
session = server.session(DB)
is_(session.psql(ONE), one, "a session has loaded the model")
session.psql("DROP EXTENSION pg_harca")
is_(server.sqlstate(ONE, DB), "42883", "DROP EXTENSION")
session.psql("CREATE EXTENSION pg_harca")
is_(session.psql(ONE), one, "CREATE EXTENSION again: the same session answers")
is_(session.psql("SELECT count(*) FROM harca.search_target"), "0", "without what was registered")
session.psql(
    "SELECT harca.register_search_target('memory', 'memory', vector_weight => 0.6); UPDATE harca.search_profile SET vector_weight = 0.125 WHERE query_type = 'keyword'"
)
is_(
    session.psql("BEGIN; DROP EXTENSION pg_harca; ROLLBACK; SELECT count(*) FROM harca.search_target"),
    "1",
    "a DROP that is rolled back",
)
session.close()

# Dump and restore.
LISTED = """
    SELECT * FROM harca.search_target; SELECT * FROM harca.search_profile ORDER BY 1, 2;
    SELECT * FROM harca.search_statistics; SELECT * FROM harca.common_term;
    SELECT * FROM harca.feedback; SELECT * FROM harca.search_tuning"""
before = server.psql(LISTED, DB)
if not (server.bindir / "pg_dump").exists():
    skip("dump and restore", "this installation has no pg_dump")
else:
    for format_ in ("custom", "plain", "plain as INSERTs"):
        file = server.folder / "dump"
        server.as_server("pg_dump", "-F", format_[0], "-f", file, *(["--inserts"] if "INSERT" in format_ else []), DB)
        server.psql(f"DROP DATABASE IF EXISTS {RESTORED} WITH (FORCE)")
        server.psql(f"CREATE DATABASE {RESTORED} TEMPLATE template0")
        if format_ == "custom":
            server.as_server("pg_restore", "-e", "-d", RESTORED, file)
        else:
            server.as_server("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", RESTORED, "-f", file)
        is_(server.psql(LISTED, RESTORED), before, f"dump as {format_}: targets, weights, statistics and feedback are kept")
        is_((server.psql(SEARCH, RESTORED), server.psql(ONE, RESTORED)), (search, one), f"dump as {format_}: and searched")
    # A table that the dump does not have loses its own registration, and no other.
    server.psql(
        """
        CREATE SCHEMA "of others"; CREATE TABLE "of others"."the note" (LIKE memory INCLUDING INDEXES);
        INSERT INTO "of others"."the note" TABLE memory;
        SELECT harca.register_search_target('note', '"of others"."the note"');
        INSERT INTO harca.search_feedback VALUES ('note', 'harbour', '[1,0]', '1', 2, 'somebody', '2026-01-01');
        INSERT INTO harca.search_tuning VALUES ('note', '2026-01-02', 12, 0.5, 0.6, '{"k1": 1}')
        """,
        DB,
    )
    for format_ in ("custom", "plain", "plain as INSERTs"):
        file = server.folder / "dump"
        inserts = ["--inserts"] if "INSERT" in format_ else []
        server.as_server("pg_dump", "-F", format_[0], "-f", file, *inserts, "-T", '"of others"."the note"', DB)
        server.psql(f"DROP DATABASE IF EXISTS {RESTORED} WITH (FORCE)")
        server.psql(f"CREATE DATABASE {RESTORED} TEMPLATE template0")
        if format_ == "custom":
            # It shows warnings where it is to say all.
            result = server.as_server("pg_restore", "-v", "-e", "-d", RESTORED, file)
        else:
            result = server.as_server("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", RESTORED, "-f", file)
        like(result.out, 'WARNING:  search target "note" is left out', f"dump as {format_} without one table: a warning")
        is_(server.psql(LISTED, RESTORED), before, f"dump as {format_} without one table: the rest is there")
        is_(server.psql(SEARCH, RESTORED), search, f"dump as {format_} without one table: and searched")
    is_(
        server.sqlstate("INSERT INTO harca.search_profile VALUES ('note', 'keyword', 0.5)", RESTORED),
        "23503",
        "outside of a restore, nothing is left out in silence",
    )
    server.psql("SELECT harca.drop_search_target('note'); DROP SCHEMA \"of others\" CASCADE", DB)
    # An ordinary role dumps, as on servers that give nobody superuser rights: pg_dump refuses tables with row-level security.
    server.psql(f"DROP ROLE IF EXISTS {DUMPER}; CREATE ROLE {DUMPER} LOGIN IN ROLE pg_read_all_data")
    result = server.as_server("pg_dump", "-U", DUMPER, "-f", server.folder / "dump", DB, check=False)
    is_((result.rc, result.out), (0, ""), "a role that may read everything dumps the database")
    dumped = (server.folder / "dump").read_text(encoding="utf-8")
    is_(dumped.count("memory\tpublic.memory\t{id}\tcontent"), 1, "with the registration in it")
    (server.folder / "dump").unlink()
    server.psql(f"DROP ROLE {DUMPER}")
server.psql(f"DROP DATABASE IF EXISTS {RESTORED} WITH (FORCE)")
server.psql(f"DROP DATABASE {DB} WITH (FORCE)")
done()
