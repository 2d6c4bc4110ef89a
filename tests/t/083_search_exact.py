#!/usr/bin/env python3
"""The first rows of a search are the best of all, although few rows are read: by words alone, with both legs, boosts and
filters, through an index of words and through one that knows how often they come and how long documents are."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, ok  # noqa: E402

server = Server.attach()
DB = "harca_exact"
server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
server.psql(f"CREATE DATABASE {DB}")
# The lower the number of a word, the more documents have it, and some have it many times.
server.psql(
    """
    CREATE EXTENSION pg_harca CASCADE;
    SELECT setseed(0.25);
    CREATE FUNCTION words(often integer) RETURNS text LANGUAGE sql VOLATILE AS $$
        SELECT string_agg(repeat('w' || floor(power(random(), 3) * 60)::integer || ' ', CASE WHEN random() < 0.1 THEN 1 + floor(random() * 7)::integer ELSE 1 END), '')
        FROM generate_series(1, 1 + floor(random() * often)::integer)
    $$;
    CREATE TABLE memory (
        id integer PRIMARY KEY, content text, kind integer, noted_at date, embedding vector(8),
        tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED
    ) WITH (autovacuum_enabled = off);
    INSERT INTO memory
    SELECT i, words(CASE i % 3 WHEN 0 THEN 6 ELSE 40 END), i % 7, date '2026-01-01' + i % 500,
           (SELECT array_agg(random() - 0.5) FROM generate_series(1, 8) AS d WHERE i > 0)::vector(8)
    FROM generate_series(1, 3000) AS i;
    CREATE INDEX plain ON memory USING gin (tsv);
    SELECT harca.register_search_target('memory', 'memory');
    CREATE TABLE question AS
    SELECT i AS id, CASE WHEN i % 5 = 0 THEN format('%s "w%s w%s"', q.words, i % 4, i % 6) ELSE q.words END AS query,
           (SELECT array_agg(random() - 0.5) FROM generate_series(1, 8) AS d WHERE i > 0)::vector(8) AS embedding
    FROM generate_series(1, 150) AS i, LATERAL (SELECT words(CASE i % 2 WHEN 0 THEN 3 ELSE 7 END) AS words WHERE i > 0) AS q
    """,
    DB,
)


def sql(text):
    # With scans of tables off, their cost would have PostgreSQL compile every statement.
    return server.psql("SET enable_seqscan = off; SET jit = off; " + text, DB)


# The first rows, beside those of a search that gives them all and so leaves nothing out.
PAGES = """
SELECT count(*), count(*) FILTER (WHERE part.page IS DISTINCT FROM whole.page)
FROM question AS q,
LATERAL (SELECT array_agg((h.id, round(h.score::numeric, 9), round(h.keyword_score::numeric, 6))::text) AS page
         FROM (SELECT * FROM hybrid_search('memory', q.query, {embedding}, {rows}, {skipped}, {filter}, '{options}')) AS h) AS part,
LATERAL (SELECT array_agg((h.id, round(h.score::numeric, 9), round(h.keyword_score::numeric, 6))::text) AS page
         FROM (SELECT * FROM hybrid_search('memory', q.query, {embedding}, NULL, {skipped}, {filter}, '{whole}') LIMIT {rows}) AS h) AS whole
"""
ALONE = '"candidates": 3000'
BOOSTS = '"boosts": {"kind": {"weight": 0.4, "max": 6}, "noted_at": {"weight": 0.2, "half_life": "90 days"}}'


def check(what, embedding="NULL", rows=10, skipped=0, filter="NULL", options="", all_of_them=""):
    found = sql(
        PAGES.format(
            embedding=embedding, rows=rows, skipped=skipped, filter=filter,
            options="{" + options + "}", whole="{" + ", ".join(filter_empty(options, all_of_them)) + "}",
        )  # fmt: skip
    )
    is_(found, "150|0", what)


def filter_empty(*parts):
    return [part for part in parts if part]


def searches(index):
    check(f"{index}: the first rows by words", all_of_them=ALONE)
    check(f"{index}: the second page", skipped=10, all_of_them=ALONE)
    check(f"{index}: the first row", rows=1, all_of_them=ALONE)
    check(f"{index}: the rows of a filter", filter="'{\"kind\": [2, 5]}'", all_of_them=ALONE)
    check(f"{index}: other parameters of BM25", options='"k1": 2.5, "b": 0.9', all_of_them=ALONE)
    check(f"{index}: both legs", embedding="q.embedding")
    check(f"{index}: both legs, little meaning", embedding="q.embedding", options='"vector_weight": 0.1')
    check(f"{index}: both legs, little but meaning", embedding="q.embedding", options='"vector_weight": 0.95, "candidates": 20')
    check(f"{index}: both legs by their maximum", embedding="q.embedding", options='"fusion": "max"')
    check(f"{index}: both legs by ranks", embedding="q.embedding", options='"fusion": "rrf"')
    check(f"{index}: boosts", embedding="q.embedding", options=BOOSTS)
    check(f"{index}: rows that both legs have", embedding="q.embedding", options='"strategy": "intersection"')
    check(f"{index}: meaning scores rows with words", embedding="q.embedding", options='"strategy": "keyword_first"')


# BM25 of all rows, by the documents that have each word: those that the search has counted.
BRUTE_FORCE = """
SELECT count(*), count(*) FILTER (WHERE found.scores IS DISTINCT FROM best.scores)
FROM question AS q,
LATERAL (SELECT array_agg(round(keyword_score::numeric, 6)) AS scores FROM (
    SELECT keyword_score FROM hybrid_search('memory', q.query, NULL, 10)) AS h) AS found,
LATERAL (SELECT hybrid_search_explain('memory', q.query) -> 'legs' -> 'keyword' AS leg) AS x,
LATERAL (SELECT harca.bm25_query(array_agg(w ->> 'word'), array_agg(coalesce(array_length(positions, 1), 1)),
                                 array_agg((w ->> 'documents')::bigint), (x.leg ->> 'documents')::bigint, s.average_length) AS query
         FROM harca.search_statistics AS s, jsonb_array_elements(x.leg -> 'words') AS w
         JOIN unnest(to_tsvector('harca_query', q.query)) AS l ON l.lexeme = w ->> 'word' GROUP BY s.average_length) AS b,
LATERAL (SELECT array_agg(round(score::numeric, 6)) AS scores FROM (
    SELECT harca.bm25(m.tsv, b.query) AS score FROM memory AS m ORDER BY score DESC LIMIT 10) AS m WHERE score > 0) AS best
WHERE q.query NOT LIKE '%"%'
"""
is_(sql(BRUTE_FORCE), "120|0", "the scores of the first rows are the highest of all rows")
searches("index of words")


def leg(query, what, options="{}"):
    return sql(f"SELECT hybrid_search_explain('memory', '{query}', options => '{options}') #> '{{legs,keyword,{what}}}'")


RARE = "w57 w0"
read_by_words = int(leg(RARE, "ranked"))
ok(read_by_words < 1000, f"few rows are read: {read_by_words}")
is_(leg(RARE, "complete"), "true", "which is told to be enough")
is_(leg(RARE, "indexes"), '["plain"]', "through the index of words")

sql("CREATE INDEX marked ON memory USING gin (harca.with_frequencies(tsv))")
is_(leg(RARE, "indexes"), '["marked"]', "an index that knows frequencies is taken as soon as it is there")
ok(int(leg(RARE, "ranked")) <= read_by_words, "and no more rows are read")
is_(sql(BRUTE_FORCE), "120|0", "the scores of the first rows are the highest of all rows, through that index")
searches("index that knows frequencies")

# Rows that have a word once are told apart by their lengths.
sql(
    """
    CREATE TABLE note (id integer PRIMARY KEY, content text, embedding vector(8),
                       tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED);
    INSERT INTO note SELECT i, 'harbour ' || repeat('sea' || i % 9 || ' ', 20 + i % 200) FROM generate_series(1, 4000) AS i;
    CREATE INDEX words_of_notes ON note USING gin (tsv);
    SELECT harca.register_search_target('note', 'note')
    """
)
SHORTEST = "SELECT string_agg(id, ' ' ORDER BY id::integer) FROM (SELECT * FROM hybrid_search('note', 'harbour', NULL, 10)) AS h"
LOOKED_AT = "SELECT (hybrid_search_explain('note', 'harbour', NULL, 10) #> '{legs,keyword,ranked}')::integer"
shortest, looked_at = sql(SHORTEST), int(sql(LOOKED_AT))
sql("DROP INDEX words_of_notes; CREATE INDEX marked_notes ON note USING gin (harca.with_frequencies(tsv))")
is_(sql(SHORTEST), shortest, "the shortest of the rows that have a word once")
# Twenty have 21 words; of equal rows the first ones by the text of their identifiers.
is_(shortest, " ".join(sorted(sorted(map(str, range(200, 4001, 200)))[:10], key=int)), "these are they")
looked_at_by_length = int(sql(LOOKED_AT))
ok(looked_at_by_length < looked_at / 4, f"which are found without the long ones: {looked_at_by_length} of {looked_at}")

# Statistics of another time: bounds are those of the weights that rank, whatever these are.
sql(
    "UPDATE memory SET content = content || repeat(' w59', 9) WHERE id % 50 = 0; DELETE FROM memory WHERE id % 4 = 0; "
    "INSERT INTO memory (id, content, kind, embedding) SELECT 3000 + i, 'w58 w58 w58 w1', 1, '[1,1,1,1,1,1,1,1]' FROM generate_series(1, 400) AS i"
)
check("after changes: the first rows by words", all_of_them=ALONE)
check("after changes: both legs", embedding="q.embedding")

# The brake.
ONE_MORE = '{"max_matches": 20, "candidates": 10}'
is_(leg("w0 w1", "complete", ONE_MORE), "false", "a search that may read few rows tells that there may be better ones")
is_(
    sql(
        "INSERT INTO memory (id, content) VALUES (9999, 'w0 w0 unheard'); "
        f"SELECT id FROM hybrid_search('memory', 'w0 w1 unheard', NULL, 1, options => '{ONE_MORE}')"
    ),
    "9999",
    "and has looked at the rows with the rarest words",
)

# Indexes that are none for a search.
sql(
    "DROP INDEX marked; CREATE INDEX part ON memory USING gin (harca.with_frequencies(tsv)) WHERE kind = 1; "
    "CREATE INDEX other ON memory USING gin (harca.with_frequencies(strip(tsv)))"
)
is_(leg(RARE, "indexes"), '["plain"]', "an index over a part of the rows, or over something else, does not count")
sql("DROP INDEX part, other; CREATE INDEX marked ON memory USING gin (harca.with_frequencies(tsv)); DROP INDEX plain")
is_(leg(RARE, "indexes"), '["marked"]', "the index that knows frequencies is enough")
check("with it alone: the first rows by words", all_of_them=ALONE)

# What a document has that has no room for marks, and a word that is too long for one.
sql(
    """
    ALTER TABLE memory ALTER COLUMN tsv DROP EXPRESSION;
    INSERT INTO memory (id, tsv) SELECT 20000, string_agg(format('%s:1,2,3', repeat('x', 2000) || i), ' ')::tsvector || 'w59:1,2,3,4,5,6,7,8,9'
    FROM generate_series(1, 520) AS i;
    INSERT INTO memory (id, tsv) VALUES (20001, (repeat('z', 2046) || ':1,2,3 w59:4')::tsvector)
    """
)
is_(sql("SELECT harca.with_frequencies(tsv) @@ '''*''' FROM memory WHERE id = 20000"), "t", "a document without room for marks says so")
check("with such documents: the first rows by words", all_of_them=ALONE)

# An index that knows frequencies is of no use behind a policy, and whether there is one hangs on who searches.
READER = "harca_exact_reader"
server.psql(f"DROP ROLE IF EXISTS {READER}")
sql(f"CREATE ROLE {READER}; GRANT SELECT ON memory TO {READER}; CREATE POLICY lower_kinds ON memory FOR SELECT USING (kind < 5); ALTER TABLE memory ENABLE ROW LEVEL SECURITY")
session = server.session(DB)
BY_FREQUENCIES = "SELECT bool_or(plan ~ 'with_frequencies') FROM harca.explain_legs('memory', 'w0 w1')"
FOUND = "SELECT count(*) FROM hybrid_search('memory', 'w0', NULL, 10)"
for role, by_frequencies in [("NONE", "t"), (READER, "f"), ("NONE", "t")]:
    session.psql(f"SET ROLE {role}")
    is_(session.psql(FOUND), "10", f"role {role}: searches in one session")
    is_(session.psql(BY_FREQUENCIES), by_frequencies, "and goes by frequencies unless a policy hides rows")
session.close()
server.psql(f"DROP OWNED BY {READER}", DB)
server.psql(f"DROP ROLE {READER}")
done()
