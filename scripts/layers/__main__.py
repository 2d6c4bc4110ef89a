"""Checks that a source tree keeps to its layers: python3 scripts/layers ROOT TABLES.

ROOT is the tree and TABLES a file such as scripts/layers.txt, which states the layers. A house that the tree does not have
is passed over. What breaks a rule is written to standard error with its file and line, and the program ends with 1; else
it prints the rooms of every house with the arrows that there are, and ends with 0.
"""

import sys
from pathlib import Path

sys.dont_write_bytecode = True

import graph  # noqa: E402
import rust  # noqa: E402
import sql  # noqa: E402


def main(root, tables):
    """Checks every house of the tables; gives the exit status."""
    portraits, broken = [], False
    for table in graph.read_tables(tables):
        if not (Path(root) / table.folder).is_dir():
            continue
        if table.language == "sql":
            scripts = sql.Scripts(root, table.folder)
            house, more = scripts.house(), scripts.checks()
        else:
            house, more = rust.read(root, table.folder), ()
        for rule, lines in (*graph.check(house, table), *more):
            if lines:
                print(f"layer check: {rule}", *lines, sep="\n", file=sys.stderr)
                broken = True
        portraits += graph.portrait(house, table)
    if not broken:
        print(*portraits, sep="\n")
    return 1 if broken else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
