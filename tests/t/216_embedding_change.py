#!/usr/bin/env python3
"""The embedding model of a table is changed while it is written and searched: a second column is filled, searches go over when it is, and the change is ended or taken back."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, ok  # noqa: E402
from harness.transformer import EXPECTED, embedding, registration, until  # noqa: E402

DB = "harca_embedding_change"
WIDTH = len(EXPECTED[0]["vector"])
server = Server(f"test-embedding-change-{os.getpid()}", settings={"shared_preload_libraries": "pg_harca"})
server.start()
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE", DB)


def sql(statement):
    return server.psql(statement, DB)


def refused(statement, user="postgres"):
    return server.refused(statement, DB, user)[0]


def wait_for(condition, what):
    ok(until(server, condition, DB), what)


def wrong(model):
    """Rows whose embedding in the target's column is not what this model makes of their text."""
    column = sql("SELECT embedding_column FROM harca.search_target WHERE name = 'memory'")
    return sql(
        f"WITH told AS (SELECT row_number() OVER () AS n, content, \"{column}\" AS found FROM memory)"
        f" SELECT count(*) FROM told JOIN harca.embed((SELECT array_agg(content ORDER BY n) FROM told), '{model}') AS e ON e.ordinality = told.n"
        " WHERE (told.found <=> e.embedding < 1e-5) IS NOT TRUE"
    )


STATE = "(SELECT state FROM harca.embedding_change)"
sql(registration(embedding("one")))
sql(registration(embedding("two", prefixes={"query": "q ", "document": "another model "})))
sql(f"CREATE TABLE memory (id int PRIMARY KEY, content text, tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED, embedding vector({WIDTH}))")
sql("INSERT INTO memory (id, content) SELECT i, 'a text about ' || i FROM generate_series(1, 400) AS i")
sql("CREATE INDEX ON memory USING hnsw (embedding vector_cosine_ops) WITH (m = 8)")
sql("SELECT harca.embed_table('memory', 'one')")
wait_for("(SELECT state = 'in step' FROM harca.embedding_progress)", "a table is embedded")

sql("SELECT harca.change_embedding_model('memory', 'two', rows_per_second => 300)")
is_(sql(f"SELECT {STATE}"), "filling", "its model is changed")
is_(sql("SELECT embedding_model FROM harca.search_target WHERE name = 'memory'"), "one 1", "searches use the former one meanwhile")
is_(refused("SELECT harca.change_embedding_model('memory', 'two')"), "55000", "once at a time")
is_(refused("SELECT harca.end_embedding_change('memory')"), "55000", "it cannot be ended before all are there")
is_(sql("SELECT count(*) FROM pg_indexes WHERE tablename = 'memory' AND indexdef LIKE '%hnsw%m=%8%'"), "2", "the new column has an index like the former one")
sql("UPDATE memory SET content = 'changed meanwhile ' || id WHERE id % 50 = 0; INSERT INTO memory (id, content) SELECT i, 'new meanwhile ' || i FROM generate_series(501, 520) AS i")
wait_for(f"{STATE} = 'switched'", "searches go over when all rows are done")
is_(sql("SELECT embedding_model FROM harca.search_target WHERE name = 'memory'"), "two 1", "to the new model")
is_(wrong("two"), "0", "whose vectors all rows have, those that changed meanwhile too")
is_(sql("SELECT hybrid_search_explain('memory', 'changed meanwhile 50') #>> '{embedding,model}'"), "two 1", "queries are embedded by it")
sql("UPDATE memory SET content = 'changed after ' || id WHERE id % 40 = 0")
IN_STEP = "(SELECT bool_and(state = 'in step') AND count(*) = 2 FROM harca.embedding_progress)"
wait_for(IN_STEP, "both columns are kept in step")
changing = server.session(DB)
changing.psql("BEGIN; SELECT harca.lock_embeddings(c.shadow) FROM harca.embedding_change AS c")
sql("UPDATE memory SET content = 'on its way ' || id WHERE id % 30 = 0")
wait_for("EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)", "vectors are on their way to the former column while the columns change places")
changing.psql("SELECT harca.undo_embedding_change('memory'); COMMIT")
changing.close()
wait_for("(SELECT state = 'in step' FROM harca.embedding_progress) AND NOT EXISTS (SELECT FROM harca.embedding_queue)", "then they are made anew")
is_(sql("SELECT embedding_model, embedding_column FROM harca.search_target"), "one 1|embedding", "the change is taken back")
is_(wrong("one"), "0", "the former vectors are those of the texts of now")
is_(sql("SELECT count(*) FROM information_schema.columns WHERE table_name = 'memory'"), "4", "the column has gone")
is_(refused("SELECT harca.undo_embedding_change('memory')"), "42704", "once")

sql("SELECT harca.change_embedding_model('memory', 'two')")
sql("SELECT harca.undo_embedding_change('memory')")
is_(sql("SELECT count(*) FROM harca.embedded_table"), "1", "a change is stopped on its way")
sql("SELECT harca.change_embedding_model('memory', 'two')")
server.restart()
wait_for(f"{STATE} = 'switched'", "it goes on after a restart of the server")
sql("SELECT harca.end_embedding_change('memory')")
is_(sql("SELECT count(*) FROM information_schema.columns WHERE table_name = 'memory' AND column_name = 'embedding'"), "0", "at its end the former column goes")
is_(wrong("two"), "0", "and the vectors are those of the new model")
sql("INSERT INTO memory (id, content) VALUES (900, 'after the end')")
wait_for("(SELECT state = 'in step' FROM harca.embedding_progress)", "rows are embedded by it")
is_(wrong("two"), "0", "rightly")
is_(refused("SELECT harca.change_embedding_model('memory', 'two')"), "22023", "to the same model there is no change")
sql("CREATE ROLE other LOGIN")
is_(refused("SELECT harca.change_embedding_model('memory', 'one')", "other"), "42501", "nor for others than the owner")
server.remove()
done()
