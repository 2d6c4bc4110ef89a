#!/usr/bin/env python3
"""Checks that the upgrade script to this version has what is new or changed in the SQL since the last release, statement by statement.

Usage: scripts/check_upgrade.py. It needs no server and sees what tests/t/220_upgrade.py would find, but for grants and for tables that were
there before, which the script changes by statements of its own. What the script lacks is printed as it should stand there.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "scripts"))
from install_sql import script  # noqa: E402

# A command of psql, a comment, a quoted text of any kind, the words that open and close a body of SQL, or one character.
_TOKEN = re.compile(
    r"(?m:^\\[^\n]*)|--[^\n]*|/\*.*?\*/|\be'(?:\\.|''|[^'\\])*'|'(?:''|[^'])*'|\"[^\"]*\"|\$(\w*)\$.*?\$\1\$|\bBEGIN ATOMIC\b|\b(?:CASE|END)\b|\w+|.", re.S | re.I
)
_FUNCTION = re.compile(r"CREATE (?:OR REPLACE )?(FUNCTION|VIEW)\b")


def statements(text):
    """The statements of a script, without the comments and commands of psql before each."""
    found, current, depth = [], "", 0
    for token in (match.group() for match in _TOKEN.finditer(text)):
        word = token.upper()
        if word == "BEGIN ATOMIC":
            depth = 1
        elif depth and word in ("CASE", "END"):
            depth += 1 if word == "CASE" else -1
        current += token
        if token == ";" and not depth:
            found.append(_plain(current))
            current = ""
    return found


def _plain(statement):
    """A statement without what stands before it; whether it replaces a function or view is left open."""
    bare = re.sub(r"\A(?:\s+|--[^\n]*\n|\\[^\n]*\n|/\*.*?\*/)*", "", statement, flags=re.S)
    return _FUNCTION.sub(r"CREATE \1", bare, count=1)


def is_by_hand(statement, released):
    """Whether the upgrade goes about it in its own way: grants, and tables, parsers and configurations that were there."""
    if statement.startswith(("GRANT", "REVOKE", "ALTER TEXT SEARCH CONFIGURATION")):
        return True
    made = re.match(r"CREATE (?:TABLE|TEXT SEARCH PARSER) (\S+) ", statement)
    return made is not None and any(re.match(rf"CREATE (?:TABLE|TEXT SEARCH PARSER) {re.escape(made.group(1))} ", former) for former in released)


def missing(current, released, upgrade):
    """The statements of the SQL that neither the release has nor the upgrade script to this version."""
    known = set(released) | set(upgrade)
    return [statement for statement in current if statement not in known and not is_by_hand(statement, released)]


def main():
    version = re.search(r'\[workspace\.package\]\nversion = "([^"]+)"', (ROOT / "Cargo.toml").read_text(encoding="utf-8")).group(1)
    upgrades = sorted((ROOT / "sql").glob(f"pg_harca--*--{version}.sql"))
    if len(upgrades) != 1:
        sys.exit(f"scripts/check_upgrade.py: there are {len(upgrades)} upgrade scripts to {version} in sql/, and one is wanted")
    former = upgrades[0].name.split("--")[1]
    released = statements((ROOT / f"sql/released/pg_harca--{former}.sql").read_text(encoding="utf-8"))
    lacking = missing(statements(script(ROOT)), released, statements(upgrades[0].read_text(encoding="utf-8")))
    if lacking:
        text = "\n\n".join(lacking)
        sys.exit(f"{text}\n\nsql/{upgrades[0].name} lacks the {len(lacking)} statements above, which have come or changed since {former}: put them in, "
                 "a function or view that was there as CREATE OR REPLACE, or behind a DROP where its arguments or result are others.")  # fmt: skip
    print(f"    sql/{upgrades[0].name} has what is new since {former}", file=sys.stderr)


if __name__ == "__main__":
    main()
