#!/usr/bin/env bash
# Formatting, spelling, clippy without warnings for the crates and the glue, syntax of the scripts, the layer checks, and the links.
source "$(dirname "$0")/base.sh"
cd "$ROOT"

need_compilers
mkdir -p "$BUILD"
say "formatting, layers and links (seconds)"
cargo fmt --all --check
for script in scripts/*.sh packaging/*.sh packaging/debian/*.sh .ci/run; do bash -n "$script"; done
if has shellcheck; then shellcheck -x -P scripts scripts/*.sh packaging/*.sh packaging/debian/*.sh .ci/run; fi
for script in scripts/*.py scripts/layers/*.py packaging/*.py tests/upgrade_from_history scripts/server tests/run tests/soak tests/harness/*.py tests/checks/*.py tests/dashboard/*.py tests/t/*.py tests/bench/run tests/bench/*.py tests/bench/*/*.py tests/eval/run tests/eval/*.py $(git ls-files 'models/training/*.py'); do
    [ ! -f "$script" ] || python3 -c 'import ast, sys; ast.parse(open(sys.argv[1], encoding="utf-8").read(), sys.argv[1])' "$script"
done
# The fuzz targets are a workspace of their own, whose lock file nothing else here would renew.
cargo metadata --quiet --locked --format-version 1 --manifest-path crates/harca_core/fuzz/Cargo.toml >/dev/null
scripts/check_layers.sh
scripts/check_links.py
scripts/check_released.sh
scripts/check_upgrade.py
took

say "spelling (seconds)"
scripts/setup_typos.sh
"$BUILD/typos/typos" --format brief .
took

say "clippy on the core and the engine (1 minute the first time)"
cargo clippy --quiet --package harca_core --package harca_engine --all-targets -- -D warnings
took

environment=$(scripts/cargo_env.sh)
eval "$environment"
say "clippy on the glue for PostgreSQL 18 (1 minute the first time)"
cargo clippy --quiet --package pg_harca --no-default-features --features pg18 -- -D warnings
took
