#!/usr/bin/env bash
# Prints the variables with which plain cargo (clippy, check, build) works on the extension.
# Usage: eval "$(scripts/cargo_env.sh [PG_CONFIG])"; the default is the embedded PostgreSQL 18.
source "$(dirname "$0")/base.sh"

[ $# -gt 0 ] || "$ROOT/scripts/setup_postgres.sh" 18
pg_config=$(resolve "${1:-$BUILD/pg18/bin/pg_config}")
major=$(server_version "$pg_config")
need_headers "$pg_config" "$major"
"$ROOT/scripts/setup_libclang.sh"
cargo_env "$pg_config"
for name in PGRX_HOME PGRX_PG_CONFIG_PATH LIBCLANG_PATH BINDGEN_EXTRA_CLANG_ARGS; do
    [ -z "${!name:-}" ] || printf 'export %s=%q\n' "$name" "${!name}"
done
