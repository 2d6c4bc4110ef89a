#!/usr/bin/env bash
# Builds cargo-pgrx into .build/tools, for scripts/check_install_sql.sh alone: the extension is compiled by plain cargo.
source "$(dirname "$0")/base.sh"

if [ "$("$BUILD/tools/bin/cargo-pgrx" pgrx --version 2>/dev/null)" = "cargo-pgrx $PGRX_VERSION" ]; then
    exit 0
fi

need_compilers
say "cargo-pgrx $PGRX_VERSION: compiling, once (3 to 4 minutes on two cores)"
log=$BUILD/tools/cargo-pgrx.log
mkdir -p "$BUILD/tools"
if ! (cd "$ROOT" && cargo install --quiet cargo-pgrx --version "=$PGRX_VERSION" --locked --force --root "$BUILD/tools" \
    --target-dir "$BUILD/tools/target") >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "cargo-pgrx $PGRX_VERSION could not be compiled; the last lines of .build/tools/cargo-pgrx.log are above. If they speak \
of the network, check cargo's registry and proxy settings and run the same command again: what was fetched is kept."
fi
rm -rf "$BUILD/tools/target"
took
