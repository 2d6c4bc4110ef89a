"""Which file of SQL uses what others define, and whether the install order lets it."""

import posixpath
import re
from pathlib import Path

import rust
from graph import House, Use

LIB = "src/lib.rs"
_SCHEMA = r"(?:harca|@extschema@)"
_CREATE = re.compile(
    r"\bCREATE\s+(?:OR\s+REPLACE\s+)?(?:UNLOGGED\s+|MATERIALIZED\s+|RECURSIVE\s+)*"
    r"(?:FUNCTION|PROCEDURE|AGGREGATE|VIEW|TABLE|TYPE|DOMAIN|SEQUENCE|OPERATOR(?:\s+(?:CLASS|FAMILY))?|COLLATION"
    r"|TEXT\s+SEARCH\s+(?:PARSER|CONFIGURATION|DICTIONARY|TEMPLATE))\s+(?:IF\s+NOT\s+EXISTS\s+)?"
    rf"(?P<name>{_SCHEMA}\.\w+)",
    re.I,
)
_CREATE_SCHEMA = re.compile(r"\bCREATE\s+SCHEMA\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>\w+)", re.I)
_CREATE_ROLE = re.compile(r"\bCREATE\s+ROLE\s+(?P<name>\w+|%I)", re.I)
# Roles are created in a loop, as each of them may be there already: their names stand in its list.
_ROLES = re.compile(r"'\{(?P<names>\w+(?:,\s*\w+)*)\}'::name\[\]")
_NAME = re.compile(rf"(?<![\w.])(?P<name>{_SCHEMA}\.\w+)")
_TEXT = re.compile(
    r"--[^\n]*|/\*.*?\*/"
    r"|\b(?:COMMENT\s+ON\s[^';]*\sIS|HINT\s*=)\s*(?:format\()?(?P<told>'(?:[^']|'')*')"
    r"|'(?:[^']|'')*'",
    re.S | re.I,
)
# Upgrade scripts, and install scripts as they were released.
_VERSIONED = re.compile(r"pg_harca--[^/]*\.sql")
_ORDER = re.compile(r"\binstall_sql!\s*[({\[]\s*(?P<files>(?:\"[^\"]*\"[\s,;]*)+)[)}\]]")


def blank(source, told):
    """The source without its comments and, unless `told`, without what it tells people: the text of a COMMENT ON and the
    hint of an error, which may name what comes later. Every line stays where it is."""

    def left_out(found):
        if found.group().startswith(("--", "/*")):
            start = found.start()
        elif found.group("told") and not told:
            start = found.start("told")
        else:
            return found.group()
        kept = found.group()[: start - found.start()]
        return kept + re.sub(r"[^\n]", " ", found.group()[len(kept) :])

    return _TEXT.sub(left_out, source)


def line_of(text, at):
    """The number of the line in which a place of a text lies."""
    return text.count("\n", 0, at) + 1


def defined_in(text):
    """The names of what a file creates: those of objects with their schema, those of schemas and roles as they are."""
    names = {found.group("name") for pattern in (_CREATE, _CREATE_SCHEMA, _CREATE_ROLE) for found in pattern.finditer(text)}
    if "%I" in names:
        names |= {name.strip() for roles in _ROLES.finditer(text) for name in roles.group("names").split(",")}
    return names - {"%I"}


class Script:
    """One file of SQL: its part of the house, its text, and what it defines."""

    def __init__(self, root, folder, path):
        self.file = str(path.relative_to(root))
        self.part = path.relative_to(Path(root) / folder).with_suffix("").parts
        source = path.read_text(encoding="utf-8")
        self.text = blank(source, told=False)
        self.with_texts = blank(source, told=True)
        self.defines = defined_in(self.text)


class Scripts:
    """All files that the install script is made of; scripts of releases and between them are none of these."""

    def __init__(self, root, folder):
        self.root = root
        self.folder = folder
        paths = sorted((Path(root) / folder).rglob("*.sql"))
        self.all = [Script(root, folder, path) for path in paths if not _VERSIONED.fullmatch(path.name)]
        self.makers = {}
        for script in self.all:
            for name in script.defines:
                self.makers.setdefault(name, []).append(script)

    def foreign(self, script):
        """(name, line) of all that a file uses of the others."""
        patterns = [_NAME.pattern, r"(?<![\w.])harca(?=\.\w)"]
        patterns += [rf"\b{role}\b" for role in self.makers if "." not in role and role != "harca"]
        for pattern in patterns:
            for found in re.finditer(pattern, script.text):
                if script not in self.makers.get(found.group(), [script]):
                    yield found.group(), line_of(script.text, found.start())

    def house(self):
        """The files and what they use of each other."""
        house = House()
        for script in self.all:
            for depth in range(1, len(script.part)):
                house.files[script.part[:depth]] = "/".join((self.folder, *script.part[:depth]))
            house.files[script.part] = script.file
            for name, line in self.foreign(script):
                house.uses += [Use(script.part, maker.part, script.file, line, name) for maker in self.makers[name]]
        return house

    def checks(self):
        """What the files do against the install order, as (rule, lines that break it)."""
        by_name = {script.file: script for script in self.all}
        order, faults = listed(self.root)
        lines = {}
        for name, line in order:
            if name in lines:
                faults.append(f"{LIB}:{line}: {name} is listed a second time, first in line {lines[name]}")
            elif name not in by_name:
                faults.append(f"{LIB}:{line}: there is no file {name}")
            lines.setdefault(name, line)
        if order:
            missing = [name for name in by_name if name not in lines]
            faults += [f"{name}: it is not in the list of {LIB}" for name in missing]
        yield f"install_sql! in {LIB} lists every file of {self.folder}/ once", faults

        place = {by_name[name].part: at for at, name in enumerate(lines) if name in by_name}
        late = []
        for script in self.all:
            for name, line in self.foreign(script):
                maker = min(self.makers[name], key=lambda maker: place.get(maker.part, -1))
                if place.get(maker.part, -1) > place.get(script.part, len(place)):
                    late.append(f"{script.file}:{line}: {name} is defined later, in {maker.file}")
        yield "a file of SQL names nothing that a later one defines", late

        yield "a name with a schema of the extension is that of an object", [
            f"{script.file}:{line_of(script.with_texts, found.start())}: {found.group()} is defined nowhere"
            for script in self.all for found in _NAME.finditer(script.with_texts) if found.group() not in self.makers
        ]  # fmt: skip


def listed(root):
    """(file, line) of all in the install order of src/lib.rs, which names them as seen from there, and what is wrong with
    the order as a whole."""
    lib = Path(root) / LIB
    text = rust.blank(lib.read_text(encoding="utf-8"), strings=False) if lib.exists() else ""
    orders = list(_ORDER.finditer(text))
    if len(orders) != 1:
        return [], [f"{LIB}: it has {len(orders)} lists of install_sql!, and one is wanted"]
    names = re.finditer(r'"([^"]*)"', orders[0].group("files"))
    seen_from = posixpath.dirname(LIB)
    return [
        (posixpath.normpath(f"{seen_from}/{name.group(1)}"), line_of(text, orders[0].start("files") + name.start()))
        for name in names
    ], []
