#!/usr/bin/env python3
"""What former releases have written is read by this version, or left out with one line in the log: tests/data/formats has it."""

import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, like, ok  # noqa: E402
from harness.places import ROOT  # noqa: E402
from harness.registry import literal, registration  # noqa: E402
from harness.upgrade import QUERIES  # noqa: E402

FORMATS = ROOT / "tests/data/formats"
releases = sorted(path.name for path in FORMATS.iterdir() if path.is_dir())
ok("0.1.0" in releases, "there is a release to be read")
for release in releases:
    folder = FORMATS / release
    # Logged when the files were made, and looked at whenever that test runs.
    settings = {"shared_preload_libraries": "pg_harca", "pg_harca.query_log_retention": "3650"}
    server = Server(f"test-formats-{os.getpid()}", settings=settings)
    server.initdb()
    shutil.copy(folder / "pg_harca.cache", server.data)
    if server.user:
        os.chown(server.data / "pg_harca.cache", server.user.pw_uid, server.user.pw_gid)
    server.start()
    told = server.log()
    like(told, f'LOG:  file of the cache is discarded\n.*it was written by version "{release}", and this is version "[0-9.]+"', f"{release}: the cache of another version is discarded")
    is_(told.count("is discarded"), 1, f"{release}: in one line")
    server.psql("CREATE EXTENSION pg_harca CASCADE")
    is_(server.psql("SELECT restored FROM harca.stat_cache WHERE level = 'shared'"), "0", f"{release}: the cache begins empty")

    logs = server.data / "pg_harca_queries" / server.psql("SELECT oid FROM pg_database WHERE datname = 'postgres'")
    shutil.copytree(folder / "queries", logs)
    for path in (logs.parent, logs, *logs.iterdir()):
        path.chmod(0o700)
        if server.user:
            os.chown(path, server.user.pw_uid, server.user.pw_gid)
    is_(server.psql("SELECT query FROM harca.query_log ORDER BY logged_at").splitlines(), list(QUERIES), f"{release}: the log of queries is read")
    is_(server.psql("SELECT count(*) FROM harca.query_log WHERE confidence > 0 AND model LIKE 'query_type %' AND query_type IN ('keyword', 'semantic', 'hybrid')"), str(len(QUERIES)), f"{release}: with what was answered")
    like(server.psql("SELECT harca.export_training_data()"), "\nharbour plan\t", f"{release}: for training")

    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    is_(server.psql(registration((manifest, (folder / "model.onnx").read_bytes()))), f"{manifest['name']} {manifest['version']}", f"{release}: a model is registered")
    golden = manifest["golden"][0]
    server.psql("SELECT harca.activate_model('kept', force => true)")
    is_(server.psql(f"SELECT query_type({literal(golden['query'])})"), golden["type"], f"{release}: and answers as it did")
    server.remove()
done()
