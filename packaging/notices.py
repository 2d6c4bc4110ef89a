#!/usr/bin/env python3
"""Writes the licences of all that is shipped beside the project's own code: the crates that are linked into the library and the
engine, the standard library of Rust, and ONNX Runtime.

Usage: packaging/notices.py FEATURE ONNXRUNTIME_FOLDER, where FEATURE is that of the server, pg15 for example; the text goes to
standard output. A crate that publishes no licence file is named with the licence that it is under, of which others have the text;
where that is none that is known here, it is an error.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RULE = "-" * 78
_FILE = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)([-._].*)?$", re.I)
# By what may be chosen, best first: of several licences one is enough.
_CHOICE = ("MIT", "Apache-2.0", "BSD-3-Clause", "BSD-2-Clause", "ISC", "Zlib", "BSL-1.0", "CC0-1.0", "Unlicense", "Unicode-3.0", "MPL-2.0")


def metadata(feature):
    """What cargo knows of the packages and of how they depend on each other for this processor and system."""
    target = re.search(r"^host: (.*)$", run("rustc", "-vV"), re.M).group(1)
    options = ["--format-version", "1", "--locked", "--filter-platform", target, "--no-default-features", "--features", feature]
    return json.loads(run("cargo", "metadata", *options))


def run(*command):
    """What a program prints; an error when it fails."""
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def shipped(known):
    """The packages of others that are linked into what is shipped, by name."""
    nodes = {node["id"]: node for node in known["resolve"]["nodes"]}
    packages = {package["id"]: package for package in known["packages"]}
    wanted = [key for key, package in packages.items() if package["name"] in ("pg_harca", "harca_engine") and package["source"] is None]
    seen = set()
    while wanted:
        key = wanted.pop()
        if key not in seen:
            seen.add(key)
            # Not those of build scripts and tests.
            wanted += [dep["pkg"] for dep in nodes[key]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
    return sorted((packages[key] for key in seen if packages[key]["source"]), key=lambda package: (package["name"], package["version"]))


def texts(package):
    """The licence files of a package."""
    folder = Path(package["manifest_path"]).parent
    files = sorted(path for path in folder.iterdir() if path.is_file() and _FILE.match(path.name))
    if package["license_file"]:
        files.append(folder / package["license_file"])
    found = (path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n").strip() for path in dict.fromkeys(files))
    return [text for text in found if text]


def license_of(package):
    """The licence of a package that is relied on where it has no text of its own."""
    offered = re.split(r"\s+OR\s+|/", (package["license"] or "").strip("()"))
    return next((name for name in _CHOICE if name in offered), None)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    packages = shipped(metadata(sys.argv[1]))
    by_text, bare = {}, []
    for package in packages:
        own = texts(package)
        for text in own:
            by_text.setdefault(text, []).append(f"{package['name']} {package['version']}")
        if not own:
            bare.append(package)
    print("Software of others in pg_harca, and its licences\n")
    print("Linked into the library of the extension and into its engine:\n")
    for package in packages:
        print(f"  {package['name']} {package['version']}, {package['license'] or 'see its text'}, {package['repository'] or 'no address'}")
    if bare:
        print("\nThese publish no text; it stands below, with others under the same licence:\n")
        for package in bare:
            chosen = license_of(package)
            if chosen is None:
                sys.exit(f"packaging/notices.py: {package['name']} {package['version']} has no licence file, and {package['license']} is not known here")
            print(f"  {package['name']} {package['version']}, {chosen}, {', '.join(package['authors']) or 'its authors'}")
    for text, owners in sorted(by_text.items(), key=lambda item: item[1]):
        print(f"\n{RULE}\n{', '.join(owners)}\n{RULE}\n\n{text}")
    library = Path(run("rustc", "--print", "sysroot").strip()) / "share/doc/rust"
    for title, path in (
        ("The standard library of Rust, MIT OR Apache-2.0", library / "LICENSE-MIT"),
        ("ONNX Runtime", Path(sys.argv[2]) / "LICENSE"),
        ("Parts of ONNX Runtime", Path(sys.argv[2]) / "ThirdPartyNotices.txt"),
    ):
        if path.exists():
            text = path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n").strip()
        elif title.startswith("The standard"):
            text = "Copyright (c) The Rust Project Contributors. The MIT licence holds, whose text stands above."
        else:
            sys.exit(f"packaging/notices.py: {path.name} is missing in {path.parent}")
        print(f"\n{RULE}\n{title}\n{RULE}\n\n{text}")


main()
