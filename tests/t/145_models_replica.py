#!/usr/bin/env python3
"""A streaming replica answers with the model that was activated on the primary, in sessions that were there before as well;
it embeds queries by an engine of its own, and rows once it is promoted."""

import os
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, ok, skip  # noqa: E402
from harness.registry import registration, trained  # noqa: E402
from harness.transformer import EXPECTED, embedding, until  # noqa: E402
from harness.transformer import registration as registration_of_transformer  # noqa: E402

DB = "harca_replica"
WHO = "SELECT model FROM classify_query('why are my searches slow')"

primary = Server(f"test-primary-{os.getpid()}", settings={"shared_preload_libraries": "pg_harca", "wal_level": "replica"})
primary.start()
if not (primary.bindir / "pg_basebackup").exists():
    skip("a streaming replica", "this installation has no pg_basebackup")
    done()
primary.psql(f"CREATE DATABASE {DB}")
primary.psql("CREATE EXTENSION pg_harca CASCADE", DB)
replica = Server(f"test-replica-{os.getpid()}", settings={"shared_preload_libraries": "pg_harca", "hot_standby": "on"})
replica.folder.mkdir(parents=True, exist_ok=True)
if replica.user:
    os.chown(replica.folder, replica.user.pw_uid, replica.user.pw_gid)
primary.as_server("pg_basebackup", "-D", replica.data, "-R", "-X", "stream", "-c", "fast")
shutil.rmtree(replica.socket, ignore_errors=True)
replica.start()
is_(replica.psql("SELECT pg_is_in_recovery()"), "t", "a replica")


def caught_up(seconds=30):
    """Waits until the replica has replayed all that the primary has written."""
    end = primary.psql("SELECT pg_current_wal_lsn()")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if replica.psql(f"SELECT pg_last_wal_replay_lsn() >= '{end}'") == "t":
            return True
        time.sleep(0.05)
    return False


session = replica.session(DB)
builtin = session.psql(WHO)
is_(primary.psql(WHO, DB), builtin, "primary and replica answer with the built-in model")
model = primary.psql(registration(trained("streamed", "1", 0.5)), DB)
primary.psql(f"SELECT harca.activate_model('{model}', force => true)", DB)
ok(caught_up(), "the replica catches up")
is_(session.psql(WHO), model, "a session of the replica that was there before answers with the new model")
is_(replica.psql(WHO, DB), model, "a new one too")
is_(replica.psql("SELECT status FROM harca.models WHERE name = 'streamed'", DB), "active", "the replica lists it as active")
is_(replica.psql("SELECT state FROM harca.health() WHERE component = 'classification'", DB), "ok", "and is well")
session.psql("BEGIN ISOLATION LEVEL REPEATABLE READ")
session.psql(WHO)
primary.psql("SELECT harca.rollback_model()", DB)
caught_up()
is_(session.psql(WHO), builtin, "a rollback is seen inside a transaction of the replica")
session.psql("COMMIT")
is_(replica.sqlstate("SELECT harca.rollback_model()", DB), "25006", "a replica changes nothing itself")
primary.psql(f"SELECT harca.compare_model('{model}', 'ab', 0.5)", DB)
caught_up()
of = "SELECT md5(string_agg(model, ',' ORDER BY i)) FROM generate_series(1, 500) AS i, LATERAL classify_query('how is report ' || i || ' made')"
is_(session.psql(of), primary.psql(of, DB), "both send the same queries to the challenger")
is_(replica.psql("SELECT count(*) FROM harca.stat_models WHERE role = 'challenger' AND current AND answers BETWEEN 150 AND 350", DB), "1", "and the replica counts its own")
session.close()

# Searches.
primary.psql(
    """
    CREATE TABLE memory (id integer PRIMARY KEY, content text,
                         tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED, embedding vector(2));
    INSERT INTO memory (id, content) SELECT i, 'report ' || i FROM generate_series(1, 200) AS i;
    SELECT harca.register_search_target('memory', 'memory');
    """,
    DB,
)
caught_up()
search = "SELECT id FROM hybrid_search('memory', 'report 77', NULL, 1)"
is_(replica.psql(search, DB), primary.psql(search, DB), "a replica finds what the primary does")
state = "SELECT state FROM harca.stat_search_target"
is_((primary.psql(state, DB), replica.psql(state, DB)), ("fresh", "counted on the primary"), "and says where the changes are counted")
warnings = "SELECT hybrid_search_explain('memory', 'report') -> 'warnings' @? '$[*] ? (@ like_regex \"fresh\")'"
is_(replica.psql(warnings, DB), "f", "without advice that it would refuse")

# Embeddings.
primary.psql(registration_of_transformer(embedding("tiny")), DB)
primary.psql(
    f"""
    CREATE TABLE note (id integer PRIMARY KEY, content text, embedding vector({len(EXPECTED[0]["vector"])}),
                       tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED);
    INSERT INTO note (id, content) SELECT i, 'a note about ' || i FROM generate_series(1, 50) AS i;
    SELECT harca.embed_table('note', 'tiny');
    """,
    DB,
)
IN_STEP = "(SELECT p.state = 'in step' FROM harca.embedding_progress AS p WHERE p.target = 'note')"
ok(until(primary, IN_STEP, DB), "the primary embeds a table")
ok(caught_up(), "the replica has it")
by_text = "SELECT string_agg(id, ' ' ORDER BY score DESC, id) FROM hybrid_search('note', 'a note about 7', options => '{\"strategy\": \"vector_only\"}')"
nearest = primary.psql(by_text, DB)
is_((nearest.split()[0], replica.psql(by_text, DB)), ("7", nearest), "a replica embeds a query as the primary does, and finds what it finds")
is_(replica.psql("SELECT harca.embed('a note', 'tiny')", DB), primary.psql("SELECT harca.embed('a note', 'tiny')", DB), "to the last digit")
ok(replica.psql("SELECT pid FROM harca.engine_status()", DB) != primary.psql("SELECT pid FROM harca.engine_status()", DB), "by an engine of its own")

replica.stop()
replica.start()
is_(replica.psql("SELECT status FROM harca.models WHERE name = 'streamed'", DB), "ab", "after a restart of the replica as before")
is_(replica.psql(by_text, DB), nearest, "and it embeds")
primary.configure(**{"pg_harca.engine": "off"})
primary.reload()
ok(until(primary, "(SELECT state = 'off' FROM harca.engine_status())", DB), "the primary embeds nothing any more")
primary.psql("INSERT INTO note (id, content) VALUES (51, 'a note that the primary left')", DB)
ok(caught_up(), "the replica has a row without an embedding")
is_(replica.psql("SELECT count(*) FROM harca.embedding_queue", DB), "1", "in the queue")
replica.psql("SELECT pg_promote()", DB)
replica.psql("INSERT INTO note (id, content) VALUES (52, 'a note of a server that was promoted')", DB)
ok(until(replica, IN_STEP + " AND (SELECT count(embedding) = 52 FROM note)", DB), "once promoted, it embeds that row and its own")
replica.remove()
primary.remove()
done()
