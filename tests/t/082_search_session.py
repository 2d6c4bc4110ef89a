#!/usr/bin/env python3
"""The plans that a session keeps for its searches follow tables, roles, policies and search paths, and take bounded memory; a
search fits into cursors, prepared statements, subtransactions and other searches."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import PgError, Server, done, is_, like, ok  # noqa: E402

server = Server.attach()
DB = "harca_search_session"
READER = "harca_session_reader"
server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
server.psql(f"DROP ROLE IF EXISTS {READER}")
server.psql(f"CREATE DATABASE {DB}")
MEMORY = """
    CREATE TABLE memory (id integer PRIMARY KEY, content text, kind text, embedding vector(2),
                         tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED);
    INSERT INTO memory SELECT i, 'report ' || i || CASE WHEN i % 2 = 0 THEN ' harbour' ELSE ' crane' END,
                              CASE WHEN i % 3 = 0 THEN 'note' ELSE 'fact' END, ARRAY[cos(i / 50.0), sin(i / 50.0)]::vector
    FROM generate_series(1, 200) AS i;
    CREATE INDEX memory_words ON memory USING gin (tsv);
    CREATE INDEX memory_near ON memory USING hnsw (embedding vector_cosine_ops);
    ANALYZE memory;
    """
server.psql(f"CREATE EXTENSION pg_harca CASCADE; {MEMORY} SELECT harca.register_search_target('memory', 'memory')", DB)
SEARCH = "SELECT string_agg(id, ' ') FROM hybrid_search('memory', 'report harbour', '[1, 0]', 5)"
COUNT = "SELECT count(*) FROM hybrid_search('memory', 'report harbour', '[1, 0]', 100)"

session = server.session(DB)


def sqlstate(sql):
    """The error that the session raises for the SQL, or None."""
    try:
        session.psql(sql)
    except PgError as error:
        return error.sqlstate
    return None


first = session.psql(SEARCH)
is_(len(first.split()), 5, "a search finds its page")
is_(session.psql(SEARCH), first, "so it does from kept plans")

# What the plans rest on changes.
session.psql("DROP INDEX memory_words; DROP INDEX memory_near")
is_(session.psql(SEARCH), first, "without its indexes: the same rows")
session.psql("ALTER TABLE memory ADD note text")
is_(session.psql(SEARCH), first, "with another column: the same rows")
session.psql("ALTER TABLE memory RENAME COLUMN id TO number; UPDATE harca.search_target SET id_columns = '{number}'")
is_(session.psql(SEARCH), first, "under another name of the key: the same rows")
session.psql("CREATE SCHEMA other; ALTER TABLE memory SET SCHEMA other")
is_(session.psql(SEARCH), first, "in another schema: the same rows")
session.psql("UPDATE other.memory SET content = content || ' report' WHERE number = 7")
is_(session.psql("SELECT id FROM hybrid_search('memory', 'report 7', NULL, 1)"), "7", "new words are found")
other = server.session(DB)
other.psql(f"DROP TABLE other.memory; {MEMORY}")
is_(sqlstate(SEARCH), "42704", "a table that another session has dropped is an error")
session.psql("SELECT harca.register_search_target('memory', 'memory', replace => true)")
is_(session.psql(SEARCH), first, "its successor is searched")

# What the session keeps of the target follows it, whoever changes it and in whatever transaction.
WEIGHT = "SELECT round(min(vector_weight)::numeric, 1) FROM hybrid_search('memory', 'report harbour', '[1, 0]', 1)"
SET_WEIGHT = "UPDATE harca.search_profile SET vector_weight = {} WHERE target = 'memory'"
server.psql("DELETE FROM harca.search_profile WHERE target = 'memory'", DB)
server.psql("UPDATE harca.search_target SET vector_weight = 0.8 WHERE name = 'memory'", DB)
is_(session.psql(WEIGHT), "0.8", "a weight that another session has changed counts at once")
server.psql("INSERT INTO harca.search_profile SELECT 'memory', label, 0.2 FROM unnest(ARRAY['keyword', 'semantic', 'hybrid']) AS label", DB)
is_(session.psql(WEIGHT), "0.2", "so does a profile")
session.psql("BEGIN")
is_(session.psql(WEIGHT), "0.2", "in a transaction that is open")
server.psql(SET_WEIGHT.format(0.4), DB)
is_(session.psql(WEIGHT), "0.4", "what another commits meanwhile")
session.psql(SET_WEIGHT.format(0.5))
is_(session.psql(WEIGHT), "0.5", "and a change of its own")
session.psql("SAVEPOINT before; " + SET_WEIGHT.format(1))
is_(session.psql(WEIGHT), "1.0", "that of a subtransaction too")
session.psql("ROLLBACK TO before")
is_(session.psql(WEIGHT), "0.5", "until it is rolled back")
session.psql("ROLLBACK")
is_(session.psql(WEIGHT), "0.4", "as the whole of it is")
server.psql("SET session_replication_role = replica; " + SET_WEIGHT.format(0.6), DB)
is_(session.psql(WEIGHT), "0.6", "where triggers of users do not fire, this one does")
server.psql("ALTER TABLE harca.search_profile DISABLE TRIGGER announce", DB)
is_(session.psql(WEIGHT), "0.6", "without it")
server.psql(SET_WEIGHT.format(0.1), DB)
is_(session.psql(WEIGHT), "0.1", "nothing is kept")
server.psql("ALTER TABLE harca.search_profile ENABLE ALWAYS TRIGGER announce; " + SET_WEIGHT.format(0), DB)
is_(session.psql(WEIGHT), "0.0", "with it again, changes count")
server.psql(SET_WEIGHT.format(0.5), DB)
server.psql("UPDATE harca.search_target SET query_config = 'simple' WHERE name = 'memory'", DB)
OWN_SIMPLE = "CREATE SCHEMA own; CREATE TEXT SEARCH CONFIGURATION own.simple (COPY = public.harca)"
is_(session.psql(f"{OWN_SIMPLE}; {SEARCH}"), first, "a configuration that was written down without a schema")
WORDS = "SELECT hybrid_search_explain('memory', 'reports', NULL) #>> '{legs,keyword,words,0,word}'"
is_(session.psql(WORDS), "reports", "is that of the search_path")
is_(session.psql(f"SET search_path = own, public, pg_catalog; {WORDS}"), "report", "that is set now")
session.psql("RESET search_path")
server.psql("DROP SCHEMA own CASCADE; SELECT harca.register_search_target('memory', 'memory', replace => true)", DB)
is_(session.psql(SEARCH), first, "registered anew, it is searched as before")

# Roles and policies.
server.psql(
    f"""CREATE ROLE {READER}; GRANT USAGE ON SCHEMA public TO {READER}; GRANT SELECT ON memory TO {READER};
    CREATE TABLE allowed (kind text); INSERT INTO allowed VALUES ('note'); GRANT SELECT ON allowed TO {READER};
    CREATE FUNCTION may_see(k text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM allowed WHERE allowed.kind = $1)';
    CREATE POLICY own ON memory FOR SELECT USING (may_see(kind)); ALTER TABLE memory ENABLE ROW LEVEL SECURITY""",
    DB,
)
everything = session.psql(COUNT)
session.psql(f"SET ROLE {READER}")
# Its function names no schema: a search has the search_path of its caller.
is_(session.psql(COUNT), "66", "behind a policy a role sees its rows")
session.psql("RESET ROLE")
is_(session.psql(COUNT), everything, "and the owner, in the same session, all again")
session.psql(f"SET ROLE {READER}; SET row_security = off")
is_(sqlstate(COUNT), "42501", "with row_security off a policy is an error")
session.psql("RESET ROLE; RESET row_security")
server.psql(f"REVOKE SELECT ON memory FROM {READER}", DB)
session.psql(f"SET ROLE {READER}")
is_(sqlstate(SEARCH), "42501", "a right that was taken back is an error, kept plans or not")
session.psql("RESET ROLE; ALTER TABLE memory DISABLE ROW LEVEL SECURITY")

# A search inside a search.
server.psql(
    """CREATE FUNCTION found(text) RETURNS boolean LANGUAGE sql STABLE
    AS $$SELECT count(*) > 0 FROM hybrid_search('memory', $1, NULL, 1)$$;
    CREATE TABLE inner_search (id integer PRIMARY KEY, content text, embedding vector(2), tsv tsvector);
    INSERT INTO inner_search SELECT i, 'word', '[1, 0]', 'word' FROM generate_series(1, 3) AS i;
    CREATE POLICY inside ON inner_search FOR SELECT USING (found('report ' || id)); ALTER TABLE inner_search ENABLE ROW LEVEL SECURITY;
    ALTER TABLE inner_search FORCE ROW LEVEL SECURITY; CREATE ROLE harca_session_owner; GRANT ALL ON SCHEMA public TO harca_session_owner;
    GRANT SELECT ON memory TO harca_session_owner; ALTER TABLE inner_search OWNER TO harca_session_owner""",
    DB,
)
session.psql("SELECT harca.register_search_target('inner', 'inner_search'); SET ROLE harca_session_owner")
is_(session.psql("SELECT count(*) FROM hybrid_search('inner', 'word', '[1, 0]')"), "3", "a policy of a searched table may search itself")
session.psql("RESET ROLE")

# Cursors, prepared statements, subtransactions.
is_(
    session.psql(f"BEGIN; DECLARE page CURSOR FOR {SEARCH}; FETCH 1 FROM page; COMMIT"),
    first,
    "a cursor over a search",
)
session.psql("PREPARE s (text, vector) AS SELECT string_agg(id, ' ') FROM hybrid_search('memory', $1, $2, 5)")
for mode in ("auto", "force_custom_plan", "force_generic_plan"):
    got = [session.psql(f"SET plan_cache_mode = {mode}; EXECUTE s ('report harbour', '[1, 0]')") for _ in range(8)]
    is_(set(got), {first}, f"a prepared search under plan_cache_mode = {mode}")
session.psql("RESET plan_cache_mode")
is_(
    session.psql(
        f"""DO $$ BEGIN
            FOR i IN 1..3 LOOP
                BEGIN PERFORM * FROM hybrid_search('memory', 'x', '[1, 0, 0]'); EXCEPTION WHEN data_exception THEN NULL; END;
                BEGIN PERFORM * FROM hybrid_search('memory', 'x', '[1, 0]', filter => '{{"id": "no number"}}');
                EXCEPTION WHEN invalid_text_representation THEN NULL; END;
            END LOOP;
        END $$; {SEARCH}"""
    ),
    first,
    "errors that are caught leave a session that searches",
)
like(
    session.psql("SELECT string_agg(line, ' ') FROM (SELECT plan AS line FROM harca.explain_legs('memory', 'report 7', '[1, 0]')) AS p"),
    "memory",
    "the plans of the legs are shown",
)

# Memory: as many plans as there are, and no more.
KEPT = "SELECT sum(total_bytes) FROM pg_backend_memory_contexts WHERE name IN ('CachedPlan', 'CachedPlanSource', 'CachedPlanQuery', 'SPI Plan')"
DIFFERENT = """SELECT sum((SELECT count(*) FROM hybrid_search('memory', 'report ' || i, '[1, 0]', 1 + i % 100,
    filter => jsonb_build_object('id', i), options => jsonb_build_object('candidates', 1 + i % 300)))) FROM generate_series({}, {}) AS i"""
session.psql(DIFFERENT.format(1, 500))
before = int(session.psql(KEPT))
session.psql(DIFFERENT.format(501, 3000), timeout=120)
ok(int(session.psql(KEPT)) - before < 2 << 20, "thousands of different searches take no more plans than hundreds")
session.close()
other.close()
server.psql(f"DROP DATABASE {DB} WITH (FORCE)")
server.psql(f"DROP ROLE {READER}; DROP ROLE harca_session_owner")
done()
