#!/usr/bin/env python3
"""scripts/check_layers.sh passes a clean tree, and names rule, file and line of every fault that is planted in one."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness.places import ROOT  # noqa: E402
from harness.tap import done, is_  # noqa: E402

TABLES = """\
core: rust crates/harca_core/src
    text  ->
    model -> error
    error ->

glue: rust src
    init          -> shared_memory
    api           -> registry shared_memory
    registry      -> bridge
    shared_memory ->
    bridge        ->
    apart api

sql: sql sql
    grants -> everything
    watch  -> models schema
    models -> schema
    schema ->
"""

LIB = """\
mod api;

/// Not the list: install_sql! { "nothing" }
macro_rules! install_sql {
    ($first:literal $($next:literal)*) => {};
}

install_sql! {
    "../sql/schema.sql"
    "../sql/models/registry.sql" // "../sql/watch/cache.sql" comes later
    "../sql/models/deployment.sql"
    "../sql/watch/cache.sql"
    "../sql/grants.sql"
}
"""

REGISTRY_SQL = """\
DO $$
DECLARE
    role name;
BEGIN
    FOREACH role IN ARRAY '{harca_admin}'::name[] LOOP
        EXECUTE format('CREATE ROLE %I', role);
    END LOOP;
END
$$;
CREATE TABLE harca.model (name text);
COMMENT ON TABLE harca.model IS
'Read by the view harca.stat_cache, whose text isn''t a use';
-- harca.deploy is not used here.
CREATE FUNCTION harca.drop_model() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'in use' USING HINT = 'Call harca.deploy() first.';
END
$$;
"""

DEPLOYMENT_SQL = """\
CREATE FUNCTION harca.deploy() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'DELETE FROM harca.model';
END
$$;
"""

CLEAN = {
    "scripts/layers.txt": TABLES,
    "crates/harca_core/src/lib.rs": "pub mod error;\npub mod model;\npub mod text;\n",
    "crates/harca_core/src/bin/encode.rs": "use harca_core::model;\n",
    "crates/harca_core/src/error.rs": "pub struct Error;\n",
    "crates/harca_core/src/text.rs": "pub struct Text;\n",
    "crates/harca_core/src/model/mod.rs": "mod files;\nmod manifest;\nmod session;\npub use manifest::Manifest;\n",
    "crates/harca_core/src/model/files.rs": "use super::manifest::{self, Manifest};\nuse crate::error::Error;\n",
    "crates/harca_core/src/model/manifest.rs": "use super::Door;\npub struct Manifest;\n",
    "crates/harca_core/src/model/session.rs": "use ort::session::Session;\n",
    "src/lib.rs": LIB,
    "src/init.rs": "fn _PG_init() {\n    crate::shared_memory::dump_worker::register();\n}\n",
    "src/api/mod.rs": "mod classify;\nmod models;\n",
    "src/api/classify.rs": "use crate::registry::Registry;\n",
    "src/api/models.rs": "use crate::{registry, shared_memory};\n",
    "src/registry.rs": "use crate::bridge::Value;\nuse pgrx::spi::Spi;\n",
    "src/shared_memory/mod.rs": "pub mod dump_worker;\n",
    "src/shared_memory/dump_worker.rs": "pub fn register() {}\n",
    "src/bridge.rs": "// SAFETY: nothing is read.\nfn value() { unsafe {} }\n",
    "sql/schema.sql": "CREATE SCHEMA harca;\n",
    "sql/models/registry.sql": REGISTRY_SQL,
    "sql/models/deployment.sql": DEPLOYMENT_SQL,
    "sql/watch/cache.sql": "CREATE VIEW harca.stat_cache AS\nSELECT m.name FROM harca.model m;\n",
    "sql/grants.sql": "GRANT SELECT ON harca.stat_cache TO harca_admin;\n",
    "sql/pg_harca--0.1.0--0.2.0.sql": "ALTER TABLE harca.gone ADD COLUMN more text;\n",
    "sql/released/pg_harca--0.1.0.sql": "CREATE TABLE harca.gone (name text);\n",
}

ROOM = "a room uses no other ones than the table of layers allows"
CIRCLE = "no file uses one that uses it in turn, directly or by way of others"
LISTED = "every room stands in the table of layers, and every row of it is a room"
TABLE = "the table of layers is read from the top down and names rooms that it has"
APART = "parts of a room that are to stay apart never use each other"
ORDER = "install_sql! in src/lib.rs lists every file of sql/ once"
LATE = "a file of SQL names nothing that a later one defines"
UNKNOWN = "a name with a schema of the extension is that of an object"

CORE = "crates/harca_core/src/"
# Of whoever runs the check: a folder of the machine that no other rule knows.
HOME = "/srv/planted"


def check(changes, without=()):
    """Runs the check on the clean tree with files changed and folders left out: its exit status, its standard output, and
    the rules that were broken with the lines that do so."""
    with tempfile.TemporaryDirectory(prefix="pg_harca-layers-") as folder:
        for name, text in {**CLEAN, **changes}.items():
            if text is not None and not name.startswith(tuple(without)):
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
        subprocess.run(["git", "init", "--quiet", folder], check=True)
        ran = subprocess.run(
            [ROOT / "scripts/check_layers.sh", folder], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            env={**os.environ, "HOME": HOME}, check=False,
        )  # fmt: skip
    rules, lines = {}, None
    for line in ran.stderr.splitlines():
        if line.startswith("layer check: "):
            lines = rules.setdefault(line[len("layer check: ") :], [])
        elif not line:
            lines = None
        elif lines is not None:
            lines.append(line)
    return ran.returncode, ran.stdout, rules


def passes(name, changes, **options):
    """A tree without a fault."""
    status, _, rules = check(changes, **options)
    is_((status, rules), (0, {}), name)


def refused(name, changes, rules, **options):
    """A tree with faults: exactly these rules are broken, and by exactly these lines."""
    status, _, broken = check(changes, **options)
    is_((status, broken), (1, rules), name)


status, shown, rules = check({})
is_((status, rules), (0, {}), "a clean tree passes")
is_(
    shown,
    f"""\
core: {CORE[:-1]}
    text
    model -> error
    error
glue: src
    init          -> shared_memory
    api           -> registry shared_memory
    registry      -> bridge
    shared_memory
    bridge
sql: sql
    grants -> watch models schema
    watch  -> models schema
    models -> schema
    schema
""",
    "it is shown from the top down, with the arrows that there are",
)
passes("a tree without SQL and glue passes", {}, without=("sql/", "src/"))

# Who uses whom in Rust.
refused(
    "an arrow that the table does not have",
    {CORE + "text.rs": "\nuse crate::model::files::read;\n"},
    {ROOM: [f"{CORE}text.rs:2: crate::model::files::read: text may not use model"]},
)
refused(
    "an arrow deep in a use over many lines",
    {
        CORE + "text.rs": """\
use std::{
    fmt::{self, Display},
};
use crate::{
    text::{Text as Own, *},
    // A remark with a { in it.
    model::{
        files as other,
        manifest::{
            self,
        },
    },
};
"""
    },
    {
        ROOM: [
            f"{CORE}text.rs:8: crate::model::files: text may not use model",
            f"{CORE}text.rs:10: crate::model::manifest: text may not use model",
        ]
    },
)
for wording, named in (
    ("fn f() { let n = vec![1].iter().map(crate::model::count).sum::<usize>(); }", "crate::model::count"),
    ("fn f(x: &'static str) -> super::model::Manifest { g('\"', b'\\'', \"\\\"\", r#\"\"\"#) }", "super::model::Manifest"),
    ("fn f<'a>() { g('\"', b'\\'', \"\\\"\", r#\"\"\"#); crate::model::load() }", "crate::model::load"),
    ("macro_rules! load { () => { $crate::model::load() }; }", "crate::model::load"),
    ("impl<'a> From<<crate::model::Manifest as Part<'a>>::Whole> for Text {}", "crate::model::Manifest"),
    ("/* a /* nested */ remark */ pub(in crate::text) fn f() { crate::model::load(); }", "crate::model::load"),
    ("use crate as root;\nfn f() { root::model::load() }", "root::model::load"),
    ("use super::*;\nfn f() { model::load() }", "model::load"),
    ("mod part {\n    use super::super::model::load;\n}", "super::super::model::load"),
    ("#[cfg(not(test))]\nuse self::super::model::load;", "self::super::model::load"),
    ("#[cfg(test)]\nmod tests {\n    use super::*;\n}\nuse crate::model::load;", "crate::model::load"),
    ("struct S {\n    #[cfg(test)]\n    seen: usize,\n    of: crate::model::Manifest,\n}", "crate::model::Manifest"),
):
    at = next(number for number, line in enumerate(wording.splitlines(), 1) if named in line)
    refused(
        f"the only arrow is in: {' '.join(wording.split())}",
        {CORE + "text.rs": wording + "\n"},
        {ROOM: [f"{CORE}text.rs:{at}: {named}: text may not use model"]},
    )
passes(
    "remarks, strings, visibility and tests are no arrows",
    {
        CORE + "text.rs": """\
//! Reads [`crate::model`].
/* use crate::model; /* crate::model::load() */ crate::model::load() */
/// As `crate::model::load`.
pub(in crate::text) const TEXT: &str = "crate::model::load()";
const RAW: &[u8] = br##"crate::model::load() "# crate::model "##;
fn f<'a>(x: &'a str) -> impl Iterator<Item = &'a str> + use<'a> { g('"', "use crate::model;") }
#[cfg(test)]
use crate::model::{files, manifest};
#[cfg(all(test, not(loom)))]
fn only_for_tests<A, B>(a: [A; 2], b: B) -> crate::model::Manifest { if a { crate::model::load() } else { b } }
#[cfg(test)]
#[allow(dead_code)]
pub(crate) mod samples;
#[cfg(test)]
mod tests {
    use crate::model::load;
    fn f() { if true { crate::model::load() } }
}
""",
        CORE + "text/samples.rs": "use crate::model::load;\n",
        CORE + "text/deep/tests.rs": "use crate::model::load;\n",
    },
)

# Circles of files.
refused(
    "a circle of two files",
    {CORE + "model/manifest.rs": "use super::files;\n"},
    {
        CIRCLE: [
            f"{CORE}model/files.rs -> {CORE}model/manifest.rs -> {CORE}model/files.rs",
            f"    {CORE}model/files.rs:1: super::manifest",
            f"    {CORE}model/manifest.rs:1: super::files",
        ]
    },
)
refused(
    "a circle of four files, one of its steps between folders",
    {
        "src/bridge.rs": "mod a; mod b; mod c; mod d;\n",
        "src/bridge/a.rs": "fn f() {}\nuse super::b::inner::f;\n",
        "src/bridge/b.rs": "mod inner;\n",
        "src/bridge/b/inner.rs": "use super::Above;\nuse crate::bridge::c;\n",
        "src/bridge/c.rs": "fn f() { super::d::g() }\n",
        "src/bridge/d.rs": "use super::{Value, a::{f}};\n",
        "src/bridge/e.rs": "use super::a;\n",
    },
    {
        CIRCLE: [
            "src/bridge/a.rs -> src/bridge/b.rs -> src/bridge/c.rs -> src/bridge/d.rs -> src/bridge/a.rs",
            "    src/bridge/a.rs:2: super::b::inner::f",
            "    src/bridge/b/inner.rs:2: crate::bridge::c",
            "    src/bridge/c.rs:1: super::d::g",
            "    src/bridge/d.rs:1: super::a::f",
        ]
    },
)
refused(
    "a circle through what the door of the room re-exports",
    {CORE + "model/manifest.rs": "use super::session::Session;\n", CORE + "model/session.rs": "\nuse super::Manifest;\n"},
    {
        CIRCLE: [
            f"{CORE}model/manifest.rs -> {CORE}model/session.rs -> {CORE}model/manifest.rs",
            f"    {CORE}model/manifest.rs:1: super::session::Session",
            f"    {CORE}model/session.rs:2: super::Manifest",
        ]
    },
)
refused(
    "a circle through a glob",
    {CORE + "model/manifest.rs": "use super::*;\nfn f() { files::read() }\n"},
    {
        CIRCLE: [
            f"{CORE}model/files.rs -> {CORE}model/manifest.rs -> {CORE}model/files.rs",
            f"    {CORE}model/files.rs:1: super::manifest",
            f"    {CORE}model/manifest.rs:2: files::read",
        ]
    },
)

# Rooms and the table.
refused(
    "a room without a row, and one that it uses",
    {"src/legs.rs": "\n", "src/registry.rs": "use crate::legs::Leg;\nuse crate::bridge;\n"},
    {
        LISTED: ["scripts/layers.txt:6: src/legs exists and has no row"],
        ROOM: ["src/registry.rs:1: crate::legs::Leg: registry may not use legs"],
    },
)
refused(
    "a row without a room",
    {"scripts/layers.txt": TABLES.replace("    error ->", "    cache -> error\n    error ->")},
    {LISTED: [f"scripts/layers.txt:4: there is no room {CORE}cache"]},
)
refused(
    "a table that allows a circle",
    {"scripts/layers.txt": TABLES.replace("    error ->", "    error -> text")},
    {TABLE: ["scripts/layers.txt:4: error may use text, which does not stand below it: so a circle could be allowed"]},
)
refused(
    "a table that allows a use of no room",
    {"scripts/layers.txt": TABLES.replace("model -> error", "model -> errors error")},
    {TABLE: [f"scripts/layers.txt:3: model may use errors, which is no room of {CORE[:-1]}"]},
)
refused(
    "a table that cannot be read",
    {"scripts/layers.txt": TABLES.replace("model -> error", "model error")},
    {"scripts/layers.txt:3: neither a house nor a new room nor apart: model error": []},
)
for wording, named in (
    ("use super::{\n    models::inspect,\n};", "super::models::inspect"),
    ("\nuse crate::api::models;", "crate::api::models"),
    ("fn f() {\n    super::models::inspect()\n}", "super::models::inspect"),
):
    refused(
        f"a function of SQL that uses another: {' '.join(wording.split())}",
        {"src/api/classify.rs": wording + "\n"},
        {APART: [f"src/api/classify.rs:2: {named}"]},
    )

# Rules for single files.
refused(
    "pgrx in the core",
    {CORE + "error.rs": "// pgrx is unknown here\nuse pgrx::pg_sys;\n"},
    {"no crate names pgrx": [f"{CORE}error.rs:2: use pgrx::pg_sys;"]},
)
refused(
    "ort outside model/session",
    {CORE + "error.rs": "\nuse ort::Error;\n", "src/registry/session.rs": "fn f() { ort::init(); }\n"},
    {
        "only model/session, and graph and runtime of the engine, name ort": [
            f"{CORE}error.rs:2: use ort::Error;",
            "src/registry/session.rs:1: fn f() { ort::init(); }",
        ]
    },
)
refused(
    "SPI outside the rooms that have it",
    {"src/api/models.rs": "// Spi\nuse pgrx::spi::Spi;\n"},
    {"only registry, embedding and search/statements use SPI": ["src/api/models.rs:2: use pgrx::spi::Spi;"]},
)
refused(
    "the worker that writes files named by an api module",
    {"src/api/models.rs": "use crate::shared_memory::dump_worker;\n"},
    {"only init names the worker that writes files": ["src/api/models.rs:1: use crate::shared_memory::dump_worker;"]},
)
refused(
    "an unsafe block without its reason",
    {"src/bridge.rs": "// SAFETY: too far away.\n\n\n\n\n\n\nfn f() { unsafe {} }\n"},
    {"an unsafe block has a SAFETY comment within the six lines above it": ["src/bridge.rs:8: fn f() { unsafe {} }"]},
)
refused(
    "a file that is named after nothing",
    {"tests/helpers.py": "\n"},
    {"a file is named after what it is about, not utils, helpers or common": ["tests/helpers.py"]},
)
refused(
    "a folder of this machine",
    {"Makefile": f"all:\n\tls {HOME}/scripts\n"},
    {"no file names a folder of this machine or a host of its package registries": [f"Makefile:2:\tls {HOME}/scripts"]},
)
host = ".".join(("planted", "crates", "io"))
refused(
    "a host of a package registry",
    {"Cargo.toml": f"\nhttps://{host}/api\n"},
    {"no file names a host of the package registries or a home directory": [f"Cargo.toml:2:https://{host}/api"]},
)

# SQL: rooms and the order of installation.
refused(
    "a file of SQL that is not in the order",
    {"sql/watch/traffic.sql": "\n"},
    {ORDER: ["sql/watch/traffic.sql: it is not in the list of src/lib.rs"]},
)
refused(
    "a file of SQL that is listed twice",
    {"src/lib.rs": LIB.replace('    "../sql/grants.sql"', '    "../sql/grants.sql"\n    "../sql/schema.sql"')},
    {ORDER: ["src/lib.rs:14: sql/schema.sql is listed a second time, first in line 9"]},
)
refused(
    "a file of SQL that is listed and missing",
    {"src/lib.rs": LIB.replace('    "../sql/grants.sql"', '    "../sql/watch/drift.sql"\n    "../sql/grants.sql"')},
    {ORDER: ["src/lib.rs:13: there is no file sql/watch/drift.sql"]},
)
refused(
    "no order at all",
    {"src/lib.rs": LIB.partition("\ninstall_sql!")[0]},
    {ORDER: ["src/lib.rs: it has 0 lists of install_sql!, and one is wanted"]},
)
refused(
    "two orders",
    {"src/lib.rs": LIB + '\ninstall_sql! { "../sql/grants.sql" }\n'},
    {ORDER: ["src/lib.rs: it has 2 lists of install_sql!, and one is wanted"]},
)
refused(
    "an object that is used before it is defined, in a string of a function body",
    {
        "src/lib.rs": LIB.replace('    "../sql/models/deployment.sql"\n', "").replace(
            '"../sql/schema.sql"', '"../sql/schema.sql" "../sql/models/deployment.sql"'
        )
    },
    {LATE: ["sql/models/deployment.sql:3: harca.model is defined later, in sql/models/registry.sql"]},
)
refused(
    "a role that is used before it is created",
    {"sql/schema.sql": "CREATE SCHEMA harca;\nGRANT USAGE ON SCHEMA harca TO harca_admin;\n"},
    {
        ROOM: ["sql/schema.sql:2: harca_admin: schema may not use models"],
        LATE: ["sql/schema.sql:2: harca_admin is defined later, in sql/models/registry.sql"],
        CIRCLE: [
            "sql/models -> sql/schema.sql -> sql/models",
            "    sql/models/deployment.sql:1: harca",
            "    sql/schema.sql:2: harca_admin",
        ],
    },
)
refused(
    "an arrow of SQL that the table does not have, in the order all the same",
    {"scripts/layers.txt": TABLES.replace("watch  -> models schema", "watch  -> schema")},
    {ROOM: ["sql/watch/cache.sql:2: harca.model: watch may not use models"]},
)
refused(
    "two files of SQL that use each other",
    {"sql/models/registry.sql": REGISTRY_SQL.replace("-- harca.deploy is not used here.", "SELECT harca.deploy();")},
    {
        CIRCLE: [
            "sql/models/deployment.sql -> sql/models/registry.sql -> sql/models/deployment.sql",
            "    sql/models/deployment.sql:3: harca.model",
            "    sql/models/registry.sql:13: harca.deploy",
        ],
        LATE: ["sql/models/registry.sql:13: harca.deploy is defined later, in sql/models/deployment.sql"],
    },
)
refused(
    "a name of nothing, in the text of a comment",
    {"sql/models/registry.sql": REGISTRY_SQL.replace("harca.stat_cache", "harca.stat_caches")},
    {UNKNOWN: ["sql/models/registry.sql:12: harca.stat_caches is defined nowhere"]},
)

done()
