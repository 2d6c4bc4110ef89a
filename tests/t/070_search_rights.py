#!/usr/bin/env python3
"""A search has the rights of its caller and no others; only the owner of a table decides how it is searched."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_  # noqa: E402

server = Server.attach()
DB = "harca_rights"
OWNER, READER, OTHER, MONITOR = ROLES = ("harca_owner", "harca_reader", "harca_other", "harca_monitor")
server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
for role in ROLES:
    server.psql(f"DROP ROLE IF EXISTS {role}; CREATE ROLE {role} LOGIN")
server.psql(f"CREATE DATABASE {DB}; GRANT pg_monitor TO {MONITOR}")
server.psql(f"CREATE EXTENSION pg_harca CASCADE; GRANT CREATE ON SCHEMA public TO {OWNER}, {OTHER}", DB)
COLUMNS = "id integer PRIMARY KEY, content text, tenant text, tsv tsvector, embedding vector(2)"
ROWS = f"""
    SELECT i, t, w, to_tsvector('harca', t), v::vector FROM (VALUES
        (1, 'harbour plan of the north', '{READER}', '[1,0]'), (2, 'harbour plan of the south', '{OTHER}', '[0.9,0.1]'),
        (3, 'lunch at the harbour', '{READER}', '[0,1]'), (4, 'lunch in town', '{OTHER}', '[0.1,0.9]')) AS v (i, t, w, v)"""
server.psql(
    f"CREATE TABLE note ({COLUMNS}); INSERT INTO note {ROWS}; SELECT harca.register_search_target('note', 'note')", DB, OWNER
)


def state(sql, role=READER):
    return server.sqlstate(sql, DB, role)


def ids(sql, role=READER, setup=""):
    return server.psql(f"{setup} SELECT string_agg(id, ' ' ORDER BY id::integer) FROM {sql}", DB, role)


def as_owner(sql):
    server.psql(sql, DB, OWNER)


BOTH, WORDS = "hybrid_search('note', 'harbour', '[1,0]')", "hybrid_search('note', 'harbour')"

# Grants on the table, the columns and the schema.
is_(state(f"SELECT * FROM {BOTH}"), "42501", "without SELECT on the table: refused")
is_(state(f"SELECT * FROM {WORDS}"), "42501", "also by the keyword leg alone")
is_(state("SELECT * FROM harca.explain_legs('note', 'harbour', '[1,0]')"), "42501", "nor the plans")
is_(state("SELECT hybrid_search_explain('note', 'harbour', '[1,0]')"), "42501", "nor what explains them")
as_owner(
    f"CREATE FUNCTION found(text) RETURNS SETOF text LANGUAGE sql SECURITY DEFINER BEGIN ATOMIC SELECT id FROM hybrid_search('note', $1, '[1,0]'); END"
)
is_(ids("found('harbour') AS f (id)"), "1 2 3 4", "a function with the owner's rights answers for the owner")
as_owner("CREATE VIEW harbour AS SELECT id FROM hybrid_search('note', 'harbour', '[1,0]'); GRANT SELECT ON harbour TO PUBLIC")
is_(state("SELECT * FROM harbour"), "42501", "a view does not: functions in it run as the one who asks")
as_owner(f"GRANT SELECT (id, tsv) ON note TO {READER}")
is_(ids(WORDS), "1 2 3", "with SELECT on the columns of the keyword leg: it answers")
is_(state(f"SELECT * FROM {BOTH}"), "42501", "but not the vector leg")
as_owner(f"GRANT SELECT (embedding) ON note TO {READER}")
is_(ids(BOTH), "1 2 3 4", "with the embedding too: both")
as_owner("ALTER TABLE note ADD importance integer")
is_(
    state("""SELECT * FROM hybrid_search('note', 'harbour', options => '{"boosts": {"importance": {"weight": 1, "max": 5}}}')"""),
    "42501",
    "a boost may not read another column",
)
is_(
    state("""SELECT * FROM hybrid_search('note', 'harbour', filter => '{"tenant": "x"}')"""),
    "42501",
    "a filter may not read another column",
)
as_owner(f"GRANT SELECT ON note TO {READER}, {OTHER}")
is_(
    ids("""hybrid_search('note', 'harbour', '[1,0]', filter => '{"tenant": "harca_other"}')"""),
    "2 4",
    "with SELECT on the table it may",
)
server.psql(f"CREATE SCHEMA closed AUTHORIZATION {OWNER}", DB)
as_owner(
    f"CREATE TABLE closed.note (LIKE note INCLUDING INDEXES); GRANT SELECT ON closed.note TO {READER}; SELECT harca.register_search_target('closed', 'closed.note')"
)
is_(state("SELECT * FROM hybrid_search('closed', 'harbour')"), "42501", "a schema that the caller may not use")

# Row-level security.
as_owner("ALTER TABLE note ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON note FOR SELECT USING (tenant = current_user)")
for role, rows, words in ((READER, "1 3", "1 3"), (OTHER, "2 4", "2"), (OWNER, "1 2 3 4", "1 2 3")):
    is_(ids(BOTH, role), rows, f"row-level security: {role} sees its own rows")
    is_(ids(BOTH + " WHERE vector_rank IS NOT NULL", role), rows, f"row-level security: in the vector leg of {role}")
    is_(ids(BOTH + " WHERE keyword_rank IS NOT NULL", role), words, f"row-level security: in the keyword leg of {role}")
is_(ids(BOTH, "postgres", f"SET ROLE {OTHER};"), "2 4", "the current role counts, not the one that logged in")
as_owner("ALTER TABLE note FORCE ROW LEVEL SECURITY")
is_(ids(BOTH, OWNER), "", "the owner too, when forced")
as_owner("ALTER TABLE note NO FORCE ROW LEVEL SECURITY")

# Who may register and edit.
REGISTER = "SELECT harca.register_search_target('{}', 'note', replace => {})"
is_(state(REGISTER.format("mine", "false")), "42501", "who does not own the table cannot register it")
is_(state(REGISTER.format("note", "true")), "42501", "nor replace its registration")
before = server.psql("SELECT * FROM harca.search_target ORDER BY name; SELECT * FROM harca.search_profile ORDER BY 1, 2", DB)
is_(server.psql("SELECT harca.drop_search_target('note')", DB, READER), "f", "nor drop it")
for attempt in (
    "UPDATE harca.search_profile SET vector_weight = 1",
    "UPDATE harca.search_target SET vector_weight = 1, relation = 'pg_class'",
    "DELETE FROM harca.search_profile",
    "DELETE FROM harca.search_target",
):
    is_(server.psql(attempt, DB, READER), "", f"another's {attempt.split(' SET')[0]} finds nothing")
is_(state("INSERT INTO harca.search_profile VALUES ('note', 'extra', 1)"), "42501", "nor add a weight")
is_(state("INSERT INTO harca.search_target SELECT 'other', relation, id_columns, text_column, tsvector_column, embedding_column, config, query_config, distance, vector_weight FROM harca.search_target LIMIT 1"), "42501", "nor write the registration by hand")  # fmt: skip
is_(
    server.psql("SELECT * FROM harca.search_target ORDER BY name; SELECT * FROM harca.search_profile ORDER BY 1, 2", DB),
    before,
    "all is as it was",
)
server.psql(f"CREATE TABLE theirs ({COLUMNS}); SELECT harca.register_search_target('theirs', 'theirs')", DB, OTHER)
is_(
    state("UPDATE harca.search_target SET relation = 'note' WHERE name = 'theirs'", OTHER),
    "42501",
    "a registration cannot be moved to another's table",
)
as_owner("UPDATE harca.search_profile SET vector_weight = 0.25 WHERE target = 'note'")
is_(
    server.psql("SELECT DISTINCT vector_weight FROM hybrid_search('note', 'harbour')", DB, READER),
    "0.25",
    "the owner edits the weights, and others search by them",
)
server.psql(f"GRANT {OWNER} TO {OTHER}")
is_(
    state("SELECT harca.register_search_target('note', 'note', replace => true)", OTHER),
    None,
    "a member of the owner's role may register",
)
server.psql(f"REVOKE {OWNER} FROM {OTHER}")

# Statistics: what they tell of the rows of a table is for those who may read these rows.
as_owner(f"""
    CREATE TABLE ledger ({COLUMNS});
    INSERT INTO ledger SELECT i, 'entry', CASE WHEN i <= 30 THEN '{READER}' ELSE '{OTHER}' END, to_tsvector('harca', 'entry ' || i % 2), '[1,0]'
    FROM generate_series(1, 40) AS i;
    SELECT harca.register_search_target('ledger', 'ledger')""")
TERMS = "SELECT string_agg(lexeme || ' ' || documents, ', ' ORDER BY lexeme) FROM harca.common_term WHERE target = 'ledger'"
COUNTS = """
    SELECT array_agg(w ->> 'word' ORDER BY n), array_agg((w ->> 'documents')::integer ORDER BY n), k ->> 'documents'
    FROM (SELECT hybrid_search_explain('ledger', 'entry 1') -> 'legs' -> 'keyword') AS x (k),
         jsonb_array_elements(k -> 'words') WITH ORDINALITY AS a (w, n) GROUP BY k"""
is_(server.psql(TERMS, DB, OWNER), "0 20, 1 20, entri 40", "the owner sees the words of its table")
is_(server.psql(TERMS, DB, READER), "", "who may not read the table does not")
is_(state("SELECT lexeme FROM harca.search_term"), "42501", "nor behind the view")
as_owner(f"GRANT SELECT (id, tsv) ON ledger TO {READER}")
is_(server.psql(TERMS, DB, READER), "0 20, 1 20, entri 40", "with SELECT on the tsvector: it does")
is_(server.psql(COUNTS, DB, READER), "{entri,1}|{40,20}|40", "and searches by them")
as_owner("ALTER TABLE ledger ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON ledger FOR SELECT USING (tenant = current_user)")
is_(server.psql(TERMS, DB, READER), "", "behind row-level security: no words")
is_(server.psql(COUNTS, DB, READER), "{entri,1}|{30,15}|30", "a search counts the rows that its caller sees")
is_(server.psql(COUNTS, DB, OWNER), "{entri,1}|{40,20}|40", "the owner goes on with all")
for attempt in (
    "SELECT harca.refresh_search_statistics('ledger')",
    "DELETE FROM harca.search_statistics WHERE target = 'ledger'",
    "DELETE FROM harca.search_term WHERE target = 'ledger'",
    "INSERT INTO harca.search_term VALUES ('ledger', 'forged', 5)",
    "UPDATE harca.search_statistics SET documents = 1",
):
    is_(state(attempt), "42501", f"not for others: {attempt}")
is_(state("TRUNCATE harca.search_term"), "42501", "nor all at once")
is_(server.psql(TERMS, DB, OWNER), "0 20, 1 20, entri 40", "all is as it was")
is_(server.psql("SELECT * FROM harca.refresh_stale_search_statistics()", DB, READER), "", "others refresh nothing")

# Feedback: who may search may give it, and the owner of the table alone reads it.
FEEDBACK = "SELECT count(*), string_agg(DISTINCT recorded_by, ' ') FROM harca.feedback WHERE target = 'ledger'"
RECORD = "SELECT harca.record_feedback('ledger', 'entry 1', '1', 1, '[1,0]')"
is_(state(RECORD), None, "with SELECT on the ids: feedback is recorded")
is_(state(RECORD, OTHER), "42501", "without: it is refused")
is_(
    state("INSERT INTO harca.search_feedback VALUES ('ledger', 'q', '[1,0]', '1', 1, 'somebody', '-infinity')"),
    None,
    "written by hand",
)
is_(server.psql(FEEDBACK, DB, OWNER), f"2|{READER}", "it stands in the name of the role that wrote it")
is_(server.psql("SELECT bool_and(recorded_at = now()::date OR recorded_at > now() - interval '1 hour') FROM harca.feedback", DB, OWNER), "t", "and at its time")
is_(server.psql(FEEDBACK, DB, READER), "0|", "others do not read it")
is_(state("SELECT query FROM harca.search_feedback"), "42501", "nor behind the view")
is_(state("UPDATE harca.search_feedback SET grade = 9"), "42501", "nor change it")
is_(server.psql("DELETE FROM harca.search_feedback", DB, READER), "", "nor delete it")
is_(server.psql(FEEDBACK, DB, OWNER), f"2|{READER}", "all is as it was")
for attempt in ("SELECT harca.tune_search('ledger', apply => true)", "SELECT harca.undo_tuning('ledger')"):
    is_(state(attempt), "42501", f"not for others: {attempt}")
is_(state("INSERT INTO harca.search_tuning VALUES ('ledger', now(), 1, 0, 1, '{}')"), "42501", "nor a tuning that never was")
as_owner("DELETE FROM harca.search_feedback WHERE target = 'ledger'")
is_(server.psql(FEEDBACK, DB, OWNER), "0|", "the owner deletes it")
as_owner("SELECT harca.record_feedback('ledger', 'entry 1', '1'); SELECT harca.drop_search_target('ledger')")
is_(server.psql("SELECT count(*) FROM harca.search_feedback", DB), "0", "it goes with the registration")

# Functions for administrators.
for call in ("harca.backend_status()", "harca.load_model()"):
    is_((state(f"SELECT {call}"), state(f"SELECT {call}", MONITOR)), ("42501", None), f"{call} is for pg_monitor")
is_(
    (state("SELECT harca.reset_local_cache()"), state("SELECT harca.reset_local_cache()", MONITOR)),
    ("42501", "42501"),
    "reset_local_cache is for nobody else",
)
is_(
    state("SELECT query_type('x y'), classify_query('x y'); SELECT * FROM classify_queries('{x}'), harca.labels()"),
    None,
    "classification is for everybody",
)

server.psql(f"DROP DATABASE {DB} WITH (FORCE)")
server.psql("".join(f"DROP ROLE {role};" for role in ROLES))
done()
