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
    find Cargo.toml Cargo.lock rust-toolchain.toml pg_harca.control src crates sql models/query_type -type f 2>/dev/null |
        LC_ALL=C sort | tr '\n' '\0' | xargs -0 sha256sum
    "$pg_config" --version --pkglibdir --sharedir --includedir-server
    echo "$PGRX_VERSION"
} | sha256sum | cut -d' ' -f1)
if stamped "stage-pg$major-$place" "$inputs" && [ -f "$stage/pg_harca.so" ] && [ -f "$stage/pg_harca_engine" ]; then
    echo "$stage"
    exit 0
fi

need_compilers
need_headers "$pg_config" "$major"
"$ROOT/scripts/setup_tools.sh"
"$ROOT/scripts/setup_libclang.sh"
cargo_env "$pg_config"

say "extension for PostgreSQL $major and the engine: compiling (3 to 6 minutes the first time, less after)"
log=$BUILD/stage/pg$major-$place.log
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")
mkdir -p "$BUILD/stage"
rm -rf "$stage" "$stage.package"
# The terminal keeps what cargo says while it compiles; the log has it for later.
if ! (cd "$ROOT" && RUST_BACKTRACE=0 cargo pgrx package --no-default-features --features "pg$major" --pg-config "$pg_config" \
    --out-dir "$stage.package" 2>&1) | tee "$log" |
    { grep --line-buffered -E '^ +Compiling (pgrx|harca|pg_harca)|^(warning|error)' >&2 || true; } ||
    [ -z "$(find "$stage.package" -name "pg_harca--$version.sql" 2>/dev/null)" ]; then
    tail -n 40 "$log" >&2
    die "the extension did not compile; the last lines of ${log#"$ROOT/"} are above."
fi
mkdir "$stage"
find "$stage.package" -type f -exec mv {} "$stage/" \;
# For dumps of former releases: CREATE EXTENSION … VERSION, the restore, and ALTER EXTENSION … UPDATE.
cp "$ROOT"/sql/released/pg_harca--*.sql "$stage/"
if ! (cd "$ROOT" && RUST_BACKTRACE=0 cargo build --release --package harca_engine 2>&1) | tee -a "$log" |
    { grep --line-buffered -E '^ +Compiling (tokenizers|harca_engine)|^(warning|error)' >&2 || true; } ||
    ! cp "${CARGO_TARGET_DIR:-$ROOT/target}/release/pg_harca_engine" "$stage/"; then
    tail -n 40 "$log" >&2
    die "the engine did not compile; the last lines of ${log#"$ROOT/"} are above."
fi
rm -rf "$stage.package"
stamp "stage-pg$major-$place" "$inputs"
took
echo "$stage"
