#!/usr/bin/env python3
"""Texts of 1 MB and 100 MB, plain and toasted, are answered as their beginning is, in bounded time and memory."""

import os
import sys
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, ok  # noqa: E402

server = Server.attach()
DB = "harca_long"
MB = 1024  # the unit of /proc
BOUND = "SET statement_timeout = '20s'; "  # far above what is needed, far below what reading everything would take

server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE", DB)


def peak(session):
    """The most memory that the session's process has had of its own, in kB; shared buffers do not count."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{session.pid}/status").read_text().splitlines() if ":" in line)
    return int(status["RssAnon"].split()[0]), int(status["VmHWM"].split()[0])


def sql(text, db=DB):
    return server.psql(BOUND + text, db)


FIELDS = "c.query_type, c.confidence, c.scores, c.language, c.model"
TEXTS = {
    "words": "repeat('how do I find the slow query ', {n} / 29)",
    "Japanese": "repeat('検索が遅い理由を調べる', {n} / 33)",
    "blanks": "repeat(' ', {n})",
    "one long word": "repeat('x', {n})",
    "combining characters": "'e' || repeat(U&'\\0301', {n} / 2)",
    "signs": "repeat('?! ', {n} / 3)",
    "joined emoji": "repeat(U&'\\+01F469\\200D', {n} / 7)",
    "a word after 1 MB of blanks": "repeat(' ', {n}) || 'x y'",
}
for name, expression in TEXTS.items():
    text = expression.format(n=1000000)
    answer = sql(f"SELECT {FIELDS} FROM classify_query({text}) AS c")
    prefix = sql(f"SELECT {FIELDS} FROM classify_query(left({text}, 1024)) AS c")
    is_(answer, prefix, f"1 MB of {name}: answered as its beginning")
    ok(" ".join(answer.split("|")[4:]).startswith("query_type "), f"1 MB of {name}: by the model")
    single = sql(
        f"SELECT query_type({text}), (SELECT string_agg(query_type, ' ') FROM classify_queries(ARRAY[{text}, 'a b', {text}]))"
    )
    kind = prefix.split("|")[0]
    is_(single.split("|")[0], kind, f"1 MB of {name}: query_type")
    is_(single.split("|")[1].split()[::2], [kind, kind], f"1 MB of {name}: among other elements of an array")
is_(sql("SELECT length((classify_query(repeat('検索 ', 250000))).query)"), "750000", "the query column is whole")

# 100 MB, not stored: the limit of PostgreSQL is 1 GB.
huge = "repeat('how do I find it? ', 5600000)"
kind = sql(f"SELECT query_type(left({huge}, 1024))")
is_(sql(f"SELECT query_type({huge}), length({huge})"), f"{kind}|100800000", "100 MB")
is_(sql(f"SELECT query_type, length(query) FROM classify_query({huge})"), f"{kind}|100800000", "100 MB with the query column")
found = sql(f"SELECT query_type, length(query) FROM classify_queries(ARRAY[{huge}, 'x y'])")
is_(found.split("\n")[0], f"{kind}|100800000", "100 MB in an array")
kind = sql("SELECT query_type('e' || repeat(U&'\\0301', 1023))")
is_(sql("SELECT query_type('e' || repeat(U&'\\0301', 50000000))"), kind, "100 MB of combining characters")

# Stored: compressed and as it is, inside a big table.
server.psql(
    """
    CREATE TABLE stored (kind text, content text);
    ALTER TABLE stored ALTER content SET STORAGE EXTERNAL;
    INSERT INTO stored SELECT 'external', repeat('how do I find it? ', 5600000);
    INSERT INTO stored SELECT 'external small', repeat('how do I find it? ', 56000);
    ALTER TABLE stored ALTER content SET STORAGE EXTENDED;
    INSERT INTO stored SELECT 'compressed', repeat('how do I find it? ', 5600000);
    INSERT INTO stored SELECT 'compressed small', repeat('how do I find it? ', 56000);
    INSERT INTO stored SELECT 'short', 'how do I find it? ';
    ALTER TABLE stored ALTER content SET STORAGE MAIN;
    INSERT INTO stored SELECT 'inline', repeat('how do I find it? ', 5600);
    """,
    DB,
)
sizes = dict(line.split("|") for line in server.psql("SELECT kind, pg_column_size(content) FROM stored", DB).split("\n"))
is_((int(sizes["external"]) > 10**8, int(sizes["compressed"]) < 10**7), (True, True), "one is stored as it is, one compressed")
expected = server.psql("SELECT query_type, scores FROM classify_query(repeat('how do I find it? ', 60))", DB)
for kind in ("external", "external small", "compressed", "compressed small", "inline"):
    found = sql(f"SELECT c.query_type, c.scores FROM stored, classify_query(content) AS c WHERE kind = '{kind}'")
    is_(found, expected, f"stored, {kind}")
    found = sql(
        f"SELECT c.query_type, c.scores FROM classify_queries(ARRAY(SELECT content FROM stored WHERE kind = '{kind}')) AS c"
    )
    is_(found, expected, f"stored, {kind}, in an array")
found = sql("SELECT string_agg(DISTINCT query_type(content), ' ') FROM stored WHERE kind <> 'short'")
is_(found, expected.split("|")[0], "a scan over all of them")

# Only the beginning of a stored value is fetched, so that a scan over a table of documents does not need their memory.
for kind in ("external", "compressed"):
    session = server.session(DB)
    session.psql("SELECT query_type(content) FROM stored WHERE kind = 'short'")
    before, _ = peak(session)
    session.psql(f"SELECT query_type(content) FROM stored WHERE kind = '{kind}'", timeout=20)
    anonymous, high = peak(session)
    # The peak counts shared buffers and libraries as well, some 60 MB; the text in memory would add 100.
    ok(high < 100 * MB and anonymous - before < 20 * MB, f"100 MB, {kind}: a small part is fetched ({high // MB} MB at most)")
    session.close()

# What a long text takes is given back.
session = server.session(DB)
session.psql("SELECT query_type FROM classify_query(repeat('how do I find it? ', 56))")
before, _ = peak(session)
for _ in range(3):
    session.psql("SELECT query_type FROM classify_query(repeat('how do I find it? ', 5600000))", timeout=30)
    session.psql("SELECT query_type FROM classify_queries(ARRAY[repeat('how do I find it? ', 5600000)])", timeout=30)
after, _ = peak(session)
ok(after - before < 10 * MB, f"and its memory is given back ({(after - before) // MB} MB kept)")
session.close()

# The short end.
for text in ("a", "あ", "牛", "7", "?", "", " "):
    found = server.psql(
        f"SELECT query_type, length(query), abs((SELECT sum(s) FROM unnest(scores) s) - 1) < 1e-5 FROM classify_query('{text}')",
        DB,
    )
    is_(found.split("|")[1:], [str(len(text)), "t"], f"'{text}' is answered")
    is_(
        found.split("|")[0] == "unknown",
        text not in ("牛",),
        f"'{text}' is one character that is {'a word' if text == '牛' else 'none'}",
    )

# Search: a long query, a long document.
server.psql(
    """
    CREATE TABLE memory (id integer PRIMARY KEY, content text, tsv tsvector, embedding vector(2));
    INSERT INTO memory SELECT i, t, to_tsvector('harca', t), '[1,0]'
    FROM (VALUES (1, 'the needle'), (2, 'the haystack'), (3, repeat('haystack ', 100000) || 'needle')) AS v (i, t);
    SELECT harca.register_search_target('memory', 'memory')
    """,
    DB,
)
is_(
    sql(
        "SELECT count(*), min(keyword_rank) FROM hybrid_search('memory', 'needle ' || repeat('nothing at all ', 66667), '[1,0]')"
    ),
    "3|1",
    "hybrid_search for 1 MB",
)
is_(
    sql("SELECT count(keyword_rank) FROM hybrid_search('memory', repeat('nothing at all ', 66667) || 'needle', '[1,0]')"),
    "0",
    "the end of it is not read",
)
is_(
    sql("SELECT string_agg(id, ' ' ORDER BY id) FROM hybrid_search('memory', 'needle')"),
    "1 3",
    "a document of 1 MB is found by its last word",
)
is_(
    sql(
        "SELECT string_agg(id, ' ' ORDER BY id) FROM hybrid_search('memory', repeat(' ', 500) || 'needle' || repeat(' ', 1000000))"
    ),
    "1 3",
    "a word among blanks",
)
is_(
    sql("SELECT length(to_tsvector('harca', 'e' || repeat(U&'\\0301', 1000000)))"),
    "1",
    "a document of 2 MB of combining characters has the letter that they stand over",
)
server.psql(f"DROP DATABASE {DB} WITH (FORCE)")
done()
