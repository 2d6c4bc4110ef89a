#!/usr/bin/env python3
"""scripts/check_upgrade.py tells what the upgrade script lacks of the SQL, by a space too, and what it has beyond it; and puts both right."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import done, is_  # noqa: E402
from harness.places import ROOT  # noqa: E402

sys.path.insert(0, str(ROOT / "scripts"))
sys.dont_write_bytecode = True
from check_upgrade import missing, repaired, stale, statements  # noqa: E402

FUNCTION = "CREATE FUNCTION h.a() RETURNS text LANGUAGE plpgsql AS $$\nBEGIN\n    RETURN 'it''s; so';\nEND\n$$;"
ATOMIC = "CREATE FUNCTION h.b() RETURNS integer LANGUAGE sql\nBEGIN ATOMIC\n    SELECT CASE WHEN true THEN 1 END; -- one; two\nEND;"
COMMENT = "COMMENT ON FUNCTION h.a() IS 'What; \"it\" gives';"
TABLE = "CREATE TABLE h.t (a text CHECK (a <> ';'));"
is_(statements(f"\\echo Use it; \\quit\n\n-- A remark; of two parts.\n{FUNCTION}\n/* and; */ {ATOMIC}\n{COMMENT}{TABLE}"), [FUNCTION, ATOMIC, COMMENT, TABLE], "statements are told apart")
is_(statements("SELECT E'a\\';b', 'c\\';"), ["SELECT E'a\\';b', 'c\\';"], "whatever is quoted")

ALL = [FUNCTION, ATOMIC, COMMENT, TABLE, "GRANT SELECT ON h.t TO PUBLIC;"]
RELEASED = [ATOMIC, "CREATE TABLE h.t (b text);"]
UPGRADE = statements(f"{FUNCTION.replace('CREATE', 'CREATE OR REPLACE', 1)} {COMMENT} ALTER TABLE h.t RENAME b TO a;")
is_(missing(ALL, RELEASED, UPGRADE), [], "an upgrade that has all")
is_(missing(ALL, RELEASED, UPGRADE[1:]), [FUNCTION], "a function that it lacks")
is_(missing([FUNCTION.replace("BEGIN\n", "BEGIN \n")], RELEASED, UPGRADE), [FUNCTION.replace("BEGIN\n", "BEGIN \n")], "one whose body has a space more")
is_(missing([ATOMIC.replace("1 END", "2 END")], RELEASED, UPGRADE), [ATOMIC.replace("1 END", "2 END")], "one that was there and has changed")
is_(missing(["CREATE TABLE h.u (a text);"], RELEASED, UPGRADE), ["CREATE TABLE h.u (a text);"], "a table that is new")

OTHER = FUNCTION.replace("RETURN", "RETURN ", 1)
is_(stale(ALL, [*UPGRADE, OTHER]), [OTHER], "a function of which the SQL has another text")
is_(stale(ALL, UPGRADE), [], "what changes a table is the script's own")
SCRIPT = f"-- h\n{COMMENT}\n\nDROP VIEW h.v;\n{OTHER}\n\nUPDATE h.t SET a = 'b';\n-- The end.\n"
mended = repaired(SCRIPT, ALL, RELEASED)
is_(mended, f"-- h\n{COMMENT}\n\nDROP VIEW h.v;\n\nUPDATE h.t SET a = 'b';\n\n{FUNCTION}\n-- The end.\n", "what is stale goes, and what lacks comes: at the end where nothing is before it")
is_((missing(ALL, RELEASED, statements(mended)), stale(ALL, statements(mended))), ([], []), "and all is right then")
CHANGED = ATOMIC.replace("1 END", "2 END")
is_(
    repaired(SCRIPT.replace(OTHER, FUNCTION), [FUNCTION, CHANGED, COMMENT], RELEASED).count(f"{FUNCTION}\n\n{CHANGED.replace('CREATE', 'CREATE OR REPLACE', 1)}"),
    1,
    "behind what is before it in the SQL, and in the place of what was released",
)
done()
