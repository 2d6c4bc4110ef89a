#!/usr/bin/env python3
"""Databases of other encodings than UTF8 get the same answers, keep every byte of a query, and never fail for want of a mapping."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, like, ok  # noqa: E402

server = Server.attach()
DATABASES = {"harca_utf8": "UTF8", "harca_euc": "EUC_JP", "harca_latin": "LATIN1", "harca_ascii": "SQL_ASCII"}
JAPANESE = [
    "PostgreSQL ベクトル検索 インデックス",
    "東京タワーの高さは何メートルですか",
    "好きな食べ物",
    "ｶﾅ と カナ",
    "東京 天気",
    "？。、",
    "亜",
]
ACCENTS = [
    "Où trouver des crêpes à Paris?",
    "café Zürich Öffnungszeiten",
    "¿cuándo abre la biblioteca?",
    "¡",
    "größe der straße",
    "10 µm ½",
]
COLUMNS = "c.query_type, c.confidence, c.scores, c.language, c.model"


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def by_bytes(data):
    """A text of exactly these bytes, which must be valid in the database's encoding, whatever Unicode has for them."""
    return f"convert_from('\\x{data.hex()}', getdatabaseencoding())"


def answers(db, queries):
    one = server.psql("".join(f"SELECT {COLUMNS} FROM classify_query({literal(q)}) AS c;" for q in queries), db)
    array = "ARRAY[" + ", ".join(map(literal, queries)) + "]"
    many = server.psql(f"SELECT {COLUMNS} FROM classify_queries({array}) AS c ORDER BY ordinality", db)
    return one, many


def returned(db, expressions):
    """The bytes of the query column for each query, from both functions."""
    array = "ARRAY[" + ", ".join(expressions) + "]"
    raw = "encode(convert_to(c.query, 'SQL_ASCII'), 'hex')"
    one = server.psql("".join(f"SELECT {raw} FROM classify_query({e}) AS c;" for e in expressions), db).split("\n")
    many = server.psql(f"SELECT {raw} FROM classify_queries({array}) AS c ORDER BY ordinality", db).split("\n")
    return one, many


for db, encoding in DATABASES.items():
    server.psql(f"DROP DATABASE IF EXISTS {db} WITH (FORCE)")
    server.psql(f"CREATE DATABASE {db} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    is_(server.sqlstate("CREATE EXTENSION pg_harca CASCADE", db), None, f"{encoding}: CREATE EXTENSION")

# The same text, whatever its bytes.
for db, queries in (("harca_euc", JAPANESE), ("harca_latin", ACCENTS), ("harca_ascii", JAPANESE + ACCENTS)):
    encoding = DATABASES[db]
    expected = answers("harca_utf8", queries)
    like(expected[0], "query_type ", "the model answers in UTF8")
    found = answers(db, queries)
    is_(found[0], expected[0], f"{encoding}: classify_query gives types, scores and languages as in UTF8")
    is_(found[1], expected[1], f"{encoding}: classify_queries too")
    python = {"EUC_JP": "euc_jp", "LATIN1": "latin-1"}.get(encoding, "utf-8")
    expected = [q.encode(python).hex() for q in queries]
    is_(returned(db, list(map(literal, queries))), (expected, expected), f"{encoding}: the query comes back byte by byte")
    type_ = server.psql(
        f"SELECT query_type({literal(queries[1])}), (classify_query({literal(queries[1])})).query_type", db
    ).split("|")
    is_(type_[0], type_[1], f"{encoding}: query_type agrees")

# A query is cut between characters, at the same one whatever their width.
text = "検索の仕組みと索引ヲｱｲｳ" * 200
for db in ("harca_utf8", "harca_euc", "harca_ascii"):
    for chars in (16, 17, 31):
        sql = f"SET pg_harca.max_query_chars = {chars}; SELECT c.scores FROM classify_query("
        cut = literal(text[:chars])
        is_(
            server.psql(f"{sql}{literal(text)}) c", db),
            server.psql(f"{sql}{cut}) c", "harca_utf8"),
            f"{db}: the first {chars} characters",
        )

# Valid in EUC_JP and unknown to Unicode: unassigned rows of both planes, alone, between words, and at the end.
unmapped = [
    b"\xa9\xa1",
    b"\x8f\xa1\xa1",
    "東京".encode("euc_jp") + b"\xa9\xa1" + " 天気".encode("euc_jp"),
    b"abc \x8f\xa1\xa1\xa9\xa1",
]
for data in unmapped:
    e = by_bytes(data)
    is_(server.sqlstate(f"SELECT convert_to({e}, 'UTF8')", "harca_euc"), "22P05", f"EUC_JP: {data.hex()} has no place in Unicode")
is_(
    returned("harca_euc", list(map(by_bytes, unmapped))),
    ([d.hex() for d in unmapped],) * 2,
    "EUC_JP: such bytes come back as they are",
)
is_(server.psql(f"SELECT query_type({by_bytes(unmapped[0])})", "harca_euc"), "unknown", "EUC_JP: they hold nothing to search for")
ok(server.psql(f"SELECT query_type({by_bytes(unmapped[2])})", "harca_euc") != "unknown", "EUC_JP: words beside them count")
sql = f"SELECT tsvector_to_array(to_tsvector('harca', {by_bytes(unmapped[2])}))"
is_(server.psql(sql, "harca_euc"), "{天気,東京}", "EUC_JP: and are found by the text search configuration")

# Any byte at all in SQL_ASCII.
arbitrary = [
    bytes(range(1, 256)),
    b"\xff\xfe",
    b"caf\xe9 menu",
    b"\xe6\x9d",
    b"\xed\xa0\x80 x",
    b"\xf4\x90\x80\x80",
    "東京".encode("euc_jp"),
    b"\xc0\xaf",
]
hexes = [d.hex() for d in arbitrary]
is_(returned("harca_ascii", list(map(by_bytes, arbitrary))), (hexes, hexes), "SQL_ASCII: every byte comes back")
is_(
    server.psql(f"SELECT query_type({by_bytes(arbitrary[1])}), query_type({by_bytes(arbitrary[2])}) <> 'unknown'", "harca_ascii"),
    "unknown|t",
    "SQL_ASCII: invalid UTF-8 is answered",
)
for data in arbitrary:
    state = server.sqlstate(
        f"SELECT to_tsvector('harca', {by_bytes(data)}), harca.keyword_query('harca', {by_bytes(data)})", "harca_ascii"
    )
    is_(state, None, f"SQL_ASCII: text search takes {data.hex()[:16]}")
ok(
    server.psql(
        f"SELECT to_tsvector('harca', {by_bytes(b'bars of 12 caf' + bytes([0xE9]))}) @@ to_tsquery('harca', 'bar')", "harca_ascii"
    )
    == "t",
    "SQL_ASCII: words are still stemmed",
)
# Every character of LATIN1, although folding takes some out of it.
sql = "SELECT string_agg(chr(i), ' ' ORDER BY i) FROM generate_series(33, 255) AS i WHERE i NOT BETWEEN 127 AND 160"
is_(
    server.sqlstate(f"SELECT to_tsvector('harca', ({sql})), (classify_query(({sql}))).query_type", "harca_latin"),
    None,
    "LATIN1: every character",
)
is_(
    server.psql("SELECT to_tsvector('harca', 'Länge: 10 µm') @@ harca.keyword_query('harca_query', 'µm')", "harca_latin"),
    "t",
    "LATIN1: what folds out of it is found",
)

# Hybrid search: names, filters, words and messages in the database's encoding.
for db, (table, column, first, second, word) in {
    "harca_utf8": ("記録", "本文", "東京の天気は晴れ", "大阪で昼食", "天気"),
    "harca_euc": ("記録", "本文", "東京の天気は晴れ", "大阪で昼食", "天気"),
    "harca_latin": ("Notizbücher", "Größe", "der Schlüssel liegt im Café", "gestern im Büro", "Schlüssel"),
    "harca_ascii": ("記録", "Größe", "東京の天気は晴れ", "大阪で昼食", "天気"),
}.items():
    server.psql(
        f"""
        CREATE TABLE "{table}" (id text PRIMARY KEY, "{column}" text, tsv tsvector, embedding vector(2));
        INSERT INTO "{table}" SELECT v.t, v.t, to_tsvector('harca', v.t), v.e::vector
        FROM (VALUES ({literal(first)}, '[1,0]'), ({literal(second)}, '[0,1]')) AS v (t, e);
        SELECT harca.register_search_target('{table}', '"{table}"', text_column => '{column}')""",
        db,
    )
    found = server.psql(f"SELECT id, vector_rank, keyword_rank FROM hybrid_search('{table}', '{word}', '[1,0]')", db)
    is_(found, f"{first}|1|1\n{second}|2|", f"{db}: hybrid_search finds by word and vector")
    found = server.psql(
        f"""SELECT id FROM hybrid_search('{table}', '{word}', '[1,0]', filter => '{{"{column}": "{second}"}}')""", db
    )
    is_(found, second, f"{db}: a filter on a column of that name")
    error = server.run(f"SELECT hybrid_search('{table}x', '{word}')", db).err
    like(error, f'42704: search target "{table}x" does not exist', f"{db}: a message with the name")
hostile = by_bytes(arbitrary[0])
is_(
    server.sqlstate(f"SELECT hybrid_search('記録', {hostile}, '[1,0]')", "harca_ascii"),
    None,
    "SQL_ASCII: hybrid_search for any bytes",
)
is_(
    server.psql(f"SELECT id FROM hybrid_search('記録', {by_bytes(unmapped[2])}) LIMIT 1", "harca_euc"),
    "東京の天気は晴れ",
    "EUC_JP: hybrid_search for unmapped bytes",
)

for db in DATABASES:
    server.psql(f"DROP DATABASE {db} WITH (FORCE)")
done()
