#!/usr/bin/env bash
# Compares the install script that scripts/install_sql.py puts together with the one that cargo-pgrx makes: they must be the same but for
# the comments between files. Usage: scripts/check_install_sql.sh [PG_CONFIG], the embedded PostgreSQL 18 by default. It compiles
# cargo-pgrx once, and the extension as cargo-pgrx does: 10 minutes, after a change of pgrx or of src/install_sql.rs.
source "$(dirname "$0")/base.sh"

[ $# -gt 0 ] || "$ROOT/scripts/setup_postgres.sh" 18
pg_config=$(resolve "${1:-$BUILD/pg18/bin/pg_config}")
major=$(server_version "$pg_config")
need_headers "$pg_config" "$major"
"$ROOT/scripts/setup_tools.sh"
"$ROOT/scripts/setup_libclang.sh"
cargo_env "$pg_config"
folder=$BUILD/install-sql
mkdir -p "$folder"
say "the install script that cargo-pgrx makes: compiling (3 to 6 minutes the first time)"
if ! (cd "$ROOT" && PATH=$BUILD/tools/bin:$PATH cargo pgrx schema --release --no-default-features --features "pg$major" \
    --pg-config "$pg_config" --out "$folder/pgrx.sql") >"$folder/log" 2>&1; then
    tail -n 20 "$folder/log" >&2
    die "cargo-pgrx could not make it; the last lines of .build/install-sql/log are above."
fi
took
"$ROOT/scripts/install_sql.py" "$folder/ours.sql"
# plain FILE: without blank lines and what stands between files: marks of pgrx, and the names of files.
plain() {
    python3 - "$1" <<'PYTHON'
import re, sys

text = open(sys.argv[1], encoding="utf-8").read()
text = re.sub(r"\A/\* <begin connected objects> \*/\n/\*.*?\*/\n/\* </end connected objects> \*/\n", "", text, flags=re.S)
text = re.sub(r"^/\* <begin connected objects> \*/\n-- src/lib\.rs:\d+\n(-- (bootstrap|finalize|requires:|  \w+)\n)*", "", text, flags=re.M)
text = re.sub(r"^(/\* </end connected objects> \*/|-- sql/[a-z0-9_/]+\.sql)\n", "", text, flags=re.M)
print(re.sub(r"\n\s*\n+", "\n", text).strip())
PYTHON
}
plain "$folder/pgrx.sql" >"$folder/pgrx.plain"
plain "$folder/ours.sql" >"$folder/ours.plain"
[ "$(wc -l <"$folder/pgrx.plain")" -gt 1000 ] || die "cargo-pgrx has made next to nothing; see .build/install-sql/pgrx.sql."
diff "$folder/pgrx.plain" "$folder/ours.plain" >&2 || die "the scripts differ, as shown above: < has what cargo-pgrx makes."
note "the install script is what cargo-pgrx makes"
