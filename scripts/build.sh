#!/usr/bin/env bash
# Compiles the extension for one server and leaves the files to install in .build/stage/pgNN-…; prints that folder.
# Usage: scripts/build.sh PG_CONFIG. Nothing is compiled when neither the sources nor the server changed.
source "$(dirname "$0")/base.sh"

[ $# = 1 ] || die "usage: scripts/build.sh PG_CONFIG"
pg_config=$(resolve "$1")
major=$(server_version "$pg_config")

# What the result depends on: the sources, the compiler, and the server's version and place.
place=$("$pg_config" --pkglibdir | sha256sum | cut -c1-8)
stage=$BUILD/stage/pg$major-$place
inputs=$(cd "$ROOT" && {
    find Cargo.toml Cargo.lock rust-toolchain.toml pg_harca.control src crates sql models/query_type scripts/install_sql.py -type f 2>/dev/null |
        LC_ALL=C sort | tr '\n' '\0' | xargs -0 sha256sum
    "$pg_config" --version --pkglibdir --sharedir --includedir-server
} | sha256sum | cut -d' ' -f1)
if stamped "stage-pg$major-$place" "$inputs" && [ -f "$stage/pg_harca.so" ] && [ -f "$stage/pg_harca_engine" ]; then
    echo "$stage"
    exit 0
fi

need_compilers
need_headers "$pg_config" "$major"
"$ROOT/scripts/setup_libclang.sh"
cargo_env "$pg_config"

say "extension for PostgreSQL $major and the engine: compiling (3 to 6 minutes the first time, less after)"
log=$BUILD/stage/pg$major-$place.log
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")
mkdir -p "$BUILD/stage"
rm -rf "$stage"
ticking
# Both at once: what they share is compiled once, and they are linked side by side. The terminal keeps what cargo says while it
# compiles; the log has it for later.
if ! (cd "$ROOT" && RUST_BACKTRACE=0 cargo build --release --package pg_harca --package harca_engine --no-default-features \
    --features "pg_harca/pg$major" 2>&1) | tee "$log" |
    { grep --line-buffered -E '^ +Compiling (pgrx|tokenizers|harca|pg_harca)|^(warning|error)' >&2 || true; }; then
    tail -n 40 "$log" >&2
    die "the extension did not compile; the last lines of ${log#"$ROOT/"} are above."
fi
mkdir "$stage"
made=${CARGO_TARGET_DIR:-$ROOT/target}/release
cp "$made/libpg_harca.so" "$stage/pg_harca.so"
cp "$made/pg_harca_engine" "$stage/"
sed "s/@CARGO_VERSION@/$version/" "$ROOT/pg_harca.control" >"$stage/pg_harca.control"
"$ROOT/scripts/install_sql.py" "$stage/pg_harca--$version.sql"
# What was released serves dumps: CREATE EXTENSION … VERSION, the restore, and ALTER EXTENSION … UPDATE.
cp "$ROOT"/sql/pg_harca--*.sql "$ROOT"/sql/released/pg_harca--*.sql "$stage/"
stamp "stage-pg$major-$place" "$inputs"
took
echo "$stage"
