#!/usr/bin/env python3
"""Vectors of texts by a registered model, and searches by text alone: the model of a target embeds the query, and without an engine the words answer."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, like, ok  # noqa: E402
from harness.registry import literal  # noqa: E402
from harness.transformer import EXPECTED, embedding, manifest, registration, until  # noqa: E402

DB = "harca_embedding"
WIDTH = len(EXPECTED[0]["vector"])
server = Server(f"test-embedding-{os.getpid()}", settings={"shared_preload_libraries": "pg_harca"})
server.start()
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE", DB)


def sql(statement):
    return server.psql(statement, DB)


def refused(statement):
    return server.refused(statement, DB)


def near(found, expected):
    return all(abs(a - b) < 1e-4 for a, b in zip(json.loads(found), expected, strict=True))


sql(registration(embedding("tiny")))
sql(registration(manifest("types")))
ok(near(sql(f"SELECT harca.embed({literal(EXPECTED[0]['text'])}, 'tiny')"), EXPECTED[0]["vector"]), "a vector is that of a plain run of the graph")
ok(near(sql(f"SELECT harca.embed({literal(EXPECTED[1]['text'])}, 'tiny 1', 'document')"), EXPECTED[1]["vector"]), "by name and version, too")
texts = "ARRAY[" + ",".join(literal(row["text"]) for row in EXPECTED) + ", NULL, '']"
rows = sql(f"SELECT ordinality, embedding FROM harca.embed({texts}, 'tiny') ORDER BY ordinality").splitlines()
is_([row.split("|")[0] for row in rows], [str(number + 1) for number in range(len(EXPECTED) + 2)], "many texts give a row each")
ok(all(near(row.split("|")[1], one["vector"]) for row, one in zip(rows, EXPECTED, strict=False)), "with the vectors that they have alone")
is_(rows[len(EXPECTED)].split("|")[1], "", "a text that is null has none")
ok(len(json.loads(rows[-1].split("|")[1])) == WIDTH, "an empty one has")
is_(sql("SELECT count(*), count(embedding) FROM harca.embed((SELECT array_agg('text ' || i) FROM generate_series(1, 700) AS i), 'tiny')"), "700|700", "so do more than go into one request")
is_(sql("SELECT count(*) FROM harca.embed('{}'::text[], 'tiny')"), "0", "no texts give no rows")
is_(sql("SELECT harca.embed(NULL, 'tiny') IS NULL"), "t", "null gives null")
sql(registration(embedding("tiny", version="with prefixes", prefixes={"query": "", "document": "git "})))
ok(near(sql(f"SELECT harca.embed('rebase --onto', 'tiny with prefixes', 'document')"), next(row["vector"] for row in EXPECTED if row["text"] == "git rebase --onto")), "a document gets its prefix")
is_(sql("SELECT harca.embed('x', 'tiny with prefixes') = harca.embed('x', 'tiny 1')"), "t", "and a query its own")
is_(sql("SELECT model, dimensions FROM harca.embedding_model('tiny')"), f"tiny with prefixes|{WIDTH}", "what a name stands for is told")
sql("SELECT harca.embed(repeat('long text ', 400), 'tiny 1')")
is_(sql("SELECT truncated FROM harca.stat_engine WHERE model = 'tiny 1' AND priority = 'interactive'"), "1", "a text that was cut is counted")
is_(sql("SELECT requests > 0 FROM harca.stat_engine WHERE model = 'tiny 1' AND priority = 'bulk'"), "t", "many texts are bulk work")

for what, statement, sqlstate in [
    ("a kind that is none", "SELECT harca.embed('x', 'tiny', 'passage')", "22023"),
    ("a model that is not there", "SELECT harca.embed('x', 'nothing')", "58P01"),
    ("a model of another task", "SELECT harca.embed('x', 'types')", "42804"),
    ("the built-in model", "SELECT harca.embed('x', 'builtin')", "42804"),
]:
    is_(refused(statement)[0], sqlstate, f"refused: {what}")

sql("CREATE ROLE somebody LOGIN; GRANT USAGE ON SCHEMA public TO somebody")
is_(server.psql("SELECT harca.embed('x', 'tiny') IS NOT NULL", DB, "somebody"), "t", "everybody may embed")

# A table whose embeddings the model has made.
documents = [f"{row['text']} and what belongs to it" for row in EXPECTED]
sql(f"CREATE TABLE memory (id int PRIMARY KEY, content text, tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED, embedding vector({WIDTH}))")
values = ",".join(f"({number}, {literal(text)}, harca.embed({literal(text)}, 'tiny 1', 'document'))" for number, text in enumerate(documents))
sql(f"INSERT INTO memory (id, content, embedding) VALUES {values}")
sql("CREATE INDEX ON memory USING gin (tsv)")
sql("SELECT harca.register_search_target('memory', 'memory', embedding_model => 'tiny 1')")
is_(sql("SELECT embedding_model FROM harca.search_target"), "tiny 1", "a target knows its model, version and all")
for query in ("how do I fix the login timeout?", "東京 天気", "coffee"):
    search = f"SELECT id, score, vector_rank, vector_score, keyword_score FROM hybrid_search('memory', {literal(query)}"
    is_(sql(search + ")"), sql(search + f", harca.embed({literal(query)}, 'tiny 1'))"), f"a search by text is one with the embedding of the text: {query}")
is_(sql("SELECT count(*), bool_and(vector_rank IS NOT NULL) FROM hybrid_search('memory', 'some other wording', options => '{\"strategy\": \"vector_only\"}', \"limit\" => 3)"), "3|t", "a strategy that needs an embedding has one")
explained = json.loads(sql("SELECT hybrid_search_explain('memory', 'coffee grinder')"))
is_((explained["embedding"]["model"], explained["embedding"]["failure"]), ("tiny 1", None), "explain names the model")
ok(explained["embedding"]["milliseconds"] > 0, "and its time")
sql("SELECT harca.stat_reset()")
is_([json.loads(sql("SELECT hybrid_search_explain('memory', 'a query that is new')"))["embedding"]["from_cache"] for _ in range(2)], [False, True], "the vector of a query is kept for all sessions")
is_(sql("SELECT harca.embed('a query that is new', 'tiny 1') IS NOT NULL"), "t", "for the function, too")
is_(sql("SELECT harca.embed('a query that is new', 'tiny 1', 'document') IS NOT NULL"), "t", "but not for documents")
is_(sql("SELECT hits, misses, evictions, entries > 0 FROM harca.stat_cache WHERE level = 'embeddings'"), "2|1|0|t", "the statistics tell of the cache")
sql("SELECT harca.cache_reset()")
is_(sql("SELECT entries FROM harca.stat_cache WHERE level = 'embeddings'"), "0", "which can be emptied")
is_(json.loads(sql("SELECT hybrid_search_explain('memory', 'coffee grinder', options => '{\"strategy\": \"keyword_only\"}')"))["embedding"], None, "a search by words alone embeds nothing")
is_(json.loads(sql("SELECT hybrid_search_explain('memory', 'coffee grinder', (SELECT embedding FROM memory WHERE id = 1))"))["embedding"], None, "nor does one with an embedding")

sql("CREATE TABLE narrow (id int PRIMARY KEY, content text, tsv tsvector, embedding vector(3))")
state, text = refused("SELECT harca.register_search_target('narrow', 'narrow', embedding_model => 'tiny')")
ok(state == "22000" and f"makes {WIDTH}" in text, f"a column of other dimensions is refused ({state})")
is_(refused("SELECT harca.register_search_target('narrow', 'narrow', embedding_model => 'nothing')")[0], "58P01", "as is a model that is not there")
sql(f"ALTER TABLE narrow ALTER embedding TYPE vector({WIDTH})")
sql("SELECT harca.register_search_target('narrow', 'narrow', embedding_model => 'tiny')")
sql("ALTER TABLE narrow ALTER embedding TYPE vector(3)")
is_(json.loads(sql("SELECT hybrid_search_explain('narrow', 'coffee')"))["strategy"]["taken"], "keyword_only", "a column that has changed since is searched by words")

server.configure(**{"pg_harca.engine": "off"})
server.reload()
ok(until(server, "(SELECT state FROM harca.engine_status()) = 'off'", DB), "the engine is switched off")
session = server.session(DB)
warnings = server.log().count("queries are searched for by words alone")
found = session.psql("SELECT id, vector_rank FROM hybrid_search('memory', 'coffee grinder', \"limit\" => 1)").splitlines()[-1]
is_(found, f"{next(n for n, row in enumerate(EXPECTED) if row['text'] == 'coffee grinder')}|", "then the words answer alone")
session.psql("SELECT count(*) FROM hybrid_search('memory', 'login timeout', options => '{\"strategy\": \"vector_only\"}')")
is_(server.log().count("queries are searched for by words alone") - warnings, 1, "with one warning a session")
explained = json.loads(session.psql("SELECT hybrid_search_explain('memory', 'coffee grinder')"))
like(json.dumps(explained["warnings"]), "pg_harca.engine is off", "explain says why")
session.close()
is_(refused("SELECT harca.embed('x', 'tiny')")[0], "55000", "a vector cannot be had")
server.configure(**{"pg_harca.engine": "on"})
server.reload()
ok(until(server, "(SELECT state FROM harca.engine_status()) = 'running'", DB), "it is switched on again")
is_(sql("SELECT vector_rank IS NOT NULL FROM hybrid_search('memory', 'coffee grinder', \"limit\" => 1)"), "t", "and both legs answer")
server.remove()
done()
