#!/usr/bin/env python3
"""The image for CloudNativePG holds each file that it should and no other, and PostgreSQL 18 works with it as it is mounted: beside the
server, found by extension_control_path and dynamic_library_path. No Docker: the image is unpacked."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, ok, skip  # noqa: E402
from harness.image import faults, members  # noqa: E402
from harness.places import ROOT  # noqa: E402
from harness.transformer import GRAPH, manifest, registration, until  # noqa: E402

if int(os.environ["HARCA_SERVER_VERSION"]) < 18:
    skip("the image of the extension", "it needs extension_control_path, which PostgreSQL 18 has")
    done()
VERSION = re.search(r'\[workspace\.package\]\nversion = "([^"]+)"', (ROOT / "Cargo.toml").read_text(encoding="utf-8")).group(1)
FILES = {
    "lib/pg_harca.so", "lib/pg_harca/pg_harca_engine", "lib/pg_harca/models/query_type/model.onnx",
    "lib/pg_harca/models/query_type/manifest.json", "lib/pg_harca/models/query_type/MODEL_CARD.md",
    "share/extension/pg_harca.control", f"share/extension/pg_harca--{VERSION}.sql", "licenses/LICENSE", "licenses/NOTICES",
    *(f"share/extension/{path.name}" for folder in ("sql", "sql/released") for path in (ROOT / folder).glob("pg_harca--*.sql")),
}  # fmt: skip

made = subprocess.run([ROOT / "packaging/image.sh", os.environ["HARCA_PG_CONFIG"]], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
is_(made.returncode, 0, "the image is made")
layout = Path(made.stdout.strip().splitlines()[-1])
is_(faults(layout), [], "it is a whole layout")
found = members(layout)
files = {name for name, (_, content) in found.items() if content is not None}
runtime = {name for name in files if re.fullmatch(r"lib/pg_harca/libonnxruntime\.so\.[0-9.]+", name)}
is_(files - runtime, FILES, "it has the files that it should")
is_(len(runtime), 1, "and ONNX Runtime once")
is_({name.split("/")[0] for name in found}, {"lib", "share", "licenses"}, "in the folders that are looked for, and one for the licences")
is_([name for name, (mode, _) in found.items() if mode & 0o022 or not mode & 0o444], [], "for everybody to read and for root to write")
ok(b"Apache License" in found["licenses/NOTICES"][1] and b"Microsoft Corporation" in found["licenses/NOTICES"][1], "with the licences of others")

server = Server(f"test-image-{os.getpid()}")
server.initdb()
mounted = server.folder / "extensions/pg_harca"
for name, (mode, content) in found.items():
    path = mounted / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        path.mkdir(exist_ok=True)
    else:
        path.write_bytes(content)
        path.chmod(mode)
for path in (mounted.parent, mounted, *(path for path in mounted.rglob("*") if path.is_dir())):
    path.chmod(0o755)
server.configure(
    extension_control_path=f"{mounted}/share:$system", dynamic_library_path=f"{mounted}/lib:$libdir", shared_preload_libraries="pg_harca"
)
server.start()
server.psql("CREATE EXTENSION pg_harca CASCADE")
is_(server.psql("SELECT extversion FROM pg_extension WHERE extname = 'pg_harca'"), VERSION, "the extension is created from there")
session = server.session()
is_(session.psql("SELECT query_type, model FROM classify_query('東京 天気')").split("|")[0], "keyword", "and answers")
session.psql("SET pg_harca.executor = 'onnxruntime'; SET pg_harca.model = 'query_type'; SELECT harca.load_model()")
mapped = {line.split(maxsplit=5)[5] for line in Path(f"/proc/{session.pid}/maps").read_text().splitlines() if "pg_harca" in line and "/lib" in line}
# The caches and the socket lie in the data folder.
outside = {path for path in mapped if not path.startswith(f"{mounted}/") and not path.startswith(str(server.data))}
is_(outside, set(), "the library and ONNX Runtime are those of the image")
ok(any("libonnxruntime" in path for path in mapped), "which a session has loaded both of")
session.close()
is_(server.psql(registration(manifest(), GRAPH)), "tiny 1", "a transformer is registered")
is_(server.psql("SELECT query_type FROM harca.classify('東京 天気', 'tiny')"), "keyword", "and runs")
ok(until(server, "(SELECT state FROM harca.engine_status()) = 'running'"), "in an engine")
program = os.readlink(f"/proc/{server.psql('SELECT pid FROM harca.engine_status()')}/exe")
is_(program, str(mounted / "lib/pg_harca/pg_harca_engine"), "which is that of the image")
server.stop()
shutil.rmtree(mounted.parent)
done()
