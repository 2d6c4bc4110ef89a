#!/usr/bin/env bash
# From nothing to the main job: sets up what is missing, starts a private server and runs scripts/demo.py on it.
# Usage: [QUERIES=file.tsv] scripts/demo.sh [PG_CONFIG]; without PG_CONFIG in the embedded PostgreSQL 18.
source "$(dirname "$0")/base.sh"

started=$(date +%s)
if [ -n "${QUERIES:-}" ]; then
    [ -r "$QUERIES" ] || die "QUERIES=$QUERIES cannot be read. It is a tab-separated file whose first line names its columns: \
'query', and if you like 'label' (keyword, semantic or hybrid) and 'language'."
    QUERIES=$(realpath "$QUERIES")
    export QUERIES
fi
need_python
if [ -n "${1:-}" ]; then
    pg_config=$(resolve "$1")
    major=$(server_version "$pg_config")
    [ -f "$("$pg_config" --sharedir)/extension/vector.control" ] || die "the server of $pg_config has no pgvector, which pg_harca \
builds on. Install it for PostgreSQL $major (Debian, Ubuntu: apt-get install postgresql-$major-pgvector), or leave PG_CONFIG out: \
the embedded PostgreSQL 18 has it."
else
    need_compilers
    "$ROOT/scripts/setup_postgres.sh" 18
    pg_config=$BUILD/pg18/bin/pg_config
fi
"$ROOT/scripts/install.sh" "$pg_config"
python=python3
export MODEL=$BUILD/embedders/multilingual-e5-small
if ! "$ROOT/scripts/setup_embedder.sh" "$MODEL"; then
    note "going on with a sentence encoder beside the server, in place of one in the database"
    unset MODEL
    "$ROOT/scripts/setup_python.sh"
    python=$BUILD/venv/bin/python
fi
note "everything is in place after $(($(date +%s) - started)) s"
exec "$python" "$ROOT/scripts/demo.py" "$(realpath "$pg_config")"
