#!/usr/bin/env python3
"""scripts/check_released.sh refuses a change of what was released, a file that is missing, and one that is not listed."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import done, is_, like, ok  # noqa: E402
from harness.places import ROOT  # noqa: E402


def check(change):
    """Runs the check on a copy of what is released after a change of it: its exit status and what it says."""
    with tempfile.TemporaryDirectory(prefix="pg_harca-released-") as folder:
        for part in ("sql/released", "tests/data/formats"):
            if (ROOT / part).exists():
                shutil.copytree(ROOT / part, Path(folder) / part)
        change(Path(folder) / "sql/released")
        ran = subprocess.run([ROOT / "scripts/check_released.sh", folder], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stderr


def spaced(folder):
    script = folder / "pg_harca--0.1.0.sql"
    script.write_text(script.read_text(encoding="utf-8").replace("BEGIN\n", "BEGIN \n", 1), encoding="utf-8")


is_(check(lambda folder: None)[0], 0, "what is there is as it was")
status, told = check(spaced)
is_(status, 1, "a space more in a released script")
like(told, r"pg_harca--0\.1\.0\.sql: FAILED", "is told by the name of the file")
ok(check(lambda folder: (folder / "pg_harca--0.1.0.sql").unlink())[0] != 0, "a released script that is gone")
status, told = check(lambda folder: (folder / "pg_harca--9.9.9.sql").write_text("SELECT 1;\n", encoding="utf-8"))
is_(status, 1, "a script that is not listed")
like(told, r"does not list:\npg_harca--9\.9\.9\.sql", "is told by its name")
done()
