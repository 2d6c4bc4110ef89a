#!/usr/bin/env python3
"""Puts the script together that CREATE EXTENSION runs: the files that install_sql! of src/lib.rs lists, in their order.

Usage: scripts/install_sql.py SCRIPT. It is what cargo-pgrx makes of the same list, but for comments between the files:
scripts/check_install_sql.sh compares both.
"""

import sys
from pathlib import Path

sys.dont_write_bytecode = True

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts/layers"))
from sql import listed  # noqa: E402


def script(root):
    """The text of the script of a tree; the faults of its list end the program."""
    order, faults = listed(root)
    faults += [f"src/lib.rs:{line}: there is no file {name}" for name, line in order if not (root / name).is_file()]
    if faults:
        sys.exit("\n".join(faults))
    return "\n".join(f"-- {name}\n{(root / name).read_text(encoding='utf-8')}" for name, _ in order)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    Path(sys.argv[1]).write_text(script(ROOT), encoding="utf-8")
