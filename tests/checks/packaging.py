#!/usr/bin/env python3
"""META.json is what PGXN takes and tells the truth; an image of the extension is a whole OCI layout, the same for the same files;
notices name all that is linked into what is shipped. No server, no Docker."""

import copy
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import done, is_, like, ok  # noqa: E402
from harness.image import faults, members  # noqa: E402
from harness.places import ROOT  # noqa: E402

VERSION = re.search(r'\[workspace\.package\]\nversion = "([^"]+)"', (ROOT / "Cargo.toml").read_text(encoding="utf-8")).group(1)

# PGXN: what its meta specification 1.0.0 demands.
SEMANTIC = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-?[A-Za-z][0-9A-Za-z.-]*)?")
LICENSES = {"agpl_3", "apache_1_1", "apache_2_0", "artistic_1", "artistic_2", "bsd", "freebsd", "gfdl_1_2", "gfdl_1_3", "gpl_1",
            "gpl_2", "gpl_3", "lgpl_2_1", "lgpl_3_0", "mit", "mozilla_1_0", "mozilla_1_1", "openssl", "perl_5", "postgresql", "qpl_1_0",
            "ssleay", "sun", "zlib", "open_source", "restricted", "unrestricted", "unknown"}  # fmt: skip
KEYS = {"abstract", "description", "generated_by", "license", "maintainer", "meta-spec", "name", "no_index", "prereqs", "provides",
        "release_status", "resources", "tags", "version"}  # fmt: skip


def strings(value):
    """Whether a value is a text, or a list of some, none of them empty."""
    texts = value if isinstance(value, list) else [value]
    return bool(texts) and all(isinstance(text, str) and text.strip() for text in texts)


def meta_faults(meta):
    """What PGXN would refuse, and what is not so in this tree."""
    found = [f"{key} is missing" for key in ("abstract", "license", "maintainer", "meta-spec", "name", "provides", "version") if key not in meta]
    found += [f"{key} is not known" for key in meta if key not in KEYS and not key.lower().startswith("x_")]
    found += [f"{key} is no text" for key in ("abstract", "maintainer", "name", "description", "generated_by", "tags") if key in meta and not strings(meta[key])]
    if re.search(r"[\s/\\]|.{256}|^.?$", str(meta.get("name", ""))):
        found.append("name is no term")
    if meta.get("license") not in LICENSES:
        found.append("license is not known")
    if meta.get("meta-spec", {}).get("version") != "1.0.0":
        found.append("meta-spec is another one")
    versions = [meta.get("version"), *(part.get("version") for part in meta.get("provides", {}).values())]
    found += [f"version {version} is not {VERSION}" for version in versions if version != VERSION]
    for phase, relations in meta.get("prereqs", {}).items():
        if phase not in ("configure", "build", "test", "runtime", "develop") or not set(relations) <= {"requires", "recommends", "suggests", "conflicts"}:
            found.append(f"prereqs: {phase} is not known")
        for name, version in ((n, v) for relation in relations.values() for n, v in relation.items()):
            if version != 0 and not SEMANTIC.fullmatch(str(version)):
                found.append(f"prereqs: {name} {version} is no version")
    for name, part in meta.get("provides", {}).items():
        found += [f"provides: {name} has no {key}" for key in ("file", "version") if key not in part]
        found += [f"provides: there is no {part[key]}" for key in ("file", "docfile") if key in part and not (ROOT / part[key]).is_file()]
    return found


meta = json.loads((ROOT / "META.json").read_text(encoding="utf-8"))
is_(meta_faults(meta), [], "META.json")
for what, change in (
    ("without a maintainer", lambda m: m.pop("maintainer")),
    ("of another version", lambda m: m.update(version="0.0.1")),
    ("of a version that is none", lambda m: m["prereqs"]["runtime"]["requires"].update(vector="0.5")),
    ("under a licence that PGXN does not know", lambda m: m.update(license="PostgreSQL")),
    ("with a key of its own", lambda m: m.update(home="here")),
    ("of a file that is not there", lambda m: m["provides"]["pg_harca"].update(file="sql/pg_harca.sql")),
):
    spoilt = copy.deepcopy(meta)
    change(spoilt)
    is_(len(meta_faults(spoilt)), 1, f"META.json {what} is refused")
control = (ROOT / "pg_harca.control").read_text(encoding="utf-8")
is_(re.findall(r"requires = '(.*)'", control), [name for name in meta["prereqs"]["runtime"]["requires"] if name != "PostgreSQL"], "META.json requires what the control file does")

# An image, of files that are none.
FILES = {"lib/pg_harca.so": b"library", "lib/pg_harca/pg_harca_engine": b"program", "share/extension/pg_harca.control": b"", "licenses/LICENSE": b"text"}
with tempfile.TemporaryDirectory(prefix="pg_harca-image-") as folder:
    root = Path(folder) / "root"
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "lib/pg_harca/pg_harca_engine").chmod(0o755)

    def image(name, epoch="1000000000"):
        """Makes one."""
        command = [ROOT / "packaging/extension_image.py", root, "9.9.9", Path(folder) / name]
        return subprocess.run(command, env={**os.environ, "SOURCE_DATE_EPOCH": epoch}, capture_output=True, text=True, check=False)

    is_((image("one").returncode, image("two").returncode), (0, 0), "two images are made of the same files")
    is_((Path(folder) / "one/index.json").read_bytes(), (Path(folder) / "two/index.json").read_bytes(), "and are the same")
    is_(faults(Path(folder) / "one"), [], "an image is a whole layout")
    found = members(Path(folder) / "one")
    is_({name: content for name, (mode, content) in found.items() if content is not None}, FILES, "with the files")
    is_((found["lib/pg_harca/pg_harca_engine"][0], found["lib/pg_harca.so"][0]), (0o755, 0o644), "and what may be run")
    ok(image("one").returncode != 0, "one that is there already is not written over")
    layer = max((Path(folder) / "two/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    layer.write_bytes(layer.read_bytes() + b" ")
    ok(faults(Path(folder) / "two"), "a blob that has changed is seen")
    (root / "lib/link.so").symlink_to("pg_harca.so")
    like(image("three").stderr, "link.so is neither a file nor a folder", "what is no file is refused")

notices = subprocess.run([ROOT / "packaging/notices.py", "pg18", Path("/nonexistent")], capture_output=True, text=True, check=False)
like(notices.stderr, "LICENSE is missing", "notices without those of ONNX Runtime are an error")
listed = re.findall(r"^  (\S+) [0-9]", notices.stdout, re.M)
direct = re.findall(r"^([a-z0-9_-]+) = ", (ROOT / "crates/harca_engine/Cargo.toml").read_text(encoding="utf-8").split("[dependencies]")[1].split("[")[0], re.M)
is_([name for name in (*direct, "pgrx") if name not in listed and not name.startswith("harca_")], [], "notices name what is linked")
done()
