#!/usr/bin/env python3
"""The keyword leg goes on a BM25 index of pg_textsearch where the table has one that fits, with the rows and scores of that."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import PgError, Server, done, is_, like, ok, skip  # noqa: E402

DB = "harca_bm25"
NEEDED = "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_textsearch'"
if Server.attach().psql(NEEDED) == "0":
    skip("the keyword leg on a BM25 index", "this server has no pg_textsearch")
    done()
    sys.exit()

server = Server(f"test-bm25-{os.getpid()}", settings={"shared_preload_libraries": "pg_harca, pg_textsearch"})
server.start()
server.psql(f"CREATE DATABASE {DB}")
# Every row has common words; one in 10, 100 and 1000 has others, and each a code of its own. Neither GIN nor statistics.
server.psql(
    """
    SET client_min_messages = warning;
    CREATE EXTENSION pg_harca CASCADE;
    CREATE EXTENSION pg_textsearch;
    SELECT setseed(0.5);
    CREATE TABLE memory (
        id integer PRIMARY KEY, content text, kind text, importance integer,
        tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED, embedding vector(8)
    );
    INSERT INTO memory (id, content, kind, importance, embedding)
    SELECT i, concat_ws(' ', 'the report of the team', repeat('and more ', i % 13),
                        CASE WHEN i % 10 = 0 THEN repeat('agreed ', 1 + i % 3) END,
                        CASE WHEN i % 100 = 0 THEN 'login timeout' WHEN i % 100 = 50 THEN 'timeout of the login' END,
                        CASE WHEN i % 1000 = 7 THEN 'gadget' END, format('AB-%s', i),
                        CASE WHEN i % 7 = 0 THEN '全文検索の設定を見直した' WHEN i % 7 = 1 THEN '設定の値' END),
           CASE WHEN i % 500 = 0 THEN 'rare' ELSE 'common' END, i % 5,
           (SELECT array_agg(random() - 0.5) FROM generate_series(1, 8) AS d WHERE i > 0)::vector(8)
    FROM generate_series(1, 5000) AS i;
    CREATE INDEX best ON memory USING bm25 (content) WITH (text_config = 'public.harca', k1 = 0.9, b = 0.4);
    ANALYZE memory;
    SELECT harca.register_search_target('memory', 'memory');
    DELETE FROM harca.search_statistics;
    DELETE FROM harca.search_term;
    CREATE TABLE question AS SELECT embedding FROM memory WHERE id = 77;
    """,
    DB,
    timeout=300,
)
Q = "(SELECT embedding FROM question)"


def sql(text, user="postgres"):
    return server.psql(text, DB, user)


def options(**given):
    return "options => '" + json.dumps(given).replace("'", "''") + "'"


def explain(query, *more, target="memory", user="postgres"):
    return json.loads(sql(f"SELECT hybrid_search_explain({', '.join([repr(target), repr(query), *more])})", user))


def indexes(query, *more, **where):
    return explain(query, *more, **where)["legs"]["keyword"]["indexes"]


def search(query, *more, target="memory", columns="id, keyword_score"):
    found = sql(f"SELECT {columns} FROM hybrid_search({', '.join([repr(target), repr(query), *more])})")
    return [line.split("|") for line in found.split("\n") if line]


def plain(query, limit=100, where="true", index="best"):
    """What pg_textsearch itself gives, by its own operator: id → score, best first."""
    order = f"content <@> to_bm25query('{query}', '{index}')"
    found = sql(f"SELECT id, -({order}) FROM memory WHERE {where} ORDER BY {order}, id LIMIT {limit}")
    return [(id_, float(score)) for id_, score in (line.split("|") for line in found.split("\n") if line) if float(score) > 0]


def same(found, expected, name):
    """Rows may change places where their scores are the same."""
    scores = [round(float(row[1]), 4) for row in found]
    is_(scores, [round(score, 4) for _, score in expected[: len(found)]], f"{name}: the scores")
    whole = {score for score in scores if score != scores[-1]}
    ids = [{id_ for id_, score in rows if round(float(score), 4) in whole} for rows in (found, expected)]
    is_(ids[0], ids[1], f"{name}: the rows")


# Found, used and shown, with nothing of ours: no statistics, no GIN index.
told = explain("login timeout")
is_(told["legs"]["keyword"]["indexes"], ["best"], "the index is used, and shown")
is_(told["options"]["keyword_index"], "auto", "which is the default")
is_(told["legs"]["keyword"]["query"], "login timeout", "with what it was asked")
ok(not any("statistics" in warning for warning in told["warnings"]), "old statistics are no matter")
for query in ("gadget", "login timeout", "team report gadget", "AB-1234", "agreed", "全文検索", "設定 timeout", "team team gadget"):
    found = search(query, "NULL", "100")
    ok(found, f"{query}: rows")
    same(found, plain(query), query)
    counts = {word["word"]: word["documents"] for word in explain(query)["legs"]["keyword"]["words"]}
    truth = {word: int(sql(f"SELECT count(*) FROM memory WHERE tsv @@ harca.lexeme_query('{word}')")) for word in counts}
    ok(all(abs(counts[word] - n) <= n / 100 for word, n in truth.items()), f"{query}: {counts} documents")
# The pairs of hiragana that harca_query leaves out.
is_(explain("検索の設定をしたい")["legs"]["keyword"]["query"], "検索の設定を", "particles and endings are left out")
same(search("検索の設定をしたい", "NULL", "100"), plain("検索の設定を"), "so are its rows")
is_(search("か", "NULL", "100"), [], "hiragana alone is looked up")
is_(search("...", "NULL", "100"), [], "a query without a word finds nothing")
normalised = sql(f"SELECT max(score) <= 1 FROM hybrid_search('memory', 'gadget AB-7 team', {Q}, 1000)")
is_(normalised, "t", "no score exceeds what it could be")
many = " ".join(f"AB-{i}" for i in range(1, 101))
is_(len(search(many, "NULL", "100")), 100, "a query of hundreds of words")
is_(server.run(f"SELECT count(*) FROM hybrid_search('memory', '{many}')", DB).err, "", "without a warning")

each = server.run("SELECT count(*) FROM generate_series(1, 300) AS i, hybrid_search('memory', format('AB-%s', i), NULL, 1)", DB)
is_((each.out, each.err), ("300", ""), "nor do hundreds of queries have one")
COUNT = "SELECT hybrid_search_explain('growing', 'gadget') #>> '{legs,keyword,words,0,documents}'"
# What a session knows of words is what a new one finds out, also where the words of a query change in different ways. The
# changes of a table that is not logged are nowhere to be seen but in what its index tells.
TOLD = "SELECT hybrid_search_explain('growing', 'gadget of the team')"
for table in ("TABLE", "UNLOGGED TABLE"):
    sql(
        f"""
        DROP TABLE IF EXISTS growing;
        CREATE {table} growing AS SELECT id, content, tsv, embedding FROM memory WHERE id <= 3000;
        ALTER TABLE growing ADD PRIMARY KEY (id);
        CREATE INDEX ON growing USING bm25 (content) WITH (text_config = 'public.harca');
        ANALYZE growing;
        SELECT harca.register_search_target('growing', 'growing', replace => true);
        """
    )
    session = server.session(DB)
    is_([session.psql(COUNT) for _ in range(3)], ["3"] * 3, f"{table}: how many documents have a word")
    session.psql("INSERT INTO growing (id, content) SELECT i, 'a gadget of today' FROM generate_series(9001, 9003) AS i")
    is_(session.psql(COUNT), "6", f"{table}: and how many after an INSERT")
    session.psql("BEGIN; INSERT INTO growing (id, content) VALUES (9000, 'a gadget of today')")
    is_(session.psql(COUNT), "7", f"{table}: before it is committed too")
    session.psql("COMMIT")
    for change in (
        "SELECT 1",
        "INSERT INTO growing (id, content) VALUES (9004, 'a gadget')",
        "INSERT INTO growing (id, content) SELECT i, 'the team' FROM generate_series(9005, 9050) AS i",
        "UPDATE growing SET content = 'a gadget of the team' WHERE id = 9004",
        "DELETE FROM growing WHERE id > 9004; VACUUM growing",
        "REINDEX TABLE growing",
    ):
        session.psql(change)
        known, found = (json.loads(text) for text in (session.psql(TOLD), sql(TOLD)))
        is_(known["legs"]["keyword"]["words"], found["legs"]["keyword"]["words"], f"{table}, {change}: the words")
        bounds = [told["fusion"]["keyword_bound"] for told in (known, found)]
        ok(abs(bounds[0] / bounds[1] - 1) < 1e-5, f"and their bound ({bounds})")
    session.close()

# The option.
sql("CREATE INDEX words ON memory USING gin (tsv); SELECT harca.refresh_search_statistics('memory'); ANALYZE memory")
GIN = options(keyword_index="gin")
is_(indexes("gadget", GIN), ["words"], "gin: the tsvector")
is_(indexes("gadget", options(keyword_index="bm25")), ["best"], "bm25: the index")
by_gin = [row[0] for row in search("gadget login", "NULL", "5", GIN)]
is_(by_gin, [row[0] for row in search("gadget login", "NULL", "5")], "both find the same")
ratio = sql(f"SELECT b.keyword_score / g.keyword_score FROM hybrid_search('memory', 'gadget', NULL, 1) AS b, hybrid_search('memory', 'gadget', NULL, 1, {GIN}) AS g")  # fmt: skip
ok(1.8 < float(ratio) < 2.0, f"scores are those of the index, k1 + 1 times as high ({ratio})")
for given, expected in (
    (dict(ranking="ts_rank_cd"), ["words"]),
    (dict(k1=1.2), ["words"]),
    (dict(b=0.75), ["words"]),
    (dict(k1=0.9, b=0.4), ["best"]),
):
    is_(indexes("gadget", options(**given)), expected, f"{given}: {expected}")
try:
    sql(f"SELECT * FROM hybrid_search('memory', 'gadget', {options(keyword_index='bm25', k1=1.2)})")
    ok(False, "bm25 that does not fit is an error")
except PgError as error:
    is_(error.sqlstate, "55000", "bm25 that does not fit is an error")
    like(error.stderr, "DETAIL:  Index public.best was made with other parameters", "which says why")
    like(error.stderr, r"HINT:  Create one with CREATE INDEX ON public.memory USING bm25 \(.?content.?\)", "and what to do")

# Filters, also where next to nothing passes; the planner may not sort instead.
for name, condition, filter_ in (
    ("one in 500", "kind = 'rare'", '{"kind": "rare"}'),
    ("one in 5", "importance = 3", '{"importance": 3}'),
    ("none", "kind = 'none'", '{"kind": "none"}'),
):
    found = search("team report login", "NULL", "100", f"filter => '{filter_}'")
    expected = plain("team report login", where=condition)
    same(found, expected, f"a filter that {name} passes")
    is_(len(found), len(expected), "gives all that pass")
sql("CREATE TABLE few AS SELECT id, content, to_tsvector('harca', content) AS tsv, embedding FROM memory WHERE id % 1000 = 7; ALTER TABLE few ADD PRIMARY KEY (id); ANALYZE few")
sql("CREATE INDEX few_best ON few USING bm25 (content) WITH (text_config = 'public.harca'); SELECT harca.register_search_target('few', 'few')")
is_(indexes("gadget", target="few"), ["few_best"], "a table of five rows: the index as well")
is_(len(search("gadget", target="few")), 5, "with its rows")
without = sql("SET enable_indexscan = off; SELECT count(*), max(keyword_score) > 0 FROM hybrid_search('memory', 'gadget login')")
is_(without, "10|t", "where PostgreSQL may not scan it, rows are scored one by one")

# A scan gives 100,000 rows at most: those behind them are found all the same.
sql(
    """
    CREATE UNLOGGED TABLE crowd AS
    SELECT i AS id, 'crowd' AS content, 'crowd'::tsvector AS tsv, NULL::vector(3) AS embedding, i AS place
    FROM generate_series(1, 105000) AS i;
    ALTER TABLE crowd ADD PRIMARY KEY (id);
    CREATE INDEX ON crowd USING bm25 (content) WITH (text_config = 'public.harca');
    ANALYZE crowd;
    SELECT harca.register_search_target('crowd', 'crowd');
    """
)
found = search("crowd", "NULL", "100", '''filter => '{"place": [7, 50000, 104998, 104999, 105000]}\'''', target="crowd", columns="id")
is_(sorted(int(row[0]) for row in found), [7, 50000, 104998, 104999, 105000], "rows behind the last that a scan gives, once each")

custom = sql("SET plan_cache_mode = force_custom_plan; SELECT string_agg(id, ',') FROM hybrid_search('memory', 'gadget login', NULL, 5)")
is_(custom, ",".join(row[0] for row in search("gadget login", "NULL", "5")), "plan_cache_mode has no say")
undone = sql(
    "DO $$BEGIN PERFORM hybrid_search('memory', 'gadget', filter => '{\"importance\": \"much\"}'); EXCEPTION WHEN OTHERS THEN NULL; END$$;"
    "SELECT current_setting('enable_sort'), current_setting('pg_textsearch.default_limit')"
)
is_(undone, "on|1000", "settings are as they were, after an error too")

# The leg reads what a page needs, and all rows that tie with its last one.
ALL = "id, score, keyword_rank, keyword_score"
for target, query in (("crowd", "crowd"), ("memory", "team login"), ("memory", "AB-7 report")):
    whole = search(query, "NULL", "60", options(candidates=100), target=target, columns=ALL)
    pages = [search(query, "NULL", "20", str(offset), target=target, columns=ALL) for offset in (0, 20, 40)]
    is_([row for page in pages for row in page], whole, f"{query}: pages agree with the whole")

# Phrases.
phrased = search('"login timeout"', "NULL", "100", options(phrases="require"))
is_({int(row[0]) % 100 for row in phrased}, {0}, "a phrase that is required")
is_(len(phrased), 50, "all rows with it")
preferred = search('team "login timeout"', "NULL", "100", columns="id, keyword_score")
is_({int(row[0]) % 100 for row in preferred[:50]}, {0}, "a phrase that is preferred: rows with it first")
ok(len(preferred) == 100 and int(preferred[50][0]) % 100 == 50, "those with its words next")
weight = float(preferred[0][1]) - dict(plain("team login timeout"))[preferred[0][0]]
ok(abs(weight - 1.9 * 4.6) < 0.2, f"by what it is worth ({weight})")
few = search('team "timeout of the login"', "NULL", "3", options(candidates=3))
is_({int(row[0]) % 100 for row in few}, {50}, "with few candidates too")

# Strategies, weights, boosts and pages.
for strategy in ("parallel", "keyword_first", "intersection", "keyword_only", "auto"):
    told = explain("gadget login", Q, options(strategy=strategy))
    is_(told["legs"]["keyword"]["indexes"], ["best"], f"{strategy}: on the index")
    ok(told["rows"], "with rows")
is_(indexes("gadget login", Q, options(strategy="vector_first")), [], "vector_first scores rows by their tsvector")
told = explain("AB-77", Q, options(vector_weight=0.1))
is_((told["rarity"], told["strategy"]["taken"], told["rows"][0]["id"]), (1, "keyword_first", "77"), "a code is rare, and enough")
told = explain("4321", Q, options(vector_weight=0.1))
is_((told["strategy"]["taken"], told["strategy"]["reason"][:9]), ("parallel", "documents"), "unless its rows are too few")
both = search("gadget", Q, "5", options(strategy="keyword_first"), columns="id, vector_score IS NOT NULL")
is_({row[1] for row in both}, {"t"}, "keyword_first scores rows by meaning as well")
boosted = search("gadget", "NULL", "5", options(boosts={"importance": {"weight": 5, "max": 4}}), columns="id, score")
is_(len(boosted), 5, "boosts")
whole = [row[0] for row in search("team login", Q, "40")]
pages = [search("team login", Q, "20", columns="id, score")]
pages.append(search("team login", Q, "20", options(after=[float(pages[0][-1][1]), pages[0][-1][0]])))
is_([row[0] for page in pages for row in page], whole, "pages after a row agree with the whole")
is_([row[0] for row in search("team login", Q, "20", "20")], whole[20:], "and so do those behind an offset")
is_(search("gadget login", "NULL", "100"), [row[:2] for row in search("gadget login", "NULL", "100")], "the same search, the same scores")

# What does not fit is left alone, and told.
session = server.session(DB)
USED = "SELECT hybrid_search_explain('memory', 'gadget', options => '{\"phrases\": \"require\"}') #>> '{legs,keyword,indexes}'"
WHY = "SELECT w FROM jsonb_array_elements_text(hybrid_search_explain('memory', 'gadget') -> 'warnings') AS w WHERE w LIKE 'no BM25%'"
ROWS = "SELECT string_agg(id, ',' ORDER BY id::integer) FROM hybrid_search('memory', 'gadget')"
GADGETS = "7,1007,2007,3007,4007"
for _ in range(7):
    is_(session.psql(ROWS), GADGETS, "a kept plan")
session.psql("DROP INDEX best")
is_((session.psql(USED), session.psql(ROWS), session.psql(WHY)), ('["words"]', GADGETS, ""), "dropped: the tsvector at once")
for definition, why in (
    ("(content) WITH (text_config = 'english')", "another text search configuration"),
    ("(content) WITH (text_config = 'public.harca') WHERE kind = 'common'", "a condition, an expression"),
    ("(lower(content)) WITH (text_config = 'public.harca')", None),
    ("(kind) WITH (text_config = 'public.harca')", None),
):
    session.psql(f"CREATE INDEX best ON memory USING bm25 {definition}")
    is_((session.psql(USED), session.psql(ROWS)), ('["words"]', GADGETS), f"{definition}: the tsvector")
    told = session.psql(WHY)
    ok(why in told if why else not told, f"and why ({told})")
    session.psql("DROP INDEX best")
session.psql("CREATE INDEX best ON memory USING bm25 (content) WITH (text_config = 'public.harca', k1 = 0.9, b = 0.4)")
is_((session.psql(USED), session.psql(ROWS)), ('["best"]', GADGETS), "created: the index at once")
session.psql("CREATE INDEX other ON memory USING bm25 (content) WITH (text_config = 'public.harca')")
is_((session.psql(USED), session.psql(ROWS)), ('["words"]', GADGETS), "two of them: the tsvector")
like(session.psql(WHY), "more than one BM25 index", "as none can be chosen")
session.psql("DROP INDEX other")
session.psql("INSERT INTO memory (id, content) VALUES (9999, 'a new gadget'); DELETE FROM memory WHERE id = 7")
is_(session.psql(ROWS), "1007,2007,3007,4007,9999", "rows that come and go count at once")
session.close()
# An access method of somebody else's with that name would be another extension's; a partitioned table has none of its own.
sql(
    """
    CREATE TABLE parted (LIKE memory, PRIMARY KEY (id)) PARTITION BY RANGE (id);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (3000);
    CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (3000) TO (20000);
    INSERT INTO parted SELECT * FROM memory;
    CREATE INDEX parted_words ON parted USING gin (tsv);
    CREATE INDEX parted_best ON parted USING bm25 (content) WITH (text_config = 'public.harca');
    SELECT harca.register_search_target('parted', 'parted');
    """
)
ok("best" not in "".join(indexes("gadget", target="parted")), "a partitioned table: the tsvector")
wanted = f"SELECT * FROM hybrid_search('parted', 'gadget', {options(keyword_index='bm25')})"
is_(server.sqlstate(wanted, DB), "55000", "also where the index is asked for")
is_(len(search("gadget", target="parted")), 5, "with its rows")

sql("CREATE TABLE heir () INHERITS (few)")
ok("few_best" not in indexes("gadget", target="few"), "a table that others inherit from: the tsvector")

# Rights.
sql(
    """
    CREATE ROLE reader LOGIN; CREATE ROLE narrow LOGIN; CREATE ROLE nobody LOGIN;
    GRANT SELECT ON memory, question TO reader;
    GRANT SELECT (id, tsv, embedding) ON memory TO narrow;
    """
)
FOUND = "SELECT string_agg(id, ',' ORDER BY id::integer) FROM hybrid_search('memory', 'gadget')"
is_((indexes("gadget", user="reader"), sql(FOUND, "reader")), (["best"], "1007,2007,3007,4007,9999"), "who may read the table")
is_((indexes("gadget", user="narrow"), sql(FOUND, "narrow")), (["words"], "1007,2007,3007,4007,9999"), "who may read the columns")
is_(server.sqlstate(FOUND, DB, "nobody"), "42501", "who may read nothing")
sql("ALTER TABLE memory ENABLE ROW LEVEL SECURITY; CREATE POLICY early ON memory USING (id < 3000)")
is_(("best" in indexes("gadget", user="reader"), sql(FOUND, "reader")), (False, "1007,2007"), "row-level security hides rows")
is_(indexes("gadget"), ["best"], "but not from the owner")
sql("ALTER TABLE memory DISABLE ROW LEVEL SECURITY")

# Another schema, which no search_path has; the caller's own function of that name is not called.
OTHER = "harca_bm25_other"
server.psql(f"CREATE DATABASE {OTHER}")
server.psql(
    """
    SET client_min_messages = warning;
    CREATE SCHEMA "the harca"; CREATE SCHEMA "the index";
    CREATE EXTENSION vector; CREATE EXTENSION pg_harca SCHEMA "the harca"; CREATE EXTENSION pg_textsearch SCHEMA "the index";
    CREATE TABLE memory (id integer PRIMARY KEY, content text, tsv tsvector, embedding vector(3));
    INSERT INTO memory SELECT i, format('the report of case %s', i), NULL, NULL FROM generate_series(1, 500) AS i;
    UPDATE memory SET tsv = to_tsvector('"the harca".harca', content);
    CREATE INDEX "The ""Best" ON memory USING bm25 (content) WITH (text_config = '"the harca".harca');
    ANALYZE memory;
    SELECT harca.register_search_target('memory', 'memory');
    CREATE FUNCTION public.bm25_get_current_score() RETURNS float8 LANGUAGE plpgsql AS $$BEGIN RAISE 'called'; END$$;
    """,
    OTHER,
)
SEARCH = """SELECT string_agg(id, ',') FROM "the harca".hybrid_search('memory', 'case 77', NULL, 1)"""
SHOWN = """SELECT "the harca".hybrid_search_explain('memory', 'case 77') #>> '{legs,keyword,indexes}'"""
for path in ("public", "''", '"the index"', 'public, "the index"'):
    session = server.session(OTHER)
    session.psql(f"SET search_path = {path}")
    is_([session.psql(SEARCH) for _ in range(8)], ["77"] * 8, f"search_path {path}: the row")
    is_(json.loads(session.psql(SHOWN)), ['"The ""Best"'], "by the index")
    is_(session.psql("SHOW search_path"), path.replace("''", '""'), "and the path is as it was")
    session.close()
server.psql("CREATE ROLE distant LOGIN", OTHER)
server.psql('GRANT USAGE ON SCHEMA "the harca" TO distant; GRANT SELECT ON memory TO distant', OTHER)
is_(server.psql(SEARCH, OTHER, "distant"), "77", "who may not use the schema of the index: the tsvector")
# An access method named bm25 that is of no extension.
server.psql(
    """
    SET client_min_messages = warning;
    DROP EXTENSION pg_textsearch CASCADE;
    CREATE ACCESS METHOD bm25 TYPE INDEX HANDLER bthandler;
    CREATE OPERATOR CLASS text_ops DEFAULT FOR TYPE text USING bm25 AS
        OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 bttextcmp(text, text);
    CREATE INDEX strange ON memory USING bm25 (content);
    """,
    OTHER,
)
is_(server.psql(SEARCH, OTHER), "77", "an access method of that name and of no extension: the tsvector")
is_(server.psql(SHOWN, OTHER), "[]", "without a word of it")
done()
