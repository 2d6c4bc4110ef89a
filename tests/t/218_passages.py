#!/usr/bin/env python3
"""Long texts embedded in passages: how they are cut, kept in step and searched, who sees them, what becomes of them under kills, and with another model."""

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, like, ok, skip  # noqa: E402
from harness.transformer import EXPECTED, embedding, registration, until  # noqa: E402

DB = "harca_passages"
WIDTH = len(EXPECTED[0]["vector"])
CHUNKING = """'{"tokens": 32, "overlap": 8}'"""
server = Server(f"test-passages-{os.getpid()}", settings={"shared_preload_libraries": "pg_harca"})
server.start()
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE", DB)


def sql(statement, user="postgres"):
    return server.psql(statement, DB, user)


def refused(statement, user="postgres"):
    return server.refused(statement, DB, user)


def wait_for(condition, what):
    ok(until(server, condition, DB), what)


def in_step(target="note"):
    return f"(SELECT p.state = 'in step' AND p.failed = 0 FROM harca.embedding_progress AS p WHERE p.target = '{target}')"


def wrong(table="note", passages="note_passages", keys=("id",), model="tiny", column="embedding"):
    """Passages that are not what the texts are cut into, have another vector, belong to no row or are not there; and rows without the mean of theirs."""
    numbered = ", ".join(f"key{n} AS k{n}" for n in range(1, len(keys) + 1))
    own = ", ".join(f"t.{key} AS k{n}" for n, key in enumerate(keys, 1))
    both = " AND ".join(f"w.k{n} = p.k{n}" for n in range(1, len(keys) + 1))
    of_row = " AND ".join(f"p.key{n} = t.{key}" for n, key in enumerate(keys, 1))
    return sql(
        f"WITH wanted AS (SELECT row_number() OVER () AS n, {own}, c.passage, c.passage_start, c.passage_length, substr(t.content, c.passage_start, c.passage_length) AS text"
        f"   FROM {table} AS t CROSS JOIN LATERAL harca.cut_passages(t.content, 32, 8) AS c),"
        f" vectors AS (SELECT * FROM harca.embed((SELECT array_agg(text ORDER BY n) FROM wanted), '{model}')),"
        f" found AS (SELECT {numbered}, passage, passage_start, passage_length, embedding FROM {passages})"
        " SELECT (SELECT count(*) FROM (wanted AS w JOIN vectors AS v ON v.ordinality = w.n)"
        f"  FULL JOIN found AS p ON {both} AND p.passage = w.passage AND p.passage_start = w.passage_start AND p.passage_length = w.passage_length"
        "  WHERE (p.embedding::vector <=> v.embedding < 1e-5) IS NOT TRUE)"
        f" + (SELECT count(*) FROM {table} AS t WHERE t.content IS NOT NULL AND"
        f"    (t.{column}::vector <=> (SELECT avg(p.embedding::vector) FROM {passages} AS p WHERE {of_row}) < 1e-4) IS NOT TRUE)"
    )


ENGLISH = " ".join(f"Sentence {n} tells of subject {n * 7 % 31} and its {['harbour', 'lunch', 'timeout', 'weather'][n % 4]}." for n in range(1, 25))
JAPANESE = "".join(f"{n}番目の文は{['港', '昼食', '認証', '天気'][n % 4]}について述べている。" for n in range(1, 25))
COLUMNS = f"content text, kind text, tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED"
sql(registration(embedding("tiny")))
sql(registration(embedding("two", prefixes={"query": "q ", "document": "another model "})))
sql(f"CREATE TABLE note (id int PRIMARY KEY, {COLUMNS}, embedding vector({WIDTH}))")
sql(f"INSERT INTO note (id, content, kind) VALUES (1, '{ENGLISH}', 'open'), (2, '{JAPANESE}', 'open'), (3, 'A short note about the cat.', 'open'), (4, NULL, 'open'), (5, '', 'open')")
sql("INSERT INTO note (id, content, kind) SELECT i, (SELECT string_agg('Text ' || i || ' has a part ' || j || ' of its own.', ' ') FROM generate_series(1, i % 9) AS j), CASE i % 5 WHEN 0 THEN 'secret' ELSE 'open' END FROM generate_series(10, 60) AS i WHERE i % 9 > 0")

# What is said of chunking.
for what, chunking, sqlstate in [
    ("no object", "3", "22023"), ("a strange word", '{"token": 3}', "22023"), ("no number", '{"tokens": "many"}', "22023"),
    ("a part of one", '{"tokens": 20.5}', "22023"), ("too few", '{"tokens": 15}', "22003"), ("more than the model reads", '{"tokens": 129}', "22003"),
    ("an overlap of most of it", '{"tokens": 32, "overlap": 17}', "22003"),
]:  # fmt: skip
    is_(refused(f"SELECT harca.embed_table('note', 'tiny', chunking => '{chunking}')")[0], sqlstate, f"refused: {what}")
is_(refused("SELECT * FROM harca.cut_passages('x', 0)")[0], "22003", "refused: passages of nothing")
is_(sql("SELECT count(*) FROM harca.passage_table"), "0", "nothing is left of it")

# Cut, embedded, searched.
sql(f"SELECT harca.embed_table('note', 'tiny', chunking => {CHUNKING})")
is_(sql("SELECT relation, tokens, overlap FROM harca.passage_table"), "note_passages|32|8", "passages have a table beside the searched one")
wait_for(in_step(), "rows that were there before are embedded")
is_(wrong(), "0", "in the passages that they are cut into, each with its vector, and have their mean")
ok(int(sql("SELECT count(*) FROM note_passages WHERE key1 = 1")) > 5 and int(sql("SELECT count(*) FROM note_passages WHERE key1 = 2")) > 5, "long texts in many")
is_(sql("SELECT count(*) FROM note_passages WHERE key1 IN (3, 5)"), "2", "short ones in one")
is_(
    sql("SELECT bool_and(right(rtrim(substr(n.content, p.passage_start, p.passage_length)), 1) IN ('.', '。')) FROM note AS n JOIN note_passages AS p ON p.key1 = n.id WHERE n.id < 3"),
    "t", "which end where sentences end, in English and Japanese",
)  # fmt: skip
is_(sql("SELECT done, rows FROM harca.embedding_progress"), f"{sql('SELECT count(*) FROM note WHERE content IS NOT NULL')}|{sql('SELECT count(*) FROM note WHERE content IS NOT NULL')}", "the progress counts rows")
sql("SELECT harca.refresh_search_statistics('note')")
is_(sql("SELECT similarity_deviation > 0 FROM harca.search_statistics"), "t", "the statistics are those of the passages")


def of_passage(row, passage):
    return f"(SELECT substr(n.content, p.passage_start, p.passage_length) FROM note AS n JOIN note_passages AS p ON p.key1 = n.id WHERE n.id = {row} AND p.passage = {passage})"


ONLY = """options => '{"strategy": "vector_only"}'"""
for row, passage in [(1, 4), (2, 5), (3, 1)]:
    query = of_passage(row, passage)
    found = sql(f"SELECT h.id, h.vector_score > 0.9999, h.passage = {query}, h.passage = substr(n.content, h.passage_start, h.passage_length) FROM hybrid_search_passages('note', {query}, {ONLY}, \"limit\" => 1) AS h JOIN note AS n ON n.id = h.id::int")
    is_(found, f"{row}|t|t|t", f"a search by meaning finds row {row} by its passage {passage}, and shows it")
best = "(SELECT max(1 - (p.embedding <=> harca.embed('subject 14 and its lunch', 'tiny'))) FROM note_passages AS p WHERE p.key1 = h.id::int)"
for strategy in ("vector_only", "parallel", "keyword_first", "vector_first"):
    search = f"hybrid_search_passages('note', 'subject 14 and its lunch', \"limit\" => 60, options => '{{\"strategy\": \"{strategy}\"}}')"
    is_(sql(f"SELECT count(*) > 0, count(*) = count(DISTINCT id), bool_and(abs(h.vector_score - {best}) < 1e-5), count(passage) = count(vector_score) FROM {search} AS h"), "t|t|t|t", f"{strategy}: rows are there once, and score as their best passages do")
is_(sql(f"SELECT (SELECT array_agg(id) FROM hybrid_search('note', 'harbour lunch')) = (SELECT array_agg(id) FROM hybrid_search_passages('note', 'harbour lunch'))"), "t", "hybrid_search gives the same rows")
is_(sql("SELECT (SELECT count(*) FROM hybrid_search('note', 'text', \"limit\" => 100, options => '{\"strategy\": \"vector_only\"}')) = (SELECT count(*) FROM note WHERE content IS NOT NULL)"), "t", "a search may give all rows")
is_(sql(f"SELECT id, passage IS NULL FROM hybrid_search_passages('note', 'cat', options => '{{\"strategy\": \"keyword_only\"}}')"), "3|t", "without meaning no passage is the best")
is_(sql(f"SELECT e #>> '{{legs,vector,passages}}', e #>> '{{rows,0,passage,number}}' FROM hybrid_search_explain('note', {of_passage(1, 4)}, {ONLY}) AS e"), "public.note_passages|4", "explain tells that passages were searched, and which was the best")
is_(sql(f"SELECT count(*), bool_and(n.kind = 'secret') FROM hybrid_search_passages('note', 'part', filter => '{{\"kind\": \"secret\"}}', {ONLY}) AS h JOIN note AS n ON n.id = h.id::int"), f"{sql('SELECT least(count(*), 10) FROM note WHERE kind = $$secret$$')}|t", "a filter picks rows")
sql("SELECT harca.record_feedback('note', 'subject ' || i, '1', 1, harca.embed('subject ' || i, 'tiny')) FROM generate_series(1, 12) AS i")
is_(sql("SELECT count(*) FROM harca.tune_search('note')"), "1", "the search can be tuned")

# Through the index, which takes the order of the passages, and not of the rows.
sql("INSERT INTO note (id, content, kind) SELECT i, (SELECT string_agg('Row ' || i || ' line ' || j || ' about ' || md5(i::text || j), '. ') FROM generate_series(1, 4) AS j), 'many' FROM generate_series(1000, 1600) AS i")
wait_for(f"{in_step()} AND (SELECT count(embedding) FROM note WHERE kind = 'many') = 601", "many rows")
sql("ANALYZE note, note_passages")
indexed = "SET enable_seqscan = off; SET enable_sort = off; SELECT e #>> '{legs,vector,indexes}' FROM hybrid_search_explain('note', 'Row 1234 line 2', \"limit\" => 5, " + ONLY + ") AS e"
like(sql(indexed), "note_passages_embedding_idx", "the nearest passages come from their index")
is_(sql(f"SET enable_seqscan = off; SET enable_sort = off; SELECT count(*), count(DISTINCT id) FROM hybrid_search('note', {of_passage(1, 4)}, \"limit\" => 100, {ONLY})"), "100|100", "as many rows as are asked for, although some have several of the nearest")

# Who sees what.
sql("CREATE ROLE reader LOGIN; CREATE ROLE stranger LOGIN; CREATE ROLE owner LOGIN; GRANT SELECT ON note TO reader")
sql("ALTER TABLE note ENABLE ROW LEVEL SECURITY; CREATE POLICY seen ON note FOR SELECT TO reader USING (kind <> 'secret')")
secret = sql("SELECT p.key1 FROM note AS n JOIN note_passages AS p ON p.key1 = n.id WHERE n.kind = 'secret' AND p.passage = 2 LIMIT 1")
is_(sql("SELECT count(*) FROM note_passages", "reader"), "0", "nobody reads passages but through a search")
is_(sql("SELECT harca.is_searched('note_passages'::regclass)", "reader"), "f", "which is not on")
exact = sql(f"SELECT harca.embed({of_passage(secret, 2)}, 'tiny')")
is_(sql(f"SELECT id FROM hybrid_search('note', 'x', '{exact}', \"limit\" => 1, {ONLY})"), secret, "a row is found by its passage")
is_(sql(f"SELECT count(*), count(*) FILTER (WHERE n.kind = 'secret'), count(h.passage) FROM hybrid_search_passages('note', 'x', '{exact}', {ONLY}) AS h JOIN note AS n ON n.id = h.id::int", "reader"), "10|0|10", "but not by whom a policy hides it from, who finds others")
like(sql(indexed, "reader"), "note_passages_embedding_idx", "by the same index")
is_(refused("SELECT * FROM hybrid_search('note', 'x')", "stranger")[0], "42501", "who may not read the table may not search it")
is_(sql("SELECT count(*) FROM note_passages", "stranger"), "0", "nor read its passages")
sql("ALTER TABLE note DISABLE ROW LEVEL SECURITY")
sql(f"CREATE TABLE own (id int PRIMARY KEY, {COLUMNS}, embedding vector({WIDTH})); ALTER TABLE own OWNER TO owner; GRANT CREATE ON SCHEMA public TO owner")
sql("SELECT harca.register_search_target('own', 'own', embedding_model => 'tiny')", "owner")
is_(refused("INSERT INTO harca.passage_table VALUES ('own', 'note_passages', 32, 8)", "owner")[0], "42501", "nobody makes passages of others his own")
is_(refused("INSERT INTO harca.passage_table VALUES ('note', 'own', 32, 8)", "owner")[0], "42501", "nor gives others his")
sql(f"INSERT INTO own (id, content) VALUES (1, 'One. Two. Three.'); SELECT harca.embed_table('own', chunking => {CHUNKING})", "owner")
wait_for(in_step("own"), "a table of somebody else")
is_(sql("SELECT tableowner FROM pg_tables WHERE tablename = 'own_passages'"), "owner", "has passages of his")
is_(wrong("own", "own_passages"), "0", "rightly")
sql("ALTER TABLE own_passages OWNER TO postgres")
like(sql("SELECT hybrid_search_explain('own', 'two') ->> 'warnings'"), "not their passages", "passages of another owner are not searched")
sql("ALTER TABLE own_passages OWNER TO owner; DROP TABLE own")
is_(sql("SELECT to_regclass('own_passages') IS NULL, count(*) FROM harca.passage_table"), "t|1", "they go with the table")

# In step.
sql("DELETE FROM note WHERE kind = 'many'")
wait_for(f"{in_step()} AND NOT EXISTS (SELECT FROM note_passages AS p WHERE p.key1 >= 1000)", "passages of rows that are deleted go")
sql("UPDATE note SET content = content || ' And one more sentence.' WHERE id BETWEEN 10 AND 30; UPDATE note SET id = id + 500 WHERE id BETWEEN 31 AND 40; UPDATE note SET content = NULL WHERE id = 50; DELETE FROM note WHERE id = 51; UPDATE note SET content = 'Now with a text.' WHERE id = 4; UPDATE note SET kind = 'other' WHERE id > 50")
sql("INSERT INTO note (id, content, embedding) SELECT 700, 'With a vector of its own. ' || content, embedding FROM note WHERE id = 1; INSERT INTO note (id, content) VALUES (51, 'The key of another row.')")
sql("BEGIN; UPDATE note SET id = 9999 WHERE id = 1; UPDATE note SET id = 1 WHERE id = 2; UPDATE note SET id = 2 WHERE id = 9999; COMMIT")
wait_for(f"{in_step()} AND (SELECT count(*) FROM note_passages WHERE key1 = 50) = 0 AND EXISTS (SELECT FROM note_passages WHERE key1 = 700) AND NOT EXISTS (SELECT FROM harca.embedding_queue)", "texts and keys that change, come and go are followed")
is_(wrong(), "0", "rightly")
before = sql("SELECT done FROM harca.embedding_progress")
sql("UPDATE note SET kind = 'x', content = content")
is_(sql("SELECT count(*) FROM harca.embedding_queue"), "0", "an update of other columns queues nothing")
query = sql("SELECT harca.embed('A short note about the cat.', 'tiny')")
server.configure(**{"pg_harca.engine": "off"})
server.reload()
wait_for("(SELECT state FROM harca.engine_status()) = 'off'", "without the engine")
sql("UPDATE note SET content = 'Another text, longer than the one before.' WHERE id = 3")
is_(sql(f"SELECT id, passage IS NULL, passage_start IS NULL FROM hybrid_search_passages('note', 'x', '{query}', \"limit\" => 1, {ONLY})"), "3|t|t", "a passage of a text that has changed is not shown")
server.configure(**{"pg_harca.engine": "on"})
server.reload()
wait_for(f"{in_step()} AND NOT EXISTS (SELECT FROM harca.embedding_queue)", "with it again")
is_(wrong(), "0", "all is as it should be")
sql("DELETE FROM note_passages WHERE key1 = 1 AND passage > 2")
ok(int(wrong()) > 0, "what is wrong is seen")
sql("DELETE FROM note_passages WHERE key1 = 1; SELECT harca.embed_table('note')")
wait_for(in_step(), "called again it fills in what is missing")
is_(wrong(), "0", "and keeps the passages")
sql("TRUNCATE note; INSERT INTO note (id, content) VALUES (1, 'After all of it. Another one.')")
wait_for(f"{in_step()} AND (SELECT count(*) FROM note_passages) = 1 AND NOT EXISTS (SELECT FROM harca.embedding_queue)", "TRUNCATE takes the passages along")
is_(wrong(), "0", "rightly")

# A key of several columns, partitions, halfvec, another kind of text.
sql(f"CREATE TABLE ticket (tenant text, number char(8), {COLUMNS}, embedding halfvec({WIDTH}), PRIMARY KEY (tenant, number)) PARTITION BY LIST (tenant)")
sql("CREATE TABLE ticket_a PARTITION OF ticket FOR VALUES IN ('a'); CREATE TABLE ticket_b PARTITION OF ticket FOR VALUES IN ('b', 'ü \"quoted\"')")
sql("SELECT harca.register_search_target('ticket', 'ticket', id_columns => '{tenant,number}', embedding_model => 'tiny')")
sql(f"INSERT INTO ticket (tenant, number, content) SELECT t, i, t || i || '. ' || '{JAPANESE}' FROM unnest(ARRAY['a', 'b', 'ü \"quoted\"']) AS t, generate_series(1, 5) AS i")
sql(f"SELECT harca.embed_table('ticket', rows_per_second => 1000, chunking => {CHUNKING})")
wait_for(in_step("ticket"), "a partitioned table with a key of several columns")
sql("UPDATE ticket SET tenant = 'b', number = '1' || number WHERE tenant = 'a' AND number::int < 4; DELETE FROM ticket WHERE number = '5'; UPDATE ticket_b SET content = 'Changed. ' || content WHERE number = '4'")
wait_for(f"{in_step('ticket')} AND NOT EXISTS (SELECT FROM harca.embedding_queue)", "rows that move between partitions, and go")
is_(wrong("ticket", "ticket_passages", ("tenant", "number")), "0", "have the passages of their texts, as halfvec")
is_(sql("SELECT h.id::jsonb ->> 0, h.vector_score > 0.99, starts_with(h.passage, 'ü \"quoted\"2. ') FROM hybrid_search_passages('ticket', (SELECT substr(t.content, p.passage_start, p.passage_length) FROM ticket AS t JOIN ticket_passages AS p ON (p.key1, p.key2) = (t.tenant, t.number) WHERE t.tenant LIKE 'ü%' AND t.number = '2' AND p.passage = 1), \"limit\" => 1) AS h"), 'ü "quoted"|t|t', "and are found by them")
sql("SELECT harca.stop_embedding('ticket')")
is_(sql("SELECT to_regclass('ticket_passages') IS NULL, count(embedding) = count(*) FROM ticket"), "t|t", "without being kept in step there are no passages, but the rows' embeddings stay")
is_(sql("SELECT count(*) > 0, count(passage) FROM hybrid_search_passages('ticket', '天気')"), "t|0", "by which they are found")

# Another model.
sql(f"INSERT INTO note (id, content) SELECT i, 'Row ' || i || '. ' || '{ENGLISH}' FROM generate_series(2, 40) AS i")
wait_for(in_step(), "rows for another model")
sql("SELECT harca.change_embedding_model('note', 'two')")
wait_for("(SELECT state = 'switched' FROM harca.embedding_change)", "which makes passages of its own")
kept = "SELECT p.relation::text, t.embedding_column FROM harca.passage_table AS p JOIN harca.search_target AS t ON t.name = p.target WHERE p.target = 'note'"
passages, column = sql(kept).split("|")
is_(passages, "note_passages2", "which searches go over to")
is_(wrong("note", passages, model="two", column=column), "0", "each with its vector")
sql("UPDATE note SET content = 'Meanwhile. ' || content WHERE id < 5; DELETE FROM note WHERE id = 9")
wait_for("(SELECT bool_and(state = 'in step') FROM harca.embedding_progress) AND NOT EXISTS (SELECT FROM harca.embedding_queue)", "both are kept in step")
is_(wrong("note", passages, model="two", column=column), "0", "the new ones")
sql("SELECT harca.undo_embedding_change('note')")
is_(sql(kept), "note_passages|embedding", "the change is taken back")
is_(wrong(), "0", "to the former ones, which were kept, too")
is_(sql("SELECT to_regclass('note_passages2') IS NULL"), "t", "and the others are dropped")

# A dump and its restore.
if not (server.bindir / "pg_dump").exists():
    skip("dump and restore of passages", "this installation has no pg_dump")
else:
    RESTORED, exact = "harca_passages_restored", sql(f"SELECT harca.embed({of_passage(7, 3)}, 'tiny')")
    listed = "TABLE harca.passage_table; SELECT count(*), sum(hashtextextended(p::text, 0)) FROM note_passages AS p; "
    listed += f"SELECT h.id, h.passage FROM hybrid_search_passages('note', 'x', '{exact}', {ONLY}) AS h"
    for format_ in ("custom", "plain"):
        file = server.folder / "dump"
        server.as_server("pg_dump", "-F", format_[0], "-f", file, DB)
        server.psql(f"DROP DATABASE IF EXISTS {RESTORED} WITH (FORCE)")
        server.psql(f"CREATE DATABASE {RESTORED} TEMPLATE template0")
        server.as_server(*(["pg_restore", "-e", "-d", RESTORED, file] if format_ == "custom" else ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", RESTORED, "-f", file]))
        is_(server.psql(listed, RESTORED), sql(listed), f"dump as {format_}: passages are kept, and searched")
        is_(server.psql("SELECT count(*) FROM note_passages", RESTORED, "reader"), "0", f"dump as {format_}: and seen by nobody else")
    server.as_server("pg_dump", "-F", "c", "-T", "note_passages", "-f", file, DB)
    server.psql(f"DROP DATABASE IF EXISTS {RESTORED} WITH (FORCE)")
    server.psql(f"CREATE DATABASE {RESTORED} TEMPLATE template0")
    like(server.as_server("pg_restore", "-v", "-e", "-d", RESTORED, file).out, 'WARNING:  passages of search target "note" are left out', "without their table they are left out, with a warning")
    is_(server.psql(f"SELECT count(*) > 0, count(passage) FROM hybrid_search_passages('note', 'x', '{exact}', {ONLY})", RESTORED), "t|0", "and searches go by the rows")
    server.psql(f"DROP DATABASE {RESTORED} WITH (FORCE)")

# Kills.
for round_, what in enumerate(("server", "worker", "engine") * 2, 1):
    sql(f"UPDATE note SET content = content || ' And a sentence more.' WHERE id % 3 = 0; UPDATE note SET id = id + {1000 * round_} WHERE id % 7 = 0; DELETE FROM note WHERE id % 11 = 0; INSERT INTO note (id, content) SELECT i, 'Row ' || i || '. Again.' FROM generate_series(1, 40) AS i ON CONFLICT DO NOTHING")
    if what == "server":
        server.stop("immediate")
        server.start()
    else:
        of = {"worker": "(SELECT min(pid) FROM pg_stat_activity WHERE backend_type = 'pg_harca database worker')", "engine": "(SELECT pid FROM harca.engine_status())"}[what]
        wait_for(f"{of} IS NOT NULL", f"{what} is there")
        os.kill(int(sql(f"SELECT {of}")), signal.SIGKILL)
        server.wait_ready()
wait_for(f"{in_step()} AND NOT EXISTS (SELECT FROM harca.embedding_queue)", "after the server, the worker and the engine were killed twice each")
is_(wrong(), "0", "no passage is missing, there twice or wrong")

# Other passages, and none.
changing = server.session(DB)
changing.psql("BEGIN; SELECT harca.lock_embeddings('note')")
sql("INSERT INTO note (id, content) VALUES (2999, 'A row that is on its way while the passages change.')")
wait_for("EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)", "the worker has passages of the former kind in hand")
changing.psql("""SELECT harca.embed_table('note', rows_per_second => 0.1, chunking => '{"tokens": 64, "overlap": 0}'); COMMIT""")
changing.close()
wait_for("(SELECT count(*) > 0 FROM note_passages)", "chunking of another kind begins")
is_(sql(f"SELECT count(*), count(passage) FROM hybrid_search_passages('note', 'weather', {ONLY})"), "10|0", "until all rows have them searches go by the rows")
like(sql("SELECT hybrid_search_explain('note', 'weather') ->> 'warnings'"), "not all rows have theirs yet", "as explain says")
sql("SELECT harca.embed_table('note')")
wait_for(in_step(), "then")
is_(sql(f"SELECT count(*), count(passage) FROM hybrid_search_passages('note', 'weather', {ONLY})"), "10|10", "they go by the passages")
is_(sql("SELECT p.tokens, p.overlap, (SELECT count(*) FROM note_passages) = (SELECT count(*) FROM note AS n CROSS JOIN LATERAL harca.cut_passages(n.content, 64, 0)) FROM harca.passage_table AS p"), "64|0|t", "which were made anew")
sql("DROP TABLE note_passages")
is_(sql("SELECT count(*) FROM harca.passage_table"), "0", "who drops them")
is_(sql("SELECT count(*) > 0, count(passage) FROM hybrid_search_passages('note', 'weather')"), "t|0", "searches by the rows' embeddings")
sql("INSERT INTO note (id, content) VALUES (3000, 'A row without passages.')")
wait_for(f"{in_step()} AND (SELECT embedding IS NOT NULL FROM note WHERE id = 3000)", "which are kept in step")

# Another encoding, and none.
for encoding in ("EUC_JP", "SQL_ASCII"):
    DB = f"harca_passages_{encoding.lower()}"
    server.psql(f"CREATE DATABASE {DB} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    sql("CREATE EXTENSION pg_harca CASCADE")
    sql(registration(embedding("tiny")))
    sql(f"CREATE TABLE note (id int PRIMARY KEY, {COLUMNS}, embedding vector({WIDTH}))")
    if encoding == "SQL_ASCII":
        is_(refused(f"SELECT harca.embed_table('note', 'tiny', chunking => {CHUNKING})")[0], "0A000", "SQL_ASCII: what is no text is not cut")
        continue
    sql(f"INSERT INTO note (id, content) VALUES (1, '{ENGLISH}'), (2, '{JAPANESE}'); SELECT harca.embed_table('note', 'tiny', chunking => {CHUNKING})")
    wait_for(in_step(), f"{encoding}: texts are embedded")
    is_(wrong(), "0", f"{encoding}: in the passages that substr cuts out")
    is_(sql(f"SELECT h.id, h.passage = {of_passage(2, 5)}, right(h.passage, 1) FROM hybrid_search_passages('note', {of_passage(2, 5)}, {ONLY}, \"limit\" => 1) AS h"), "2|t|。", f"{encoding}: and found by them")
server.remove()
done()
