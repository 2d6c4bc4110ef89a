#!/usr/bin/env python3
"""Neither search paths nor names, filters, queries or the tables of others make a search run anything but itself."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, like, ok  # noqa: E402

server = Server.attach()
DB = "harca_injection"
OWNER, OTHER = ROLES = ("harca_table_owner", "harca_trapper")
server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
for role in ROLES:
    server.psql(f"DROP ROLE IF EXISTS {role}; CREATE ROLE {role} LOGIN")
server.psql(f"CREATE DATABASE {DB}")
server.psql(f"CREATE EXTENSION pg_harca CASCADE; GRANT CREATE ON SCHEMA public TO {OWNER}, {OTHER}", DB)
server.psql(
    """
    CREATE TABLE note (id integer PRIMARY KEY, content text, tenant text, tsv tsvector, embedding vector(2));
    INSERT INTO note SELECT i, t, 'somebody', to_tsvector('harca', t), v::vector FROM (VALUES
        (1, 'harbour plan of the north', '[1,0]'), (2, 'harbour plan of the south', '[0.9,0.1]'),
        (3, 'lunch at the harbour', '[0,1]'), (4, 'lunch in town', '[0.1,0.9]')) AS v (i, t, v);
    SELECT harca.register_search_target('note', 'note')
    """,
    DB, OWNER,
)  # fmt: skip


def state(sql):
    return server.sqlstate(sql, DB, OWNER)


def ids(sql):
    return server.psql(f"SELECT string_agg(id, ' ' ORDER BY id::integer) FROM {sql}", DB, OWNER)


def as_owner(sql):
    server.psql(sql, DB, OWNER)


WORDS = "hybrid_search('note', 'harbour')"

# What stands first in the search path, or belongs to the table's owner, is not run.
called = "LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'called' USING ERRCODE = 'ZZ001'; END$$"
DOUBLE, VECTOR = "double precision", "public.vector"
FUNCTIONS = {  # what the SQL of the extension calls, with the result
    "text": [
        "set_config(text, text, boolean)",
        "current_setting(text, boolean)",
        "jsonb_typeof(jsonb)",
        "format(text, text)",
        "format(text, name)",
    ]
    + ['"left"(text, integer)', "replace(text, text, text)", "query_type(text)", "format_type(oid, integer)"],
    "boolean": ["pg_has_role(oid, text)"],
    "integer": ["cardinality(anyarray)"],
    "real": ["ts_rank_cd(tsvector, tsquery, integer)"],
    "integer[]": ["array_positions(anycompatiblearray, anycompatible)"],
    "tsquery": ["phraseto_tsquery(regconfig, text)"],
    "tsvector": ["to_tsvector(regconfig, text)"],
    "SETOF text": ["jsonb_object_keys(jsonb)", "jsonb_array_elements_text(jsonb)"],
    "SETOF anyelement": ["unnest(anyarray)"],
    "TABLE (key text, value jsonb)": ["jsonb_each(jsonb)"],
    "public.query_classification": ["classify_query(text)"],
}
OPERATORS = [  # name, left, right, result
    ("=", "text", "text", "boolean"), ("=", "name", "name", "boolean"), ("=", "oid", "oid", "boolean"), ("<", DOUBLE, DOUBLE, "boolean"),
    ("<>", DOUBLE, DOUBLE, "boolean"), ("@@", "tsvector", "tsquery", "boolean"), ("<=>", VECTOR, VECTOR, DOUBLE), ("||", "text", "text", "text"),
    ("->>", "jsonb", "text", "text"), ("?", "jsonb", "text", "boolean"), ("+", "integer", "integer", "integer"), ("-", DOUBLE, DOUBLE, DOUBLE),
]  # fmt: skip
server.psql(
    "CREATE SCHEMA evil;"
    + "".join(f"CREATE FUNCTION evil.{f} RETURNS {result} {called};" for result, names in FUNCTIONS.items() for f in names)
    + "".join(
        f"CREATE FUNCTION evil.operator_{i} ({left}, {right}) RETURNS {result} {called};"
        f"CREATE OPERATOR evil.{name} (FUNCTION = evil.operator_{i}, LEFTARG = {left}, RIGHTARG = {right});"
        for i, (name, left, right, result) in enumerate(OPERATORS)
    )
    + "CREATE AGGREGATE evil.array_agg(text) (SFUNC = array_append, STYPE = text[]); CREATE VIEW evil.pg_class AS SELECT 1 / 0 AS oid; GRANT USAGE ON SCHEMA evil TO PUBLIC",
    DB,
)
HOSTILE = "SET search_path = evil, pg_catalog, public;"
for trap in ("query_type('x y')", "'a'::text = 'b'::text", "to_tsvector('simple'::regconfig, 'x'::text)"):
    is_(server.sqlstate(f"{HOSTILE} SELECT {trap}", DB), "ZZ001", f"the trap works: {trap}")
for what, sql in {
    "hybrid_search": """public.hybrid_search('note', 'harbour plan', '[1,0]', filter => '{"id": {"in": [1, 2]}, "tenant": {"ne": "x"}}')""",
    "hybrid_search by ts_rank_cd": """public.hybrid_search('note', 'harbour "the plan"', options => '{"ranking": "ts_rank_cd"}')""",
    "hybrid_search by ranks": """public.hybrid_search('note', 'harbour plan', '[1,0]', options => '{"fusion": "rrf"}')""",
    "hybrid_search by the words first": """public.hybrid_search('note', 'harbour plan', '[1,0]', options => '{"strategy": "keyword_first", "after": [1, "1"]}')""",
    "hybrid_search by the meaning first": """public.hybrid_search('note', 'harbour', '[1,0]', options => '{"strategy": "vector_first", "boosts": {"id": {"weight": 1, "max": 4}}}')""",
    "explain_legs": "harca.explain_legs('note', 'harbour plan', '[1,0]')",
    "hybrid_search_explain": "public.hybrid_search_explain('note', 'harbour plan', '[1,0]')",
    "register_search_target": "harca.register_search_target('again', 'public.note', replace => true)",
    "record_feedback": "harca.record_feedback('note', 'harbour plan', '1', 1, '[1,0]'), (SELECT count(harca.record_feedback('note', 'plan ' || n, '2', 1, '[1,0]')) FROM pg_catalog.generate_series(1, 12) AS n) AS more",
    "tune_search": "harca.tune_search('note', tune_bm25 => true, apply => true)",
    "undo_tuning": "harca.undo_tuning('note')",
    "refresh_search_statistics": "harca.refresh_search_statistics('note')",
    "stat_search_target": "harca.stat_search_target",
    "common_term": "harca.common_term",
    "drop_search_target": "harca.drop_search_target('again')",
    "classify_queries": "public.classify_queries('{x y}')",
    "text search": "pg_catalog.to_tsvector('public.harca', 'some text')",
}.items():
    is_(server.sqlstate(f"{HOSTILE} SELECT * FROM {sql}", DB), None, f"{what} runs nothing from the search path")
    is_(
        server.sqlstate(
            f"CREATE TEMP VIEW pg_class AS SELECT 1 / 0 AS oid; SET search_path = pg_temp, evil, pg_catalog, public; SELECT * FROM {sql}",
            DB,
        ),
        None,
        f"{what}: nor from temporary objects",
    )
is_(
    server.psql(f"SET search_path = ''; SELECT id FROM public.{WORDS}", DB),
    server.psql(f"SELECT id FROM {WORDS}", DB),
    "an empty search path will do",
)

# Another role's table has code in it: a cast of its id, a view under its name.
server.psql(
    """
    CREATE FUNCTION grab() RETURNS text LANGUAGE plpgsql AS $$BEGIN EXECUTE 'CREATE TABLE IF NOT EXISTS public.grabbed_by_' || current_user || ' ()'; RETURN 'x'; END$$;
    CREATE TYPE trap AS (n integer);
    CREATE FUNCTION trap_text(trap) RETURNS text LANGUAGE sql AS 'SELECT public.grab()';
    CREATE CAST (trap AS text) WITH FUNCTION trap_text(trap);
    CREATE TABLE bait (id trap PRIMARY KEY, content text, tsv tsvector, embedding vector(2));
    INSERT INTO bait VALUES (ROW(1), 'harbour', 'harbour', '[1,0]');
    SELECT harca.register_search_target('bait', 'bait');
    CREATE VIEW bait_view AS SELECT grab() AS id, content, tsv, embedding FROM bait;
    INSERT INTO harca.search_target
    SELECT 'bait_view', 'bait_view', id_columns, text_column, tsvector_column, embedding_column, config, query_config, distance, vector_weight
    FROM harca.search_target WHERE name = 'bait'
    """,
    DB, OTHER,
)  # fmt: skip
for bait in ("bait", "bait_view"):
    server.run(f"SELECT * FROM hybrid_search('{bait}', 'harbour', '[1,0]')", DB)
    is_(
        server.psql("SELECT to_regclass('grabbed_by_postgres') IS NULL; DROP TABLE IF EXISTS grabbed_by_postgres", DB),
        "t",
        f"a search by a superuser runs no code of another's {bait}",
    )

# Names that need quotes, and values that look like SQL.
odd = """it's a "test"; DROP TABLE note; --"""
quoted = odd.replace("'", "''")
table = '"' + odd.replace('"', '""')[:50] + '"'
as_owner(
    f"""CREATE TABLE {table} ("my id" integer PRIMARY KEY, "the ""text" text, "select" tsvector, "vec'tor" vector(2), "fil'ter "" \\x" text);
    INSERT INTO {table} SELECT id, content, tsv, embedding, '{quoted}' FROM note;
    SELECT harca.register_search_target('{quoted}', '{table.replace("'", "''")}', 'my id', 'the "text', 'select', 'vec''tor')"""
)
key = "fil'ter \" \\x"
for value, rows in (
    (odd, "1 2 3 4"),
    ("x' OR 'a' = 'a", ""),
    ([odd], "1 2 3 4"),
    ({"ne": odd}, ""),
    ({"gte": odd, "lte": odd}, "1 2 3 4"),
    ({"in": ["x'); DROP TABLE note; --"]}, ""),
    (None, ""),
):
    text = json.dumps({key: value}).replace("'", "''")
    is_(
        ids(f"hybrid_search('{quoted}', 'harbour', '[1,0]', filter => '{text}')"), rows, f"odd names, and a filter with {value!r}"
    )
for filter in (
    {odd: 1},
    {'id" = 1; DROP TABLE note; --': 1},
    {"id": {"= 1; DROP TABLE note; --": 1}},
    {"id": {"eq": "1; DROP TABLE note"}},
    {"id": "1) OR (1=1"},
    {"ctid": 1},
    {"tableoid": 1},
    {"": 1},
):
    text = json.dumps(filter).replace("'", "''")
    like(
        state(f"SELECT * FROM hybrid_search('note', 'harbour', filter => '{text}')") or "",
        "42703|22023|22P02",
        f"the filter {json.dumps(filter)} is refused",
    )
for query in (odd, "\\' | ' & !x", "a' | b:* & !'c", "''''", "\\\\", "(((", ":*", "<->", "&", "harbour'; DROP TABLE note; --"):
    text = query.replace("'", "''")
    is_(state(f"SELECT * FROM hybrid_search('note', '{text}', '[1,0]')"), None, f"the query {query}")
is_(state(f"SELECT * FROM hybrid_search('{quoted}x', 'harbour')"), "42704", "a target of an odd name that does not exist")
is_(server.psql("SELECT count(*) FROM note", DB, OWNER), "4", "the table is still there")
ok(server.psql(f"SELECT harca.drop_search_target('{quoted}')", DB, OWNER) == "t", "the odd name can be dropped")

# What stands in the schema when the extension is created there is not built into it: a closer match than PostgreSQL's own.
server.psql(f"DROP DATABASE {DB} WITH (FORCE)")
server.psql(f"CREATE DATABASE {DB}")
server.psql(
    """
    CREATE FUNCTION format(text, text) RETURNS text LANGUAGE sql AS 'SELECT $1';
    CREATE FUNCTION format(text, text, text) RETURNS text LANGUAGE sql AS 'SELECT $1';
    CREATE FUNCTION times(integer, numeric) RETURNS numeric LANGUAGE sql AS 'SELECT $2';
    CREATE OPERATOR * (FUNCTION = times, LEFTARG = integer, RIGHTARG = numeric);
    CREATE FUNCTION same(oid, regtype) RETURNS boolean LANGUAGE sql AS 'SELECT true';
    CREATE OPERATOR = (FUNCTION = same, LEFTARG = oid, RIGHTARG = regtype);
    CREATE FUNCTION unnest(bigint[]) RETURNS SETOF bigint LANGUAGE sql AS 'SELECT 1::bigint';
    CREATE FUNCTION jsonb_object_agg(text, jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $2';
    CREATE FUNCTION joined(text[], text) RETURNS text[] LANGUAGE sql AS 'SELECT $1';
    CREATE OPERATOR || (FUNCTION = joined, LEFTARG = text[], RIGHTARG = text);
    CREATE EXTENSION pg_harca CASCADE
    """,
    DB,
)
is_(
    server.psql(
        """
        SELECT count(*) FROM pg_depend AS d
        WHERE d.classid IN ('pg_proc'::regclass, 'pg_rewrite'::regclass) AND d.deptype = 'n'
              AND (d.refclassid = 'pg_proc'::regclass AND d.refobjid::regprocedure::text ~ '^(format|times|same|unnest|jsonb_object_agg|joined)\\('
                   OR d.refclassid = 'pg_operator'::regclass AND d.refobjid::regoperator::text ~ '(integer,numeric)|(oid,regtype)|(text\\[\\],text)')
        """,
        DB,
    ),
    "0",
    "CREATE EXTENSION beside closer matches: none is built in",
)
server.psql(f"DROP DATABASE {DB} WITH (FORCE)")
server.psql("".join(f"DROP ROLE {role};" for role in ROLES))
done()
