#!/usr/bin/env python3
"""Checks that the upgrade script to this version has what is new or changed in the SQL since the last release, statement by statement,
and creates nothing else.

Usage: scripts/check_upgrade.py [--write]. It needs no server and sees what tests/t/220_upgrade.py would find, but for grants and for tables
that were there before, which the script changes by statements of its own. What is wrong is printed; --write puts it right, in the order of
the install script, where no object of the release has to be dropped or altered.
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


def pieces(text):
    """The statements of a script as they stand there, each with what stands before it; the last is what follows all of them."""
    found, current, depth = [], "", 0
    for token in (match.group() for match in _TOKEN.finditer(text)):
        word = token.upper()
        if word == "BEGIN ATOMIC":
            depth = 1
        elif depth and word in ("CASE", "END"):
            depth += 1 if word == "CASE" else -1
        current += token
        if token == ";" and not depth:
            found.append(current)
            current = ""
    return [*found, current]


def statements(text):
    """The statements of a script, without the comments and commands of psql before each."""
    return [plain(piece) for piece in pieces(text)[:-1]]


def plain(statement):
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


def stale(current, upgrade):
    """The statements of the upgrade script that create or describe what the SQL has not, or has otherwise."""
    known = set(current)
    return [statement for statement in upgrade if statement.startswith(("CREATE", "COMMENT")) and statement not in known]


def repaired(text, current, released):
    """The text of an upgrade script without what is stale and with what is missing, behind what is before it in the SQL."""
    *parts, end = pieces(text)
    old = set(stale(current, [plain(part) for part in parts]))
    parts = [part for part in parts if plain(part) not in old]
    heads = {_head(statement) for statement in released}
    for lacking in missing(current, released, [plain(part) for part in parts]):
        places = {plain(part): place for place, part in enumerate(parts)}
        before = current[: current.index(lacking)]
        place = next((places[statement] for statement in reversed(before) if statement in places), len(parts) - 1)
        again = _FUNCTION.sub(r"CREATE OR REPLACE \1", lacking, count=1) if _head(lacking) in heads else lacking
        parts.insert(place + 1, ("\n" if lacking.startswith("COMMENT") else "\n\n") + again)
    return "".join(parts) + end


def _head(statement):
    """What tells a function or view from others: its name and arguments."""
    found = re.match(r"CREATE (?:FUNCTION \S+?\s*\(.*?\)\s*RETURNS|VIEW \S+)", statement, re.S)
    return " ".join(found.group().split()) if found else statement


def main():
    version = re.search(r'\[workspace\.package\]\nversion = "([^"]+)"', (ROOT / "Cargo.toml").read_text(encoding="utf-8")).group(1)
    upgrades = sorted((ROOT / "sql").glob(f"pg_harca--*--{version}.sql"))
    if len(upgrades) != 1:
        sys.exit(f"scripts/check_upgrade.py: there are {len(upgrades)} upgrade scripts to {version} in sql/, and one is wanted")
    former = upgrades[0].name.split("--")[1]
    released = statements((ROOT / f"sql/released/pg_harca--{former}.sql").read_text(encoding="utf-8"))
    current = statements(script(ROOT))
    text = upgrades[0].read_text(encoding="utf-8")
    if sys.argv[1:] == ["--write"]:
        text = repaired(text, current, released)
        upgrades[0].write_text(text, encoding="utf-8")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    lacking, left = missing(current, released, statements(text)), stale(current, statements(text))
    for what, found in (("lacks", lacking), ("has, and the SQL has not,", left)):
        if found:
            print(*found, f"sql/{upgrades[0].name} {what} the {len(found)} statements above.", sep="\n\n", file=sys.stderr)
    if lacking or left:
        sys.exit("scripts/check_upgrade.py --write puts it right; what is to be dropped or altered of the release is to be done by hand.")
    print(f"    sql/{upgrades[0].name} has what is new since {former}", file=sys.stderr)


if __name__ == "__main__":
    main()
