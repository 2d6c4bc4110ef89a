#!/usr/bin/env python3
"""Checks the links of the Markdown files: every relative one leads to a tracked file, every #anchor to a heading of it.

    scripts/check_links.py [ROOT]

ROOT is the top of a git work tree, this one by default. Prints file:line of each broken link and ends with 1, or says how
many were checked. Code is no text: what stands in code blocks and inline code is passed over, and so are links to other
sites. README.md may have no more lines than a newcomer reads.
"""

import argparse
import bisect
import html
import posixpath
import re
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

MOST_README_LINES = 200

FENCE = re.compile(r"[ \t]*(?:>[ \t]*)*(`{3,}|~{3,})(.*)")
HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*$")
LIST_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)")
# A line that ends what stands before it: inline code and links do not reach over it.
BORDER = re.compile(r"[ \t]*(?:[-*+][ \t]|\d{1,9}[.)][ \t]|#{1,6}[ \t]|\||>)")
TICKS = re.compile(r"(?<![`\\])`+")
COMMENT = re.compile(r"<!--.*?-->", re.S)
ESCAPED = re.compile(r"\\[\[\]()<>]")
DEFINITION = re.compile(r"^ {0,3}\[[^\]\n]+\]:[ \t]*(<[^>\n]*>|\S+)", re.M)
ATTRIBUTE = re.compile(r"<[a-zA-Z][^<>]*?\b(?:href|src)[ \t]*=[ \t]*(?:\"([^\"]*)\"|'([^']*)')")
SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:")
LINES_OF_CODE = re.compile(r"L\d+(?:-L\d+)?$")


class Link(NamedTuple):
    """A link or image: the line that it begins in, from 1, and what it leads to, as it is written."""

    line: int
    target: str


def blank(text):
    """The text with every character but line breaks turned into a space: places and lines stay what they were."""
    return re.sub(r"[^\n]", " ", text)


def without_code_blocks(text):
    """The text of a Markdown file with its code blocks blank, fenced and indented ones."""
    kept = []
    fence = None
    after_blank, in_list, in_code = True, False, False
    for line in text.split("\n"):
        mark = FENCE.match(line)
        if fence:
            closes = mark and mark.group(1)[0] == fence[0] and len(mark.group(1)) >= len(fence) and not mark.group(2).strip()
            fence = None if closes else fence
            kept.append(blank(line))
            continue
        if mark and not (mark.group(1)[0] == "`" and "`" in mark.group(2)):
            fence = mark.group(1)
            kept.append(blank(line))
            continue
        if not line.strip():
            after_blank = True
            kept.append(line)
            continue
        indented = line.startswith(("    ", "\t"))
        # Within a list, what is indented goes on with an item.
        in_code = indented and not in_list and (after_blank or in_code)
        if LIST_ITEM.match(line) and not in_code:
            in_list = True
        elif not line.startswith((" ", "\t")) and after_blank:
            in_list = False
        after_blank = False
        kept.append(blank(line) if in_code else line)
    return "\n".join(kept)


def without_inline_code(text):
    """The text with its inline code and HTML comments blank. A piece of code ends within its paragraph, item or row."""

    def clean(block):
        at = 0
        while True:
            opening = TICKS.search(block, at)
            if not opening:
                return block
            closing = re.compile(rf"(?<!`){opening.group()}(?!`)").search(block, opening.end())
            if not closing:
                at = opening.end()
                continue
            block = block[: opening.start()] + blank(block[opening.start() : closing.end()]) + block[closing.end() :]
            at = closing.end()

    blocks = [[]]
    for line in text.split("\n"):
        if not line.strip() or BORDER.match(line):
            blocks.append([])
        blocks[-1].append(line)
    # The first block may be empty: a text that begins with a border.
    cleaned = "\n".join(clean("\n".join(block)) for block in blocks if block)
    return COMMENT.sub(lambda found: blank(found.group()), cleaned)


def prose(text):
    """What of a Markdown file is read for links: all but its code and comments, line by line where it was."""
    return without_inline_code(without_code_blocks(text))


def inline_targets(text):
    """Place and target of each [text](target) and ![text](target) in a text without code."""
    text = ESCAPED.sub("  ", text)
    opened = []
    for place, sign in enumerate(text):
        if sign == "[":
            opened.append(place)
        elif sign == "]" and opened:
            start = opened.pop()
            if text.startswith("(", place + 1):
                target = destination(text, place + 2)
                if target is not None:
                    yield start, target


def destination(text, place):
    """The target of a link whose parenthesis opens before this place; None where what stands there is no link."""
    start = re.compile(r"\s*").match(text, place).end()
    if text.startswith("<", start):
        closed = re.compile(r"<([^<>\n]*)>").match(text, start)
        return closed.group(1) if closed else None
    depth, end = 0, start
    while end < len(text) and not text[end].isspace() and (text[end] != ")" or depth):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        end += 1
    title = re.compile(r"""\s*(?:\s(?:"[^"]*"|'[^']*'|\([^()]*\)))?\s*\)""")
    return text[start:end] if title.match(text, end) else None


def links(text):
    """The links and images of a Markdown file, in the order of their lines."""
    clean = prose(text)
    found = list(inline_targets(clean))
    found += [(match.start(), match.group(1).strip("<>")) for match in DEFINITION.finditer(clean)]
    found += [(match.start(), match.group(1) or match.group(2) or "") for match in ATTRIBUTE.finditer(clean)]
    breaks = [match.start() for match in re.finditer("\n", clean)]
    return [Link(bisect.bisect_left(breaks, place) + 1, target) for place, target in sorted(found)]


def headings(text):
    """The headings of a Markdown file as they are written, in order."""
    found = []
    former = ""
    for line in without_code_blocks(text).split("\n"):
        heading = HEADING.match(line)
        if heading:
            found.append(heading.group(1) or "")
        elif UNDERLINE.match(line) and former.strip() and not BORDER.match(former):
            found.append(former.strip())
        former = "" if heading else line
    return found


def anchor(heading):
    """What GitHub calls a heading in addresses: its text in lower case, spaces as hyphens, and without punctuation.

    Letters, digits and combining marks of every script stay, as do hyphens and underscores.
    """
    pieces = re.split(r"(`+)(.+?)\1", heading)
    shown = ""
    for number, piece in enumerate(pieces):
        if number % 3 == 0:
            piece = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", piece)
            piece = re.sub(r"</?[a-zA-Z][^<>]*>", "", piece)
            piece = html.unescape(re.sub(r"(?<!\w)(_{1,3})(\S(?:.*?\S)?)\1(?!\w)", r"\2", piece))
        elif number % 3 == 1:
            continue
        shown += piece
    kept = (c for c in shown.strip().lower() if c in " -" or unicodedata.category(c)[0] in "LM" or is_digit_or_joiner(c))
    return "".join(kept).replace(" ", "-")


def is_digit_or_joiner(sign):
    """Whether a character is a decimal digit, or joins words as the underscore does."""
    return unicodedata.category(sign) in ("Nd", "Pc")


def anchors(text):
    """The anchors of a Markdown file: a heading that comes again has -1, -2 and so on behind its name."""
    seen = {}
    found = set()
    for heading in headings(text):
        name = anchor(heading)
        found.add(f"{name}-{seen[name]}" if seen.get(name) else name)
        seen[name] = seen.get(name, 0) + 1
    return found


class Tree:
    """The tracked files of a work tree."""

    def __init__(self, root):
        self.root = Path(root)
        listed = subprocess.run(["git", "-C", self.root, "ls-files", "-z"], check=True, stdout=subprocess.PIPE).stdout
        names = [name for name in listed.decode("utf-8").split("\0") if name]
        self.files = {name for name in names if (self.root / name).is_file()}
        self.folders = {folder for name in self.files for folder in map(str, Path(name).parents)}
        self._anchors = {}

    def markdown(self):
        """The names of the Markdown files, in order."""
        return sorted(name for name in self.files if name.lower().endswith(".md"))

    def text(self, name):
        """What is in a file."""
        return (self.root / name).read_text(encoding="utf-8")

    def has_anchor(self, name, wanted):
        """Whether a file has this anchor: a heading in Markdown, the numbers of lines elsewhere."""
        if not name.lower().endswith(".md"):
            return LINES_OF_CODE.match(wanted) is not None
        if name not in self._anchors:
            self._anchors[name] = anchors(self.text(name))
        return wanted in self._anchors[name]

    def fault(self, name, target):
        """What is wrong with a link that stands in the file of this name; None if it leads somewhere."""
        if SCHEME.match(target) and not target.lower().startswith("file:"):
            return None
        path, _, wanted = target.partition("#")
        path = unquote(path)
        if target.startswith("//"):
            return None
        if path.startswith(("/", "~")) or target.lower().startswith("file:"):
            return "an absolute path, which leads nowhere in another checkout"
        if not target:
            return "nothing to lead to"
        found = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
        if found in self.folders:
            return f'"{found}" is a folder and has no anchors' if wanted else None
        if found not in self.files:
            return f'there is no tracked file "{found}"'
        if "#" in target and not self.has_anchor(found, unquote(wanted)):
            return f'"{found}" has no heading "#{unquote(wanted)}"'
        return None


def check(tree):
    """Goes through a tree; gives the faults as lines of text, and how many links were looked at."""
    faults = []
    count = 0
    for name in tree.markdown():
        for link in links(tree.text(name)):
            count += 1
            fault = tree.fault(name, link.target)
            if fault:
                faults.append(f"{name}:{link.line}: ({link.target}): {fault}")
    if "README.md" in tree.files:
        lines = len(tree.text("README.md").splitlines())
        if lines > MOST_README_LINES:
            faults.append(
                f"README.md:{MOST_README_LINES + 1}: it has {lines} lines, {MOST_README_LINES} at most: "
                "move what a newcomer does not need to docs/"
            )
    return faults, count


def main():
    """Reads the command line, prints what is wrong, and gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", default=Path(__file__).resolve().parents[1], help="the top of a git work tree")
    tree = Tree(parser.parse_args().root)
    faults, count = check(tree)
    for fault in faults:
        print(fault)
    files = len(tree.markdown())
    if faults:
        print(f"links: {len(faults)} {'fault' if len(faults) == 1 else 'faults'} in {files} Markdown files")
        return 1
    print(f"links: {count} in {files} Markdown files, all of them lead somewhere")
    return 0


if __name__ == "__main__":
    sys.exit(main())
