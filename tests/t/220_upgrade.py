#!/usr/bin/env python3
"""A database of 0.1.0 becomes one of this version: with all that it holds, with the catalogs and the answers of a fresh one.

The SQL of 0.1.0 is that of sql/released; the library is this version's throughout, so that what stands between its installation
and ALTER EXTENSION is seen as well. tests/upgrade_from_history does the same with the library of 0.1.0 at first.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, like, ok, skip  # noqa: E402
from harness import upgrade  # noqa: E402
from harness.catalog import catalog, differences  # noqa: E402

OLD = "0.1.0"
OLD_DB, RESTORED, FRESH = "harca_upgraded", "harca_upgraded_dump", "harca_upgraded_fresh"
server = Server.attach()
for database in (OLD_DB, RESTORED, FRESH):
    server.psql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    server.psql(f"CREATE DATABASE {database}")
latest = server.psql("SELECT default_version FROM pg_available_extensions WHERE name = 'pg_harca'")
started = server.psql("SELECT pg_postmaster_start_time()")
upgrade.fill(server, FRESH)
upgrade.fill(server, OLD_DB, OLD)
before = upgrade.rows(server, OLD_DB, "ARRAY[id_column]")
is_([table for table, found in before.items() if not found], [], f"every table of {OLD} has a row")

# The library is this version's already, and the SQL is not yet.
classified = upgrade.classifications(server, OLD_DB)
is_(classified, upgrade.classifications(server, FRESH), "SQL of before: queries are classified as ever")
state, told = server.refused("SELECT * FROM hybrid_search('memory', 'harbour plan', '[1,0,0]')", OLD_DB)
is_(state, "55000", "SQL of before: a search is an error")
like(told, "HINT:  Run ALTER EXTENSION pg_harca UPDATE in this database", "which says what to do")
called = server.psql(
    f"""
    CREATE FUNCTION pg_temp.state_of(call text) RETURNS text LANGUAGE plpgsql AS $$
    BEGIN EXECUTE call; RETURN 'ok'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
    SELECT p.oid::regprocedure::text || ' ' || pg_temp.state_of(
        format('SELECT * FROM %s(%s)', p.oid::regproc, (SELECT string_agg('NULL::' || t::regtype, ', ') FROM unnest(p.proargtypes::oid[]) AS t)))
    FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pg_harca'
    WHERE p.prokind = 'f' AND p.prorettype NOT IN ('internal'::regtype, 'trigger'::regtype) AND NOT 'internal'::regtype = ANY (p.proargtypes::oid[])
      AND p.proname NOT IN ('forget_queries', 'cache_reset', 'stat_reset', 'drop_drift_reference', 'stop_comparison', 'rollback_model')
    ORDER BY 1""",
    OLD_DB,
).splitlines()
is_(len(called), 89, "SQL of before: every function can be called, if only for an error")
is_([line for line in called if line.endswith(("XX000", "XX001"))], [], "which is none of the inside")
gone = {line.split("(")[0] for line in called if line.endswith("55000")}
ok({"harca.candidate_units", "harca.matches", "harca.weight_curve"} <= gone, "and functions that are gone, or call such, say so")
is_(server.psql("SELECT target, documents FROM harca.stat_search_target ORDER BY 1", OLD_DB), "memory|120\nnote|30", "SQL of before: views show what they did")

# What depends on what goes keeps the upgrade from happening; nothing of it has happened then.
server.psql("CREATE VIEW own AS SELECT target, state FROM harca.stat_search_target", OLD_DB)
is_(server.sqlstate("ALTER EXTENSION pg_harca UPDATE", OLD_DB), "2BP01", "a view of one's own on a view that changes keeps it from changing")
is_(upgrade.rows(server, OLD_DB, "ARRAY[id_column]"), before, "and everything is as it was")
server.psql("DROP VIEW own", OLD_DB)
dump = server.folder / "dump-of-before"
dumps = (server.bindir / "pg_dump").exists()
if dumps:
    server.as_server("pg_dump", "-F", "c", "-f", dump, OLD_DB)

session = server.session(OLD_DB)
is_(session.psql("SELECT query_type('E0308')"), "keyword", "a session is at work")
server.psql("ALTER EXTENSION pg_harca UPDATE", OLD_DB)
is_(server.psql("SELECT extversion FROM pg_extension WHERE extname = 'pg_harca'", OLD_DB), latest, f"the upgrade to {latest}")
is_(upgrade.rows(server, OLD_DB, "id_columns"), before, "what the tables hold is what they held")
is_(upgrade.classifications(server, OLD_DB), classified, "queries are classified as before")
is_(session.psql("SELECT count(*) > 0 FROM hybrid_search('memory', 'harbour plan', '[1,0,0]')"), "t", "the session that was open searches")
session.close()

fresh = catalog(server, FRESH)
ok(len(fresh) > 1500, "the catalogs of a fresh installation are read")
is_(differences(fresh, catalog(server, OLD_DB)), [], "the catalogs are those of a fresh installation")
# That is: they would not be for a space.
server.psql(
    """
    DO $$ BEGIN
        EXECUTE regexp_replace(pg_get_functiondef('harca.health'::regproc), 'BEGIN\n', E'BEGIN \n');
    END $$""",
    OLD_DB,
)
changed = differences(fresh, catalog(server, OLD_DB))
is_([line[:12] for line in changed], ['- ["function', '+ ["function'], "a function whose body has one space more is another one")
server.psql(r"""DO $$ BEGIN EXECUTE regexp_replace(pg_get_functiondef('harca.health'::regproc), E'BEGIN \n', E'BEGIN\n'); END $$""", OLD_DB)
is_(differences(fresh, catalog(server, OLD_DB)), [], "and the same without it")

# Documents are cut as they were until they are made anew, which the view has the statements for.
is_(server.psql("SELECT target, parser_version, calibration FROM harca.stat_search_target ORDER BY 1", OLD_DB), "memory|1|scales\nnote||on", "registrations: by which parser documents were cut; weights that judgements found stay")
like(upgrade.renew(server, OLD_DB), "^UPDATE memory SET content = content; SELECT harca.refresh_search_statistics", "the view says what makes the documents anew")
is_(server.psql("SELECT parser_version = harca.parser_version(), renewal FROM harca.stat_search_target WHERE target = 'memory'", OLD_DB), "t|", "and that does")
upgrade.level(server, OLD_DB, FRESH)
found = upgrade.searches(server, FRESH)
ok(found.count("\n") > 150, "searches of a fresh installation find rows")
is_(upgrade.searches(server, OLD_DB), found, "and searches after the upgrade find the same ones")
is_(server.psql("SELECT count(*) FROM weights; SELECT count(DISTINCT type) > 1 FROM sorted", OLD_DB), "10\nt", "views of one's own work on")
is_(server.psql("SELECT harca.undo_tuning('memory'); SELECT vector_weight, k1 FROM harca.search_target WHERE name = 'memory'", OLD_DB), "t\n0.5|0.9", "a tuning of before is taken back")
is_(server.psql("SELECT harca.rollback_model()", OLD_DB), "kept 1", "and an activation of before")

# A dump of before is restored into its own version, and that is upgraded.
if dumps:
    server.psql(f"CREATE EXTENSION vector; CREATE EXTENSION pg_harca VERSION '{OLD}'", RESTORED)
    server.as_server("pg_restore", "-e", "-d", RESTORED, dump)
    server.psql("ALTER EXTENSION pg_harca UPDATE", RESTORED)
    restored = upgrade.rows(server, RESTORED, "id_columns")
    is_(restored, before, "a dump of before: restored into its version, and upgraded")
    is_(differences(fresh, catalog(server, RESTORED)), [], "the catalogs are those of a fresh installation")
    dump.unlink()
else:
    skip("a dump of before", "this installation has no pg_dump")

is_(server.psql("SELECT pg_postmaster_start_time()"), started, "the server runs on")
ok("was terminated by signal" not in server.log(), "no process has crashed")
for database in (OLD_DB, RESTORED, FRESH):
    server.psql(f"DROP DATABASE {database} WITH (FORCE)")
done()
