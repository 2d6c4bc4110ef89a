#!/usr/bin/env python3
"""The check of links: what it lets pass, what it refuses, and what it says then, on trees that are planted for it."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness.places import ROOT  # noqa: E402
from harness.tap import done, is_, like, ok  # noqa: E402


def checked(files, untracked=()):
    """Exit code and output of the check on a tree of these files, by name; some of them git does not know."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        # The settings of whoever runs the test have no part in it.
        own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "PYTHONIOENCODING": "utf-8"}
        environment = {**os.environ, **own}
        tracked = [name for name in files if name not in untracked]
        subprocess.run(["git", "init", "-q", folder], check=True, env=environment)
        subprocess.run(["git", "-C", folder, "add", "-f", "--", *tracked], check=True, env=environment)
        run = subprocess.run(
            [sys.executable, ROOT / "scripts/check_links.py", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            encoding="utf-8", env=environment, check=False,
        )  # fmt: skip
        return run.returncode, run.stdout.strip()


def passes(name, files, count):
    """Passes when the tree has no fault and so many links."""
    pages = sum(file.endswith(".md") for file in files)
    is_(checked(files), (0, f"links: {count} in {pages} Markdown files, all of them lead somewhere"), name)


def refuses(name, files, *expected, untracked=()):
    """Passes when these lines, and no others, are the faults of the tree."""
    code, said = checked(files, untracked)
    is_((code, said.splitlines()[:-1]), (1, list(expected)), name)


def missing(place, target, file=None):
    """What is said of a link at a place, file:line, to a file that is not there."""
    return f'{place}: ({target}): there is no tracked file "{file or target}"'


def no_heading(place, target):
    """What is said of a link at a place to an anchor, file#anchor, that the file does not have."""
    file, _, anchor = target.partition("#")
    return f'{place}: ({target}): "{file or place.partition(":")[0]}" has no heading "#{anchor}"'


PAGE = "# Page\n\n## Whole numbers\n\nText.\n"

# What leads somewhere.
passes("a link to a file, up and down", {"README.md": "[a](docs/x.md)\n", "docs/x.md": "[b](../README.md)\n"}, 2)
passes("an anchor here and there", {"README.md": "# One two\n[a](#one-two) [b](x.md#whole-numbers)\n", "x.md": PAGE}, 2)
passes("an image, and a link around one", {"README.md": "![a](x.svg) [![b](x.svg)](x.svg)\n", "x.svg": "<svg/>"}, 3)
passes("a folder with tracked files", {"README.md": "[a](docs/) [b](docs)\n", "docs/page.md": PAGE}, 2)
passes("other sites are not asked", {"README.md": "[a](https://x.invalid/y#z) [b](mailto:x@x.invalid) <http://x>\n"}, 2)
passes("a title, an escaped space, angle brackets, parentheses", {
    "README.md": '[a](page.md "title") [b](two%20words.md) [c](<two words.md>) [d](f_(x).md)\n',
    "page.md": PAGE, "two words.md": PAGE, "f_(x).md": PAGE,
}, 4)  # fmt: skip
passes("a definition, and HTML", {
    "README.md": '[a][page] <img src="page.md"> <a href=\'page.md#page\'>x</a>\n\n[page]: page.md\n', "page.md": PAGE,
}, 3)  # fmt: skip
passes("a line of a source file", {"README.md": "[a](x.rs#L3) [b](x.rs#L3-L9)\n", "x.rs": ""}, 2)
passes("a link over two lines", {"README.md": "[a\nb](page.md)\n", "page.md": PAGE}, 1)

# Anchors as GitHub makes them.
HEADINGS = """# What's `ef_search`, then?
## 日本語の検索
## 検索・索引（その１）
## The *same*
## The same
### The same
## A -- b
## See [page](page.md) _now_
## snake_case
Underlined
----------
"""
ENCODED = "%E6%97%A5%E6%9C%AC%E8%AA%9E%E3%81%AE%E6%A4%9C%E7%B4%A2"
for wanted in ("whats-ef_search-then", "日本語の検索", ENCODED, "検索索引その１", "the-same", "the-same-1", "the-same-2", "a----b",
               "see-page-now", "snake_case", "underlined"):  # fmt: skip
    passes(f"#{wanted}", {"README.md": f"[a](x.md#{wanted})\n", "x.md": HEADINGS, "page.md": ""}, 2)
for wanted in ("What's", "the-same-3", "日本語", "検索・索引その１", "snakecase", "", "Underlined"):
    refuses(f"#{wanted} is not among them", {"README.md": f"[a](x.md#{wanted})\n", "x.md": HEADINGS, "page.md": ""},
            no_heading("README.md:1", f"x.md#{wanted}"))  # fmt: skip
refuses("a comment in a code block is no heading", {"README.md": "```sh\n# not one\n```\n[a](#not-one)\n"},
        no_heading("README.md:4", "#not-one"))  # fmt: skip

# What leads nowhere.
refuses("a file that is not there", {"README.md": "one\n\n[a](x.md)\n"}, missing("README.md:3", "x.md"))
refuses("an image that is not there", {"a/b.md": "\n![a](../x.svg)\n"}, missing("a/b.md:2", "../x.svg", "x.svg"))
refuses("a file that git does not know", {"README.md": "[a](x.md)\n", "x.md": PAGE}, missing("README.md:1", "x.md"),
        untracked=("x.md",))  # fmt: skip
refuses("a name in another case", {"README.md": "[a](Page.md)\n", "page.md": PAGE}, missing("README.md:1", "Page.md"))
refuses("out of the tree", {"README.md": "[a](../page.md)\n", "page.md": PAGE}, missing("README.md:1", "../page.md"))
ABSOLUTE = "an absolute path, which leads nowhere in another checkout"
refuses("absolute paths", {"README.md": "[a](/page.md)\n\n[b](file:///page.md)\n", "page.md": PAGE},
        f"README.md:1: (/page.md): {ABSOLUTE}", f"README.md:3: (file:///page.md): {ABSOLUTE}")  # fmt: skip
refuses("an anchor of a folder", {"README.md": "[a](docs/#x)\n", "docs/page.md": PAGE},
        'README.md:1: (docs/#x): "docs" is a folder and has no anchors')  # fmt: skip
refuses("an anchor that is no line of a source file", {"README.md": "[a](x.rs#main)\n", "x.rs": ""},
        no_heading("README.md:1", "x.rs#main"))  # fmt: skip
refuses("a definition and HTML", {"README.md": '<img src="x.svg">\n\n[a]: y.md\n'},
        missing("README.md:1", "x.svg"), missing("README.md:3", "y.md"))  # fmt: skip
refuses("every fault of every file", {"README.md": "[a](x.md) [b](y.md)\n", "z.md": "- [c](#d)\n"},
        missing("README.md:1", "x.md"), missing("README.md:1", "y.md"), no_heading("z.md:1", "#d"))  # fmt: skip
refuses("behind inline code, in a cell and in an item",
        {"README.md": "`a` [a](x.md)\n\n| `b | [b](y.md)\n|---|---|\n\n- a ` b\n- [c](z.md) `\n"},
        missing("README.md:1", "x.md"), missing("README.md:3", "y.md"), missing("README.md:7", "z.md"))  # fmt: skip
refuses("behind a code block", {"README.md": "````\n```\n[a](x.md)\n````\n[b](y.md)\n"}, missing("README.md:5", "y.md"))
refuses("in an indented line of a list", {"README.md": "- a\n\n    [a](x.md)\n"}, missing("README.md:3", "x.md"))

# Code is no link.
for name, text in (
    ("a code block", "```md\n[a](x.md)\n```\n"),
    ("one of tildes", "~~~\n[a](x.md)\n~~~\n"),
    ("one that is never closed", "```\n[a](x.md)\n"),
    ("one within a list", "- a\n\n  ```\n  [a](x.md)\n  ```\n"),
    ("an indented one", "Text:\n\n    [a](x.md)\n"),
    ("inline code", "`[a](x.md)` and ``[a](x.md) ` [b](y.md)``\n"),
    ("inline code over two lines", "so `a\n[a](x.md)` on\n"),
    ("a comment", "<!-- [a](x.md) -->\n"),
    ("brackets that are escaped", "\\[a\\](x.md)\n"),
    ("brackets without a target", "a[1] [b] (x.md)\n"),
):
    passes(f"{name} has no links", {"README.md": text}, 0)

# README.md fits a few screens; other files may be longer.
passes("200 lines of README.md", {"README.md": "line\n" * 200, "long.md": "line\n" * 300}, 0)
refuses("201 are too many", {"README.md": "line\n" * 201},
        "README.md:201: it has 201 lines, 200 at most: move what a newcomer does not need to docs/")  # fmt: skip

code, said = checked({"README.md": "[a](x.md)\n"})
like(said, r"\nlinks: 1 fault in 1 Markdown files$", "the last line counts the faults")
with tempfile.TemporaryDirectory() as folder:
    run = subprocess.run([sys.executable, ROOT / "scripts/check_links.py", folder], capture_output=True, check=False)
    ok(run.returncode != 0, "what is no work tree is not found to be good")
done()
