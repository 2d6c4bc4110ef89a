#!/usr/bin/env python3
"""Embeddings kept in step with a table: rows that were there before, those that come, change, move and go; what fails, what a policy hides, and who may."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, like, ok  # noqa: E402
from harness.transformer import EXPECTED, embedding, registration, until  # noqa: E402

DB = "harca_embedded"
WIDTH = len(EXPECTED[0]["vector"])
server = Server(f"test-embedded-{os.getpid()}", settings={"shared_preload_libraries": "pg_harca"})
server.start()
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE", DB)


def sql(statement):
    return server.psql(statement, DB)


def refused(statement, user="postgres"):
    return server.refused(statement, DB, user)


def wait_for(condition, what):
    ok(until(server, condition, DB), what)


def in_step(target):
    return f"(SELECT p.state = 'in step' FROM harca.embedding_progress AS p WHERE p.target = '{target}')"


def wrong(table, text="content", column="embedding"):
    """Rows whose embedding is not that of their text."""
    return sql(
        f"WITH told AS (SELECT row_number() OVER () AS n, {text} AS text, {column} AS found FROM {table} WHERE {text} IS NOT NULL)"
        f" SELECT count(*) FROM told LEFT JOIN harca.embed((SELECT array_agg(text ORDER BY n) FROM told), 'tiny') AS e ON e.ordinality = told.n"
        " WHERE (told.found::vector <=> e.embedding < 1e-5) IS NOT TRUE"
    )


def columns(key="id int PRIMARY KEY", kind="vector"):
    return f"{key}, content text, kind text, tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED, embedding {kind}({WIDTH})"


sql(registration(embedding("tiny", prefixes={"document": "d: "})))
sql(f"CREATE TABLE memory ({columns()})")
sql("INSERT INTO memory (id, content) SELECT i, 'a text about ' || i FROM generate_series(1, 300) AS i")
sql("INSERT INTO memory (id, content) VALUES (301, NULL)")
listener = server.session(DB)
listener.psql("LISTEN harca_embedding")
sql("SELECT harca.embed_table('memory', 'tiny')")
is_(sql("SELECT embedding_model FROM harca.search_target"), "tiny 1", "a table that is no target becomes one")
wait_for(in_step("memory"), "rows that were there before are embedded")
is_(wrong("memory"), "0", "each with the vector of its text, as a document")
is_(sql("SELECT rows, done, pending, failed, failure IS NULL FROM harca.embedding_progress"), "300|300|0|0|t", "the progress says so")
like(listener.psql("SELECT 1"), 'notification "harca_embedding" with payload "memory"', "and who listens is told")
listener.close()

sql("INSERT INTO memory (id, content) SELECT i, 'another text about ' || i FROM generate_series(401, 500) AS i")
wait_for(f"{in_step('memory')} AND (SELECT count(embedding) FROM memory) = 400", "new rows are embedded")
is_(wrong("memory"), "0", "rightly")
before = sql("SELECT done FROM harca.embedding_progress")
sql("UPDATE memory SET content = 'changed ' || id WHERE id <= 50")
wait_for(f"{in_step('memory')} AND (SELECT done FROM harca.embedding_progress) = {before} + 50", "rows whose text changes are")
is_(wrong("memory"), "0", "rightly, too")
sql("UPDATE memory SET kind = 'x', content = content")
is_(sql("SELECT count(*) FROM harca.embedding_queue"), "0", "an update of other columns queues nothing")
server.run("BEGIN; UPDATE memory SET content = 'never' WHERE id < 100; ROLLBACK", DB)
is_(sql("SELECT count(*) FROM harca.embedding_queue"), "0", "nor does what is rolled back")
sql("INSERT INTO memory (id, content, embedding) SELECT 600, 'with its own', embedding FROM memory WHERE id = 1")
is_(sql("SELECT count(*) FROM harca.embedding_queue"), "0", "nor a row that comes with an embedding")
sql("UPDATE memory SET content = NULL WHERE id = 2; UPDATE memory SET content = 'now with a text' WHERE id = 301; UPDATE memory SET id = 1003, content = 'moved' WHERE id = 3; DELETE FROM memory WHERE id = 600")
wait_for(f"{in_step('memory')} AND (SELECT embedding IS NULL FROM memory WHERE id = 2) AND (SELECT embedding IS NOT NULL FROM memory WHERE id = 301)", "an embedding goes with its text, and comes with one")
is_(wrong("memory"), "0", "a row with another key has its own")
server.run("BEGIN; UPDATE memory SET content = 'queued' WHERE id = 6; UPDATE memory SET id = 1006, content = content WHERE id = 6; COMMIT", DB)
wait_for("NOT EXISTS (SELECT FROM harca.embedding_queue)", "a row whose key alone changes while it is queued is embedded by its new one")
is_(wrong("memory"), "0", "likewise")
queued = "BEGIN; UPDATE memory SET id = id + 10000 WHERE id = 7; UPDATE memory SET id = id WHERE id = 8; SELECT key FROM harca.embedding_queue; COMMIT"
is_(sql(queued), '["10007"]', "only a key that has changed is queued")
wait_for("NOT EXISTS (SELECT FROM harca.embedding_queue)", "and looked at")
server.run("BEGIN; UPDATE memory SET content = 'gone' WHERE id = 4; DELETE FROM memory WHERE id = 4; COMMIT", DB)
wait_for("NOT EXISTS (SELECT FROM harca.embedding_queue)", "a row that is gone leaves nothing in the queue")
sql("INSERT INTO memory (id, content) VALUES (5, 'by conflict') ON CONFLICT (id) DO UPDATE SET content = excluded.content")
sql(f"COPY memory (id, content) FROM PROGRAM 'echo 700,copied' (FORMAT csv)")
wait_for(f"{in_step('memory')} AND (SELECT embedding IS NOT NULL FROM memory WHERE id = 700)", "by way of a conflict and of COPY")
is_(wrong("memory"), "0", "likewise")
is_(sql("SELECT id FROM hybrid_search('memory', 'by conflict', \"limit\" => 1)"), "5", "and a search by text alone finds it")

# Other tables: a key of several columns, partitions and moves between them, halfvec, a policy, names that need quotes.
sql(f"CREATE TABLE ticket ({columns('tenant text, number int', 'halfvec')}, PRIMARY KEY (tenant, number)) PARTITION BY LIST (tenant)")
sql("CREATE TABLE ticket_a PARTITION OF ticket FOR VALUES IN ('a'); CREATE TABLE ticket_b PARTITION OF ticket FOR VALUES IN ('b', 'ü \"quoted\"')")
sql("SELECT harca.register_search_target('ticket', 'ticket', id_columns => '{tenant,number}', embedding_model => 'tiny')")
sql("INSERT INTO ticket (tenant, number, content) SELECT t, i, t || ' ' || i FROM unnest(ARRAY['a', 'b', 'ü \"quoted\"']) AS t, generate_series(1, 20) AS i")
sql("SELECT harca.embed_table('ticket', rows_per_second => 1000)")
wait_for(in_step("ticket"), "a partitioned table with a key of several columns")
sql("INSERT INTO ticket_a (tenant, number, content) VALUES ('a', 100, 'into a partition'); UPDATE ticket_b SET content = 'in a partition' WHERE number = 1")
sql("UPDATE ticket SET tenant = 'b', number = number + 100, content = 'moved ' || number WHERE tenant = 'a' AND number < 5")
wait_for(f"{in_step('ticket')} AND NOT EXISTS (SELECT FROM ticket WHERE embedding IS NULL)", "rows of its partitions, and those that move between them")
ok(float(wrong("ticket")) == 0, "have the embeddings of their texts, as halfvec")

sql("CREATE ROLE owner LOGIN; CREATE ROLE other LOGIN; CREATE SCHEMA \"Own\" AUTHORIZATION owner; GRANT USAGE ON SCHEMA public TO owner")
own = f'SET search_path = "Own", public; CREATE TABLE "Note" ({columns("key uuid DEFAULT gen_random_uuid() PRIMARY KEY").replace("content", chr(34) + "the text" + chr(34))}, seen_as name);'
own += """CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.seen_as := current_user; RETURN NEW; END $$;
CREATE TRIGGER look BEFORE UPDATE OF embedding ON "Note" FOR EACH ROW EXECUTE FUNCTION "Own".look();
ALTER TABLE "Note" ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON "Note" USING (false); GRANT SELECT ON "Note" TO other; GRANT USAGE ON SCHEMA "Own" TO other;
INSERT INTO "Note" ("the text") SELECT 'note ' || i FROM generate_series(1, 10) AS i;
SELECT harca.register_search_target('note', '"Note"', id_column => 'key', text_column => 'the text', embedding_model => 'tiny');
SELECT harca.embed_table('note');"""
server.psql(own, DB, "owner")
wait_for(in_step("note"), "a table behind a policy, with names that need quotes")
is_(wrong('"Own"."Note"', '"the text"'), "0", "is embedded")
is_(sql('SELECT DISTINCT seen_as FROM "Own"."Note"'), "owner", "its triggers run with the rights of its owner")
is_(refused("SELECT harca.embed_table('note')", "other")[0], "42501", "it is not for others to have it embedded")
is_(server.psql("SELECT harca.stop_embedding('note')", DB, "other"), "f", "nor to stop it")
is_(server.psql("SELECT count(*) FROM harca.embedding_progress", DB, "other"), "0", "nor to see how far it is")
is_(server.psql("SELECT string_agg(target, ',') FROM harca.embedding_progress", DB, "owner"), "note", "as its owner does")
is_(refused("SELECT key FROM harca.embedding_queue", "other")[0], "42501", "what is queued is nobody's to read")
fake = "CREATE TABLE trap (id int, content text, embedding vector); CREATE TRIGGER t AFTER INSERT ON trap REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION harca.queue_embeddings('memory'); INSERT INTO trap VALUES (1, 'x', NULL)"
sql(f"SET ROLE owner; SET search_path = \"Own\", public; {fake}")
is_(sql("SELECT count(*) FROM harca.embedding_queue"), "0", "nobody queues rows of others' tables")

sql("SET ROLE owner; SET search_path = \"Own\", public; CREATE TYPE pair AS (a int, b int); CREATE FUNCTION as_text(pair) RETURNS text LANGUAGE sql RETURN current_user; CREATE CAST (pair AS text) WITH FUNCTION as_text(pair); CREATE TABLE odd (id pair PRIMARY KEY, content text, tsv tsvector, embedding vector)")
sql('SET ROLE owner; SET search_path = "Own", public; SELECT harca.register_search_target(\'odd\', \'odd\', embedding_model => \'tiny\')')
is_(refused("SELECT harca.embed_table('odd')", "owner")[0], "0A000", "a key whose text a function of somebody makes is refused")
sql('SET ROLE owner; CREATE TABLE "Own".turned (id int PRIMARY KEY, content text, tsv tsvector, embedding vector)')
sql('SET ROLE owner; SET search_path = "Own", public; SELECT harca.register_search_target(\'turned\', \'turned\', embedding_model => \'tiny\'); SELECT harca.embed_table(\'turned\'); ALTER TABLE turned DROP CONSTRAINT turned_pkey; ALTER TABLE turned DROP COLUMN id CASCADE; ALTER TABLE turned ADD id pair; INSERT INTO turned (id, content) VALUES (\'(1,2)\', \'x\')')
is_(sql("SELECT count(*) FROM harca.embedding_queue"), "0", "and queues nothing where it has become one")
sql("SELECT harca.drop_search_target('turned'); SELECT harca.drop_search_target('odd')")

# Rows that fail.
sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id % 10 = 7 THEN RAISE EXCEPTION 'no embedding for %', NEW.id; END IF; RETURN NEW; END $$")
sql("CREATE TRIGGER refuse BEFORE UPDATE OF embedding ON memory FOR EACH ROW EXECUTE FUNCTION refuse()")
sql("INSERT INTO memory (id, content) SELECT i, 'later ' || i FROM generate_series(801, 820) AS i")
wait_for("(SELECT count(embedding) FROM memory WHERE id > 800 AND id < 900) = 18 AND (SELECT count(*) FROM harca.embedding_failures) = 2", "a row that cannot be written holds up no other")
is_(sql("SELECT string_agg(key::text, ',' ORDER BY key), bool_and(error LIKE '%no embedding for 8_7%') FROM harca.embedding_failures"), '["807"],["817"]|t', "those that cannot be are shown, with the reason")
sql("UPDATE harca.embedding_queue SET attempts = 6, not_before = NULL")
is_(sql("SELECT pending, failed FROM harca.embedding_progress WHERE target = 'memory'"), "0|2", "and given up after some attempts")
sql("DROP TRIGGER refuse ON memory")
is_(sql("SELECT harca.retry_embeddings('memory')"), "2", "they are tried again when somebody says so")
wait_for(f"{in_step('memory')} AND NOT EXISTS (SELECT FROM harca.embedding_failures)", "and done")
is_(wrong("memory"), "0", "rightly")

server.configure(**{"pg_harca.engine": "off"})
server.reload()
wait_for("(SELECT state FROM harca.engine_status()) = 'off'", "without the engine")
sql("INSERT INTO memory (id, content) VALUES (901, 'meanwhile')")
is_(sql("SELECT pending FROM harca.embedding_progress WHERE target = 'memory'"), "1", "rows wait")
server.configure(**{"pg_harca.engine": "on"})
server.reload()
wait_for(f"{in_step('memory')} AND (SELECT embedding IS NOT NULL FROM memory WHERE id = 901)", "and are embedded when it is back")

# A row that somebody has locked holds up no other, and nobody's statement fails for the worker's sake.
server.configure(**{"pg_harca.engine": "off"})
server.reload()
wait_for("(SELECT state FROM harca.engine_status()) = 'off'", "without the engine")
sql("UPDATE memory SET content = content || ', again' WHERE id BETWEEN 11 AND 40")
holder = server.session(DB)
holder.psql("BEGIN; SELECT FROM memory WHERE id = 25 FOR UPDATE")
server.configure(**{"pg_harca.engine": "on"})
server.reload()
wait_for("(SELECT pending = 1 FROM harca.embedding_progress WHERE target = 'memory')", "all rows are embedded but the one that is locked")
holder.psql("UPDATE memory SET kind = 'held' WHERE id BETWEEN 11 AND 40; COMMIT")
holder.close()
wait_for(in_step("memory"), "which is embedded as soon as it is free")
is_(wrong("memory"), "0", "each with the vector of its text")
sql("UPDATE memory SET kind = NULL WHERE kind = 'held'")
server.restart()
sql("INSERT INTO memory (id, content) VALUES (902, 'after a restart')")
wait_for(f"{in_step('memory')} AND (SELECT embedding IS NOT NULL FROM memory WHERE id = 902)", "as they are after a restart of the server")
wait_for("(SELECT coalesce('tiny 1' = ANY (e.models_loaded), false) FROM harca.engine_status() AS e)", "whose engine has the model of the target at once")
former = sql("SELECT pid FROM harca.engine_status()")
sql("SELECT harca.restart_engine()")
wait_for(
    f"(SELECT coalesce(e.pid <> {former} AND 'tiny 1' = ANY (e.models_loaded), false) FROM harca.engine_status() AS e)",
    "and so has an engine that is started anew, before anybody asks",
)

# Ends.
is_(sql("SELECT harca.stop_embedding('memory')"), "t", "it is stopped")
is_(sql("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'memory'::regclass AND NOT tgisinternal"), "0", "then the table has no trigger of ours")
is_(sql("SELECT harca.stop_embedding('memory')"), "f", "once")
sql("SELECT harca.drop_search_target('ticket')")
is_(sql("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'ticket'::regclass AND NOT tgisinternal"), "0", "a target that is dropped takes them along")
sql('DROP TABLE "Own"."Note"')
is_(sql("SELECT count(*) FROM harca.embedded_table"), "0", "a table that is dropped is embedded no more")
for what, statement, sqlstate in [
    ("nothing of this name", "SELECT harca.embed_table('nothing', 'tiny')", "42704"),
    ("no model", "SELECT harca.register_search_target('plain', 'memory'); SELECT harca.embed_table('plain')", "55000"),
    ("another model than it has", "SELECT harca.embed_table('memory', 'other')", "58P01"),
    ("a rate of nothing", "SELECT harca.embed_table('memory', rows_per_second => 0)", "22003"),
    ("a null", "SELECT harca.embed_table(NULL)", "22004"),
]:  # fmt: skip
    is_(refused(statement)[0], sqlstate, f"refused: {what}")
server.remove()
done()
