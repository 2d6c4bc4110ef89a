#!/usr/bin/env python3
"""10,000 hostile strings in every place of a search run nothing; behind a narrow filter a search gives all rows that it is asked for."""

import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, copy, done, is_, like, ok  # noqa: E402

server = Server.attach()
DB = "harca_hostile"
OWNER, READER = ROLES = ("harca_hostile_owner", "harca_hostile_reader")
server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
for role in ROLES:
    server.psql(f"DROP ROLE IF EXISTS {role}; CREATE ROLE {role} LOGIN")
# The role that searches may do all that the strings try.
server.psql(f"GRANT pg_execute_server_program TO {OWNER}; CREATE DATABASE {DB} OWNER {OWNER}")
server.psql(f"CREATE EXTENSION pg_harca CASCADE; GRANT CREATE ON SCHEMA public TO {OWNER}", DB)


def as_owner(sql):
    return server.psql(sql, DB, OWNER)


# The strings are the same in every run, and each is another. What they call leaves a trace in a sequence, which no rollback
# takes back.
PROGRAM = server.folder / "program_was_run"
PAYLOADS = [
    "'; SELECT public.sing(); --", "' OR public.sing() IS NOT NULL OR 'a' = 'a", "') OR public.sing() IS NOT NULL --", "' || public.sing() || '",
    "x' UNION SELECT public.sing(), 1 --", "(SELECT public.sing())", "1 OR public.sing() IS NOT NULL", "1) OR (public.sing() IS NOT NULL", "public.sing()",
    '" = public.sing() OR "tenant', '"; SELECT public.sing(); --', "$$ || public.sing() || $$", "\\'; SELECT public.sing(); --", "'::text || public.sing() || '",
    "''::text) OR (public.sing() = 'x", "nextval('public.sung')", "' || nextval('public.sung') || '", "eq}', public.sing(), '{", "= public.sing() --",
    "'); DROP TABLE public.canary; --", "'; DELETE FROM public.canary; --", "'); UPDATE public.canary SET song = 'x'; --", "'; TRUNCATE public.canary; --",
    f"'; COPY public.canary TO PROGRAM 'touch {PROGRAM}'; --", "'; CREATE TABLE public.breach (); --", "'; CREATE VIEW public.breach AS SELECT 1; --",
    "'; DO $$BEGIN PERFORM public.sing(); END$$; --", "' OR pg_sleep(300) IS NULL --", "'; SET row_security = off; --", "'; RESET ALL; --", "'; COMMIT; --",
    "' OR 'a' = 'a", "1) OR (1=1", "' UNION SELECT tenant, 1 FROM public.note --", "1/0", "' OR 1/0 = 1 --", "'::regclass", "' COLLATE \"C\" <> '", "CAST(1/0 AS text)",
]  # fmt: skip
PIECES = [
    ["'", "''", "'''", '"', '""', "$$", "$x$", "--", "/*", "*/", ";", "\\", "\\\\", "\\'", "::int", "::text", "E'\\''", "U&'\\0027'", "$1", "$3", "$9", "NULL", ":x", ":'x'", "()"],
    [":*", ":A", ":*AB", " & ", " | ", "!", "!!", " <-> ", "<2>", "<99999>", "(", ")", "((((", "'\\", "'a' ", "a:1A", " : ", "*", "a:*"],
    ["{", "}", "[", "]", '{"a": 1}', "null", '"\\u0027"', "\\u0000", "$.a", "$.**", "@ ? (@ > 1)", "#>>", "->", "->>", "'{}'", "{a,b}", '{"eq": 1}', "[1,0]"],
    ["%", "%%", "%s", "%I", "%L", "%1$s", "%1$I", "%99$L", "%-10s", "%*s", "%n", "{0}", "${x}", "{{x}}"],
    [".*", "^", "$", "[^a]", "(?=x)", "(a+)+$", "\\1", "\\d", "[[:alpha:]]", "{1,999}", "|", "+", "%_", "_", "?"],
    [*map(chr, (*range(1, 32), 127, 128, 133, 155, 159)), "\r\n", "\x1b[31m", "\t\t", "\\.", "\n\\.\n"],
    ["\u0301", "e\u0301", "\u0323\u0307", "a" + "\u0300\u0316" * 8, "\u3099", "か\u3099", "\u20dd", "\ufe0f", "\u200d", "\u200b", "\u2060", "\ufeff", "\u00ad"],
    ["😀", "👨\u200d👩\u200d👧", "🇯🇵", "𝒳𝒴", "𠮷", "𩸽", "\U000e0041", "\U0010ffff", "\U0001d173", "\uffff", "\ufffe", "\ufffd", "\ue000"],
    ["\u202e", "\u202d", "\u202c", "\u200f", "\u200e", "\u2066", "\u2069", "\u061c", "שלום", "مرحبا"],
    ['"', "“", "”", "„", "‟", "«", "»", "‹", "「", "」", "『", "』", "＂", "＇", "‘", "’", "‚", "`", "´", "″", "〝", "〟", "❝", "❞"],
    ["検索", "の", "港の計画", "東京 天気", "ﾃﾞｰﾀ", "ＡＢＣ", "ー", "々", "、", "。", "\u3000", "ありがとう", "한국어", "数据库", "ヴ", "㍿"],
    ["harbour", "plan", "north", " ", " ", "the", "E-1042", "ef_search", "3.14", "-", "example.com/it's?a=''", "ﬁ", "ß", "İ", "ǅ", "x" * 300, "0", "1e400"],
]  # fmt: skip
VALUES = [  # what columns of one type or another take, and what looks like it
    "1", "-0", "1e5", "99999999999999999999", "NaN", "Infinity", "-infinity", "0x1F", " 1 ", "１", "1.5", "true", "f", "null", "", "abc", "a", "101", "1010", "2", "\\x00", "\\xzz",
    "2026-01-01", "2026-02-30", "294277-01-01", "0001-01-01 BC", "2026-01-01 00:00+99", "25:00", "12:00", "now", "1 day", "P1Y", "9999999999 years", "{a,b}", "{1,2}", "{", "{{1},{2}}",
    "[1,2)", "[2,1)", "empty", "{[1,2)}", "(1,2)", "(1,2),(3,4)", "[1,0]", "$1.00", "127.0.0.1", "127.0.0.1/8", "08:00:2b:01:02:03", "00000000-0000-0000-0000-000000000000",
    '{"a": 1}', '{"a":1}', "'a'", "'a':1", "'a", "a & b", "a &", "a:1A", "0/1", "sad",
]  # fmt: skip
# Columns of all kinds, with two values each. Compared by their text form are those of types without an order, and of types
# that are not PostgreSQL's own.
BY_VALUE = {
    "smallint": ("1", "2"), "integer": ("1", "2"), "bigint": ("1", "99999999999"), "numeric(5,2)": ("1", "1.5"), "real": ("1", "NaN"), "double precision": ("1e5", "Infinity"),
    "boolean": ("true", "false"), "date": ("2026-01-01", "infinity"), "timestamp": ("2026-01-01", "-infinity"), "timestamptz(0)": ("2026-01-01", "infinity"),
    "time": ("12:00", "00:00"), "timetz": ("12:00+00", "00:00+00"), "interval": ("1 day", "1 year"), "uuid": ("00000000-0000-0000-0000-000000000000",) * 2,
    "bytea": ("\\x00", "abc"), "jsonb": ('{"a": 1}', "null"), "inet": ("127.0.0.1", "127.0.0.1/8"), "macaddr": ("08:00:2b:01:02:03",) * 2,
    "char(3)": ("abc", "a"), "varchar(5)": ("abc", "a"), "bit(3)": ("101", "100"), "varbit": ("101", "1010"), '"char"': ("a", "1"), "name": ("abc", "1"), "money": ("1", "2"),
    "text[]": ("{a,b}", "{}"), "integer[]": ("{1,2}", "{{1},{2}}"), "int4range": ("[1,2)", "empty"), "int4multirange": ("{[1,2)}", "{}"), "oid": ("1", "2"), "pg_lsn": ("0/1", "0/2"),
    "tsvector": ("'a'", "'a':1"), "tsquery": ("a & b", "'a'"), "small": ("1", "2"),
}  # fmt: skip
BY_TEXT = {
    "json": ('{"a": 1}', "null"), "point": ("(1,2)", "(0,0)"), "box": ("(3,4),(1,2)", "(1,1),(0,0)"), "xid": ("1", "2"), "json[]": ("{1,null}", "{}"),
    "mood": ("sad", "a"), "pair": ("(1,2)", "(,)"), "vector(2)": ("[1,0]", "[0,1]"), "mood[]": ("{a}", "{}"),
}  # fmt: skip
columns = [(f"c{i}", kind, values, kind in BY_TEXT) for i, (kind, values) in enumerate({**BY_VALUE, **BY_TEXT}.items())]
rng = random.Random(77)


def hostile_string():
    """A payload between other pieces, or pieces of one kind or all; one in 100 is made 100 kB long, one in 25 repeated."""
    shape = rng.random()
    if shape < 0.4:
        parts = [rng.choice(rng.choice(PIECES)) for _ in range(rng.randint(0, 3))]
        parts.insert(rng.randint(0, 1), rng.choice(PAYLOADS))
    else:
        kinds = [rng.choice(PIECES)] if shape < 0.6 else PIECES
        parts = [rng.choice(rng.choice(kinds)) for _ in range(rng.randint(1, 12))]
    text = "".join(parts)
    length = rng.random()
    if length < 0.01:
        text *= 100_000 // len(text.encode()) + 1
    elif length < 0.05:
        text *= rng.randint(20, 200)
    return text


PLACES = {  # with how many strings
    "query": 3000,
    "value": 3000,
    "typed value": 4000,
    "key": 1000,
    "comparison": 700,
    "option": 500,
    "setting": 700,
    "target": 600,
}
strings = dict.fromkeys(PAYLOADS)
while len(strings) < sum(PLACES.values()):
    strings[hostile_string()] = None
strings = list(strings)
rng.shuffle(strings)
hostile = []
for place, count in PLACES.items():
    for i in range(count):
        string = strings[len(hostile)]
        if place == "typed value" and i % 2:
            string = rng.choice([*VALUES, *columns[i // 2 % len(columns)][2] * 9])
        hostile.append((len(hostile), i, place, string))
distinct = {row[3] for row in hostile}
long = sum(len(string.encode()) >= 100_000 for string in distinct)
ok(len(distinct) >= 10000 and long >= 50, f"{len(distinct)} strings, {long} of them with 100 kB, in {len(hostile)} calls")

quoted = [", ".join("'" + values[row].replace("'", "''") + "'" for _, _, values, _ in columns) for row in (0, 1)]
as_owner(
    f"""
    CREATE TABLE canary (song text);
    INSERT INTO canary VALUES ('none');
    CREATE SEQUENCE sung;
    CREATE FUNCTION sing() RETURNS text LANGUAGE plpgsql AS $$BEGIN PERFORM nextval('public.sung'); INSERT INTO public.canary VALUES ('sung'); RETURN 'x'; END$$;
    CREATE TABLE hostile (n integer PRIMARY KEY, i integer, place text, string text);
    CREATE TABLE outcome (place text, state text, message text, string text);
    CREATE DOMAIN small AS integer CHECK (VALUE < 100);
    CREATE TYPE mood AS ENUM ('a', 'sad');
    CREATE TYPE pair AS (x integer, y integer);
    CREATE TABLE kind (place integer, name text, by_text boolean);
    INSERT INTO kind VALUES {", ".join(f"({i}, '{name}', {by_text})" for i, (name, _, _, by_text) in enumerate(columns))};
    CREATE TABLE typed (id integer PRIMARY KEY, content text, tsv tsvector, embedding vector(2), {", ".join(f"{c[0]} {c[1]}" for c in columns)});
    INSERT INTO typed VALUES (1, 'x', 'x', '[1,0]', {quoted[0]}), (2, 'x', 'x', '[1,0]', {quoted[1]});
    INSERT INTO typed VALUES (3, 'x', 'x', '[1,0]');
    SELECT harca.register_search_target('typed', 'typed')
    """
)
as_owner(copy("hostile", hostile))
# Some of the strings are values of rows, names of columns and of targets.
as_owner(
    """
    CREATE TABLE note AS
    SELECT v.i / 10 AS id, q.string AS content, v.string AS tenant, to_tsvector('harca', q.string) AS tsv, ARRAY[1, v.i]::vector(2) AS embedding
    FROM hostile AS v JOIN hostile AS q ON q.place = 'query' AND q.i = v.i WHERE v.place = 'value' AND v.i % 10 = 0;
    ALTER TABLE note ADD PRIMARY KEY (id);
    SELECT harca.register_search_target('note', 'note'), harca.register_search_target('plain', 'note', config => 'simple');
    CREATE FUNCTION is_name(string text) RETURNS boolean LANGUAGE sql AS $$SELECT octet_length(string) BETWEEN 1 AND 63$$;
    DO $$
    DECLARE
        string text;
    BEGIN
        FOR string IN SELECT h.string FROM hostile AS h WHERE place = 'key' AND i % 20 = 0 AND is_name(h.string) LOOP
            EXECUTE format('ALTER TABLE note ADD %I text', string);
            EXECUTE format('UPDATE note SET %I = ''x'' || id %% 3', string);
        END LOOP;
        FOR string IN SELECT h.string FROM hostile AS h WHERE place = 'target' AND i % 20 = 0 AND is_name(h.string) LOOP
            PERFORM harca.register_search_target(string, 'note');
        END LOOP;
    END$$
    """
)
names = {
    place: int(as_owner(f"SELECT count(*) FROM hostile WHERE place = '{place}' AND i % 20 = 0 AND is_name(string)"))
    for place in ("key", "target")
}
ok(min(names.values()) >= 10, f"some of the strings are names: {names}")
as_owner(
    r"""
    CREATE FUNCTION found(target text, query text, embedding vector, most integer, filter jsonb, options jsonb) RETURNS text[]
    LANGUAGE plpgsql AS $$
    DECLARE
        ids text[];
        good bigint;
    BEGIN
        SELECT coalesce(array_agg(h.id ORDER BY h.id), '{}'),
               count(DISTINCT h.id) FILTER (WHERE h.score >= 0 AND h.score < 'Infinity' AND coalesce(h.vector_rank, h.keyword_rank) > 0
                   AND (h.vector_rank IS NULL OR h.vector_score IS NOT NULL) AND (h.keyword_rank IS NULL OR h.keyword_score IS NOT NULL)
                   AND (h.keyword_score IS NULL OR h.keyword_score >= 0)
                   AND h.vector_weight BETWEEN 0 AND 1 AND h.query_type IN (SELECT l.label FROM harca.labels() AS l UNION ALL SELECT 'unknown'))
        INTO ids, good
        FROM hybrid_search(target, query, embedding, most, filter => filter, options => options) AS h;
        IF good <> cardinality(ids) THEN
            RAISE EXCEPTION '% rows are malformed', cardinality(ids) - good USING ERRCODE = 'ZZ001';
        END IF;
        RETURN ids;
    END$$;
    CREATE FUNCTION expect(ids text[], expected text[]) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        IF ids IS DISTINCT FROM coalesce(expected, '{}') THEN
            RAISE EXCEPTION 'found %, not %', ids, expected USING ERRCODE = 'ZZ002';
        END IF;
    END$$;
    CREATE FUNCTION attempt(place text, string text, i integer) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        kind record;
        comparison text;
        kinds integer := (SELECT count(*) FROM kind);
        ids text[];
        expected text[];
        state text;
        message text;
        expected_state text;
    BEGIN
        CASE place
        WHEN 'query' THEN
            ids := found((ARRAY['note', 'plain'])[1 + i % 2], string, CASE i % 3 WHEN 0 THEN '[1,0]'::vector END, 10, NULL,
                         (ARRAY['{}', '{"phrases": "require"}', '{"ranking": "ts_rank_cd"}', '{"fusion": "rrf"}'])[1 + i % 4]::jsonb);
        WHEN 'value' THEN
            ids := found('note', '?', '[1,0]', 1000, jsonb_build_object('tenant', CASE i % 9
                WHEN 0 THEN to_jsonb(string) WHEN 1 THEN to_jsonb(ARRAY['harbour', string]) WHEN 2 THEN jsonb_build_object('in', ARRAY[string, string || 'x'])
                ELSE jsonb_build_object((ARRAY['eq', 'ne', 'lt', 'lte', 'gt', 'gte'])[i % 9 - 2], string) END), NULL);
            PERFORM expect(ids, (SELECT array_agg(n.id::text ORDER BY n.id::text) FROM note AS n WHERE CASE i % 9
                WHEN 0 THEN n.tenant = string WHEN 1 THEN n.tenant IN ('harbour', string) WHEN 2 THEN n.tenant IN (string, string || 'x') WHEN 3 THEN n.tenant = string
                WHEN 4 THEN n.tenant <> string WHEN 5 THEN n.tenant < string WHEN 6 THEN n.tenant <= string WHEN 7 THEN n.tenant > string ELSE n.tenant >= string END));
        WHEN 'typed value' THEN
            SELECT k.* INTO kind FROM kind AS k WHERE k.place = i / 2 % kinds;
            comparison := (ARRAY['eq', 'ne', 'in', 'lt', 'lte', 'gt', 'gte'])[1 + i / 2 / kinds % 7];
            IF kind.by_text AND comparison NOT IN ('eq', 'ne', 'in') THEN
                expected_state := '22023';
            ELSE
                -- Whatever the same comparison gives in plain SQL, its error included.
                BEGIN
                    EXECUTE format('SELECT array_agg(id::text ORDER BY id) FROM typed WHERE %s %s %s',
                                   CASE WHEN kind.by_text THEN format('format(''%%s'', %I)', kind.name) ELSE kind.name END,
                                   CASE comparison WHEN 'eq' THEN '=' WHEN 'ne' THEN '<>' WHEN 'in' THEN 'IN' WHEN 'lt' THEN '<' WHEN 'lte' THEN '<=' WHEN 'gt' THEN '>' ELSE '>=' END,
                                   format(CASE comparison WHEN 'in' THEN '(%L, NULL)' ELSE '%L' END, string)) INTO expected;
                EXCEPTION WHEN OTHERS THEN
                    expected_state := SQLSTATE;
                END;
            END IF;
            BEGIN
                ids := found('typed', '?', '[1,0]', 10,
                             jsonb_build_object(kind.name, jsonb_build_object(comparison, CASE comparison WHEN 'in' THEN to_jsonb(ARRAY[string, NULL]) ELSE to_jsonb(string) END)), NULL);
            EXCEPTION WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
            END;
            IF state IS DISTINCT FROM expected_state THEN
                RAISE EXCEPTION '% %: % (%), not %', kind.name, comparison, coalesce(state, 'rows'), message, coalesce(expected_state, 'rows') USING ERRCODE = 'ZZ003';
            ELSIF state IS NOT NULL THEN
                RAISE EXCEPTION '%: %', kind.name, message USING ERRCODE = state;
            END IF;
            PERFORM expect(ids, expected);
        WHEN 'key' THEN
            ids := found('note', '?', '[1,0]', 1000, jsonb_build_object(string, (ARRAY['"x1"', '["x1", "y"]', '{"eq": "x1"}', '{"in": ["x1"]}'])[1 + i / 20 % 4]::jsonb), NULL);
            PERFORM expect(ids, (SELECT array_agg(n.id::text ORDER BY n.id::text) FROM note AS n WHERE n.id % 3 = 1));
        WHEN 'comparison' THEN
            ids := found('note', 'harbour', '[1,0]', 10, jsonb_build_object('tenant', jsonb_build_object(string, (ARRAY['"x"', '["x"]', '1', 'null'])[1 + i % 4]::jsonb)), NULL);
        WHEN 'option' THEN
            ids := found('note', 'harbour', '[1,0]', 10, NULL, jsonb_build_object(string, (ARRAY['"x"', '["x"]', '1', 'null'])[1 + i % 4]::jsonb));
        WHEN 'setting' THEN
            ids := found('note', 'harbour', '[1,0]', 10, NULL, jsonb_build_object(
                (ARRAY['candidates', 'vector_weight', 'fusion', 'ranking', 'k1', 'b', 'max_matches', 'phrases'])[1 + i % 8], string));
        WHEN 'target' THEN
            ids := found(string, '?', '[1,0]', 1000, NULL, NULL);
            PERFORM expect(ids, (SELECT array_agg(n.id::text ORDER BY n.id::text) FROM note AS n));
        END CASE;
    END$$;
    CREATE FUNCTION attempt_all(place text) RETURNS void LANGUAGE plpgsql AS $$
    #variable_conflict use_variable
    DECLARE
        tried record;
    BEGIN
        FOR tried IN SELECT h.i, h.string FROM hostile AS h WHERE h.place = place ORDER BY h.n LOOP
            BEGIN
                PERFORM attempt(place, tried.string, tried.i);
                INSERT INTO outcome VALUES (place, 'rows', NULL, tried.string);
            EXCEPTION WHEN OTHERS THEN
                INSERT INTO outcome VALUES (place, SQLSTATE, SQLERRM, tried.string);
            END;
        END LOOP;
    END$$
    """
)

TRACES = """SELECT (SELECT string_agg(song, ' ') FROM canary), (SELECT last_value FROM sung), (SELECT is_called FROM sung)"""
CATALOG = "SELECT md5(string_agg(o, ' ' ORDER BY o)) FROM ({}) AS objects (o)".format(
    " UNION ALL ".join(
        f"SELECT format('{catalog} %s', ({columns})) FROM {catalog}"
        for catalog, columns in {
            "pg_class": "oid, relname, relkind, relowner, relfilenode, relacl, relrowsecurity",
            "pg_proc": "oid, proname, prosrc, proacl",
            "pg_type": "oid, typname",
            "pg_namespace": "oid, nspname, nspacl",
            "pg_attribute": "attrelid, attname, atttypid, attacl",
            "pg_roles": "oid, rolname, rolsuper, rolconfig",
            "pg_auth_members": "roleid, member",
            "pg_trigger": "oid, tgname",
            "pg_extension": "oid, extname",
            "pg_db_role_setting": "setrole, setconfig",
            "pg_largeobject_metadata": "oid, 0",
        }.items()
    )
)
as_owner("SELECT sing()")
is_(as_owner(TRACES), "none sung|1|t", "the canary sings when it is called")
as_owner("DELETE FROM canary WHERE song = 'sung'; SELECT setval('sung', 1, false)")
catalog = server.psql(CATALOG, DB)

session = server.session(DB, OWNER)
pid = session.pid
session.psql("SET client_min_messages = error")  # PostgreSQL's parser says which words are too long


def states(place):
    """What came of the strings in that place, by SQLSTATE."""
    session.psql(f"SELECT attempt_all('{place}')", timeout=300)
    found = session.psql(f"SELECT state, count(*) FROM outcome WHERE place = '{place}' GROUP BY state ORDER BY state")
    return {state: int(count) for state, count in (line.split("|") for line in found.split("\n"))}


def show(place, unexpected):
    """A few of the strings that came to these states, for whoever looks at a failure."""
    text = session.psql(
        f"""SELECT state, left(message, 300), left(quote_literal(string), 200) FROM outcome
            WHERE place = '{place}' AND state = ANY ('{{{",".join(unexpected)}}}') ORDER BY length(string) LIMIT 8"""
    )
    print("#   " + text.replace("\n", "\n#   "))


for place, expected, why in (
    ("query", {"rows": PLACES["query"]}, "whatever is typed can be searched for"),
    ("value", {"rows": PLACES["value"]}, "a filter on text selects the rows that plain SQL selects"),
    (
        "key",
        {"42703": PLACES["key"] - names["key"], "rows": names["key"]},
        "a filter on a column of that name, or undefined_column",
    ),
    ("comparison", {"22023": PLACES["comparison"]}, "invalid_parameter_value"),
    ("option", {"22023": PLACES["option"]}, "invalid_parameter_value"),
    ("setting", {"22023": PLACES["setting"]}, "invalid_parameter_value"),
    (
        "target",
        {"42704": PLACES["target"] - names["target"], "rows": names["target"]},
        "a target of that name, or undefined_object",
    ),
):
    found = states(place)
    if not is_(found, expected, f"hostile strings as {place}: {why}"):
        show(place, found.keys() - expected.keys())
# Input functions of types raise data exceptions (class 22) and, for 100 kB in one word, program_limit_exceeded; those of
# tsvector and tsquery call what they cannot read a syntax error.
found = states("typed value")
unexpected = {state for state in found if state not in ("rows", "54000", "42601") and not state.startswith("22")}
if not is_(unexpected, set(), "hostile strings as typed value: the rows, or the data exception, of plain SQL"):
    show("typed value", unexpected)
is_(
    session.psql(
        "SELECT DISTINCT split_part(message, ':', 1) FROM outcome WHERE place = 'typed value' AND state = '42601' ORDER BY 1"
    ).split("\n"),
    sorted(name for name, kind, _, _ in columns if kind in ("tsvector", "tsquery")),
    "and no syntax error but those of tsvector and tsquery",
)
ok(found["rows"] > 300 and found["22P02"] > 300, f"both happen: {found}")
for options in ('{"candidates": 10.0}', '{"max_matches": 1e2}', '{"vector_weight": 1e-60}', '{"k1": 1e-400}'):
    is_(server.sqlstate(f"SELECT * FROM hybrid_search('note', 'x', '[1,0]', options => '{options}')", DB, OWNER), None, options)

is_(session.psql("SELECT pg_backend_pid()"), str(pid), "all in one session, which lives")
is_(session.psql("SELECT count(*) FROM hybrid_search('note', 'harbour', '[1,0]')"), "10", "and searches")
session.close()
is_(as_owner(TRACES), "none|1|f", "the canary has not been called, and is as it was")
is_(server.psql(CATALOG, DB), catalog, "no object, right or setting is new, changed or gone")
ok(not PROGRAM.exists(), "no program was run")
is_(
    as_owner("SELECT count(*) FILTER (WHERE harca.drop_search_target(string)) FROM hostile WHERE place = 'target'"),
    str(names["target"]),
    "targets of hostile names can be dropped",
)

# Behind a filter: the vector leg gives as many rows as were asked for if there are as many, whatever the index and wherever
# they lie. In "far" those that the filters let through lie opposite to the question, with 36,000 rows nearer than they.
as_owner(
    """
    SELECT setseed(0.5);
    CREATE TABLE even AS
    SELECT i AS id, format('report of t%s', i % 50) AS content, to_tsvector('harca', format('report of t%s', i % 50)) AS tsv,
           i % 100 AS hundredth, i % 1000 AS thousandth, (SELECT array_agg(random() - 0.5) FROM generate_series(1, 16) WHERE i > 0)::vector(16) AS embedding
    FROM generate_series(1, 20000) AS i;
    CREATE TABLE lists AS TABLE even;
    CREATE TABLE parts (LIKE even) PARTITION BY RANGE (id);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (4000);
    CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (4000) TO (12000);
    CREATE TABLE parts_3 PARTITION OF parts FOR VALUES FROM (12000) TO (30000);
    INSERT INTO parts TABLE even;
    CREATE TABLE far AS
    SELECT i AS id, format('report of t%s', i % 50) AS content, to_tsvector('harca', format('report of t%s', i % 50)) AS tsv,
           i % 100 AS hundredth, i % 1000 AS thousandth,
           (SELECT array_agg(CASE WHEN s THEN -0.5 - random() ELSE 0.5 + random() END) FROM (SELECT i % 100 < 40 AS s FROM generate_series(1, 16)) AS d)::vector(16) AS embedding
    FROM generate_series(1, 60000) AS i;
    SET max_parallel_maintenance_workers = 2;
    CREATE INDEX ON even USING hnsw (embedding vector_cosine_ops) WITH (m = 8, ef_construction = 32);
    CREATE INDEX ON parts USING hnsw (embedding vector_cosine_ops) WITH (m = 8, ef_construction = 32);
    CREATE INDEX ON far USING hnsw (embedding vector_cosine_ops) WITH (m = 8, ef_construction = 32);
    CREATE INDEX ON lists USING ivfflat (embedding vector_cosine_ops) WITH (lists = 200)
    """
)
for table in ("even", "lists", "parts", "far"):
    as_owner(
        f"""CREATE INDEX ON {table} USING gin (tsv); ALTER TABLE {table} ADD PRIMARY KEY (id); ANALYZE {table};
        SELECT harca.register_search_target('{table}', '{table}');
        CREATE POLICY few ON {table} TO {READER} USING (hundredth = 7); ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; GRANT SELECT ON {table} TO {READER}"""
    )
QUESTION = "array_fill(1, '{16}')::vector"
FILTERS = {"hundredth = 7": '{"hundredth": 7}', "thousandth = 7": '{"thousandth": 7}'}
WIDER = {"hundredth < 10": '{"hundredth": {"lt": 10}}', "hundredth < 40": '{"hundredth": {"lt": 40}}'}
PLANS = {
    "as planned": "",
    "by index alone": "SET enable_seqscan = off;",
    "by index in little memory": "SET enable_seqscan = off; SET work_mem = '64kB';",
}


def missed(table, filters, words, setup, role=OWNER):
    """The searches of a table that do not give all the rows they should, or others."""
    cases = " UNION ALL ".join(
        f"""SELECT format('{where}, {leg}: %s of %s rows, %s of them fit', count(h.id), least(s.most, (SELECT count(*) FROM {table} WHERE ({where}){also})),
                          count(*) FILTER (WHERE {where})) AS result,
                   ARRAY[count(h.id), count(*) FILTER (WHERE {where})] = array_fill(least(s.most, (SELECT count(*) FROM {table} WHERE ({where}){also})), '{{2}}') AS good
            FROM unnest('{{10,50,100}}'::integer[]) AS s (most)
            LEFT JOIN LATERAL hybrid_search('{table}', '{query}', {embedding}, s.most, filter => {filter}) AS h ON true
            LEFT JOIN {table} AS t ON t.id = h.id::integer
            GROUP BY s.most"""
        for where, filter in filters.items()
        for leg, query, embedding, also in (
            ("meaning", "?", QUESTION, ""),
            ("words", words, "NULL", f" AND tsv @@ harca.keyword_query('harca_query', '{words}')"),
            ("both", words, QUESTION, ""),
        )
    )
    return server.psql(f"{setup} SELECT c.result FROM ({cases}) AS c WHERE NOT c.good", DB, role)


for table, filters, words in (
    ("even", FILTERS, "report t7"),
    ("lists", FILTERS, "report t7"),
    ("parts", FILTERS, "report t7"),
    ("far", FILTERS | WIDER, "t7"),
):
    plan = as_owner(
        f"SET enable_seqscan = off; SELECT string_agg(plan, ' ') FROM harca.explain_legs('{table}', 't7', {QUESTION}, filter => '{{\"hundredth\": 7}}')"
    )
    # The plan is that of the search which answered in the end.
    like(plan, r"Sort Key: .*embedding .*Bitmap Index Scan" if table == "far" else "Order By: .*Bitmap Index Scan", f"{table}: by which index")
    filters = {where: f"'{filter}'" for where, filter in filters.items()}
    for how, setup in PLANS.items():
        is_(missed(table, filters, words, setup), "", f"{table}, {how}: a filter leaves as many rows as were asked for")
        is_(
            missed(table, {"hundredth = 7": "NULL", "thousandth = 7": filters["thousandth = 7"]}, words, setup, READER),
            "",
            f"{table}, {how}: so does row-level security, with and without a filter",
        )

server.psql(f"DROP DATABASE {DB} WITH (FORCE)")
server.psql("".join(f"DROP ROLE {role};" for role in ROLES))
done()
