#!/usr/bin/env python3
"""The install script is made of the files that src/lib.rs lists, in their order and whole; a list that cannot be is refused."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import done, is_, like, ok  # noqa: E402
from harness.places import ROOT  # noqa: E402

PROGRAM = "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import install_sql; print(install_sql.script(Path(sys.argv[2])), end='')"


def made(files):
    """What becomes of a tree of these files."""
    with tempfile.TemporaryDirectory(prefix="pg_harca-install-") as folder:
        for name, text in files.items():
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).write_text(text, encoding="utf-8")
        command = [sys.executable, "-B", "-c", PROGRAM, ROOT / "scripts", folder]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


LIB = 'install_sql! {\n    "../sql/schema.sql"\n    "../sql/a/second.sql"\n    "../sql/grants.sql"\n}\n'
FILES = {"src/lib.rs": LIB, "sql/schema.sql": "-- one\nCREATE SCHEMA s;\n", "sql/a/second.sql": "SELECT 2;\n", "sql/grants.sql": "SELECT '三';\n"}
is_(
    made(FILES).stdout,
    "-- sql/schema.sql\n-- one\nCREATE SCHEMA s;\n\n-- sql/a/second.sql\nSELECT 2;\n\n-- sql/grants.sql\nSELECT '三';\n",
    "files stand whole, and in their order",
)
missing = made({name: text for name, text in FILES.items() if name != "sql/grants.sql"})
is_(missing.returncode, 1, "a file that is not there is refused")
like(missing.stderr, r"src/lib\.rs:\d+: there is no file sql/grants\.sql", "by its name")
ok(made({**FILES, "src/lib.rs": "mod api;\n"}).returncode != 0, "and a tree without a list")
whole = subprocess.run([sys.executable, "-B", "-c", PROGRAM, ROOT / "scripts", ROOT], capture_output=True, text=True, check=False).stdout
texts = [path.read_text(encoding="utf-8") for path in (ROOT / "sql").rglob("*.sql") if not path.name.startswith("pg_harca--")]
is_([text[:60] for text in texts if whole.count(text) != 1], [], "of this tree, each file stands in it once")
ok(whole.index("\\echo Use") < 200, "behind the guard against psql")
done()
