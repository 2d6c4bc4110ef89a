"""Which module of a crate uses which, read from the text of its files."""

import re
from pathlib import Path

from graph import House, Use

# What is text and no code; a lifetime has no closing quotation mark.
_TEXT = re.compile(
    r"//[^\n]*|/\*"
    r'|\b[bc]?r(?P<hashes>#*)".*?"(?P=hashes)'
    r'|(?:\b[bc])?"(?:\\.|[^"\\])*"'
    r"|(?:\bb)?'(?:\\u\{\w+\}|\\x\w\w|\\.|[^\\'\n])'",
    re.S,
)
_TOKEN = re.compile(r"(?:r#)?(?P<name>[^\W\d]\w*)|\d\w*|::|->|=>|\S")
_ITEM = set("mod use fn struct enum union trait impl const static type unsafe extern async macro_rules".split())
_CLOSING = {"(": ")", "[": "]", "{": "}"}


def blank(source, strings=True):
    """The source with its comments, and its strings if asked, as spaces; every line stays where it is."""
    kept, at = [], 0
    while found := _TEXT.search(source, at):
        end = found.end()
        if found.group() == "/*":
            depth = 1
            while depth and (edge := re.compile(r"/\*|\*/").search(source, end)):
                depth += 1 if edge.group() == "/*" else -1
                end = edge.end()
            end = end if depth == 0 else len(source)
        kept.append(source[at : found.start()])
        text = source[found.start() : end]
        comment = text.startswith("/")
        kept.append(re.sub(r"[^\n]", " ", text) if comment or strings else text)
        at = end
    return "".join(kept) + source[at:]


def tokens_of(source):
    """The words and signs of a source as (text, line)."""
    tokens, line, at = [], 1, 0
    for found in _TOKEN.finditer(blank(source)):
        line += source.count("\n", at, found.start())
        at = found.start()
        tokens.append((found.group("name") or found.group(), line))
    return tokens


class Crate:
    """The modules of a crate, what each of them names, and under which names it knows others."""

    def __init__(self):
        self.modules = {(): None}
        self.aliases = {}
        self.globs = {}
        self.paths = []
        self.tests = set()

    def resolve(self, home, path, seen=frozenset()):
        """Where a path written in the module `home` leads: the module that it names and those behind re-exports on the way;
        and whether the whole path is a module rather than something in it. Out of the crate it leads nowhere."""
        at, rest = home, list(path)
        if rest[0] == "crate":
            at, rest = (), rest[1:]
        elif rest[0] == "self":
            rest = rest[1:]
        while rest and rest[0] == "super":
            at, rest = at[:-1], rest[1:]
        trail = []
        while rest:
            if at + (rest[0],) in self.modules:
                at, rest = at + (rest[0],), rest[1:]
                continue
            behind, whole = self.behind(at, rest[0], seen)
            if not behind:
                break
            trail += [at, *behind[:-1]]
            at, rest = behind[-1], rest[1:]
            if not whole:
                return [*trail, at], False
        return [*trail, at], not rest

    def behind(self, module, name, seen):
        """Where a name leads that a module has from a `use`; as resolve, and nothing if it has none."""
        if (module, name) in seen:
            return [], False
        seen |= {(module, name)}
        if name in self.aliases.get(module, {}):
            return self.resolve(module, self.aliases[module][name], seen)
        for glob in self.globs.get(module, ()):
            trail, whole = self.resolve(module, glob, seen)
            if whole and trail[-1] != module:
                if trail[-1] + (name,) in self.modules:
                    return [trail[-1] + (name,)], True
                behind, whole = self.behind(trail[-1], name, seen)
                if behind:
                    return behind, whole
        return [], False

    def uses(self):
        """All uses of one module by another."""
        for home, path, file, line in self.paths:
            for module in self.resolve(home, path)[0]:
                yield Use(home, module, file, line, "::".join(path))


class Reader:
    """Reads one file into a crate."""

    def __init__(self, crate, module, file, source):
        self.crate = crate
        self.file = file
        self.tokens = tokens_of(source)
        self.at = 0
        # The module at hand, and for every open brace the one to go back to.
        self.module = module
        self.open = []

    def text(self, ahead=0):
        """The token so far ahead; nothing past the end."""
        at = self.at + ahead
        return self.tokens[at][0] if 0 <= at < len(self.tokens) else ""

    def is_name(self, ahead=0):
        """Whether the token so far ahead is a name or keyword."""
        return re.match(r"[^\W\d]", self.text(ahead)) is not None

    def line(self):
        """The line of the token at hand."""
        return self.tokens[self.at][1]

    def read(self):
        """Takes in the whole file."""
        while self.at < len(self.tokens):
            word = self.text()
            if word == "#":
                self.attribute()
            elif word == "mod" and self.is_name(1) and self.text(2) == "{":
                self.open.append(self.module)
                self.module += (self.text(1),)
                self.crate.modules.setdefault(self.module, self.file)
                self.at += 3
            elif word == "use" and self.text(1) != "<" and self.text(-1) not in ("::", "."):
                self.at += 1
                self.use_tree([])
            elif self.is_name() and self.text(1) == "::" and self.text(-1) not in ("::", "."):
                self.path()
            else:
                if word == "{":
                    self.open.append(self.module)
                elif word == "}" and self.open:
                    self.module = self.open.pop()
                self.at += 1

    def attribute(self):
        """Passes an attribute, and what it stands before if that is for tests alone."""
        start = self.at
        inner = self.text(1) == "!"
        self.at += 2 if inner else 1
        if self.text() != "[":
            return
        self.skip_group()
        attribute = " ".join(text for text, _ in self.tokens[start : self.at])
        condition = re.sub(r"\b(not|any) \( [^()]* \)", "", attribute)
        if not re.match(r"# (! )?\[ cfg \(.* test\b", condition):
            return
        if inner:
            self.at = len(self.tokens)
        else:
            self.skip_item()

    def skip_group(self):
        """Passes a group in brackets, at whose opening one the reader stands."""
        closing = []
        while self.at < len(self.tokens):
            word = self.text()
            self.at += 1
            if word in _CLOSING:
                closing.append(_CLOSING[word])
            elif closing and word == closing[-1]:
                closing.pop()
                if not closing:
                    return

    def skip_item(self):
        """Passes an item, or the field or value that an attribute can stand before as well."""
        while self.text() == "#":
            self.at += 1
            self.skip_group()
        if self.text() == "pub":
            self.at += 1
            if self.text() == "(":
                self.skip_group()
        item = self.text() in _ITEM
        if self.text() == "mod" and self.text(2) == ";":
            self.crate.tests.add(self.module + (self.text(1),))
        while self.at < len(self.tokens):
            word = self.text()
            if word == "}" or (word == "," and not item):
                return
            if word in _CLOSING:
                self.skip_group()
                if word == "{":
                    return
            else:
                self.at += 1
                if word == ";":
                    return

    def use_tree(self, prefix):
        """Takes in one branch of a `use`, whatever it branches into."""
        path = list(prefix)
        line = self.line()
        while True:
            word = self.text()
            if word == "{":
                self.at += 1
                while self.text() not in ("}", ""):
                    self.use_tree(path)
                    if self.text() == ",":
                        self.at += 1
                self.at += 1
                return
            if word == "*":
                self.at += 1
                self.crate.globs.setdefault(self.module, []).append(path)
                self.name(path, line)
                return
            if word == "::":
                # A path that begins so leads out of the crate.
                path += [] if path else [""]
            elif self.is_name():
                path.append(word)
            else:
                return
            self.at += 1
            if word != "::" and self.text() != "::":
                break
        if path[-1] == "self" and len(path) > 1:
            path.pop()
        alias = path[-1]
        if self.text() == "as":
            alias = self.text(1)
            self.at += 2
        self.crate.aliases.setdefault(self.module, {})[alias] = path
        self.name(path, line)

    def path(self):
        """Takes in a path that stands in the code."""
        line = self.line()
        path = [self.text()]
        self.at += 1
        while self.text() == "::" and self.is_name(1):
            path.append(self.text(1))
            self.at += 2
        if len(path) > 1:
            self.name(path, line)

    def name(self, path, line):
        """Notes that the module at hand names a path."""
        self.crate.paths.append((self.module, path, self.file, line))


def read(root, folder):
    """The house of the library crate whose lib.rs lies in root/folder; its programs, in bin/, are none of it."""
    crate = Crate()
    files = {}
    for path in sorted((Path(root) / folder).rglob("*.rs")):
        parts = path.relative_to(Path(root) / folder).with_suffix("").parts
        if parts[0] in ("bin", "lib", "main") or parts[-1] == "tests":
            continue
        module = parts[:-1] if parts[-1] == "mod" else parts
        # A folder without a file of its own is refused by the compiler; here it is a module all the same.
        for depth in range(1, len(module) + 1):
            crate.modules.setdefault(module[:depth], None)
        crate.modules[module] = str(path.relative_to(root))
        files[module] = path
    for module, path in files.items():
        Reader(crate, module, crate.modules[module], path.read_text(encoding="utf-8")).read()
    lib = Path(root) / folder / "lib.rs"
    if lib.exists():
        Reader(crate, (), f"{folder}/lib.rs", lib.read_text(encoding="utf-8")).read()

    def tested(module):
        return any(module[:depth] in crate.tests for depth in range(len(module) + 1))

    return House(
        files={part: file or "/".join((folder, *part)) for part, file in crate.modules.items() if not tested(part)},
        uses=[use for use in crate.uses() if not tested(use.user) and not tested(use.used)],
    )
