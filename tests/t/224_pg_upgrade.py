#!/usr/bin/env python3
"""pg_upgrade takes databases from PostgreSQL 16 to 18 with registrations, statistics, feedback and models: one of this version goes on,
and one whose SQL is of 0.1.0 is upgraded there."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, ok, skip, upgrade  # noqa: E402
from harness.catalog import catalog, differences  # noqa: E402
from harness.places import BUILD, as_user  # noqa: E402

NEW = BUILD / "pg18/bin/pg_config"
installed = (BUILD / "pg18/share/postgresql/extension/pg_harca.control").exists()
# Both embedded, of one day: pg_upgrade of 18.4 knows nothing of what Debian's 15.20 keeps with its columns.
if os.environ["HARCA_SERVER_VERSION"] != "16":
    skip("pg_upgrade from 16 to 18", "this server is another one")
    done()
if not installed:
    skip("pg_upgrade from 16 to 18", "the embedded PostgreSQL 18 has no pg_harca yet: run the tests on 18 first")
    done()

PRESENT, FORMER = "harca_present", "harca_former"
old = Server(f"test-from-{os.getpid()}")
new = Server(f"test-to-{os.getpid()}", NEW)
old.start()
for database, version in ((PRESENT, None), (FORMER, "0.1.0")):
    old.psql(f"CREATE DATABASE {database}")
    upgrade.fill(old, database, version, reference=False)
rows = {PRESENT: upgrade.rows(old, PRESENT, "id_columns"), FORMER: upgrade.rows(old, FORMER, "ARRAY[id_column]")}
classified, found = upgrade.classifications(old, PRESENT), upgrade.searches(old, PRESENT)
old.stop()
# As clusters of 18 have them.
old.as_server("pg_checksums", "--enable", "-D", old.data)
new.initdb().configure()
old.configure()
ran = subprocess.run(
    [new.bindir / "pg_upgrade", "-b", old.bindir, "-B", new.bindir, "-d", old.data, "-D", new.data, "-U", "postgres", "--socketdir", new.folder],
    cwd=new.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    env={key: value for key, value in new.environment().items() if not key.startswith("PG")}, **as_user(new.user),
)  # fmt: skip
is_((ran.returncode, ran.stdout[-500:] if ran.returncode else ""), (0, ""), "pg_upgrade")
new.start()
is_(upgrade.rows(new, PRESENT, "id_columns"), rows[PRESENT], "the tables hold what they held")
is_(upgrade.classifications(new, PRESENT), classified, "the models that were registered answer")
is_(upgrade.searches(new, PRESENT), found, "searches find what they found")
is_(upgrade.rows(new, FORMER, "ARRAY[id_column]"), rows[FORMER], "and those of a database whose SQL is of before")
new.psql("ALTER EXTENSION pg_harca UPDATE", FORMER)
is_(upgrade.rows(new, FORMER, "id_columns"), rows[FORMER], "which is upgraded then, and holds what it held")
is_(upgrade.classifications(new, FORMER), classified, "with its models")
new.psql("CREATE DATABASE fresh")
new.psql("CREATE EXTENSION pg_harca CASCADE", "fresh")


def lines(database):
    """The catalogs, but for what a dump has parsed a second time, which is then shown otherwise: views and bodies in SQL."""
    return [line for line in catalog(new, database) if not line.startswith('["view"') and "BEGIN ATOMIC" not in line]


for database in (FORMER, PRESENT):
    is_(differences(lines("fresh"), lines(database)), [], f"the catalogs of {database} are those of a fresh installation")
ok("was terminated by signal" not in new.log(), "no process has crashed")
done()
