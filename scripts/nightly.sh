#!/usr/bin/env bash
# What takes too long for every change: the licences of what is linked, the core's tests under AddressSanitizer, every fuzz target
# for ten minutes, and an hour of everything at once. Some three hours on two cores.
# Usage: scripts/nightly.sh [licences|sanitizer|fuzz|soak…]; all of them by default.
source "$(dirname "$0")/base.sh"
cd "$ROOT"

[ $# -gt 0 ] || set -- licences sanitizer fuzz soak
for step in "$@"; do
    case $step in
        licences)
            if [ "$("$BUILD/deny/bin/cargo-deny" --version 2>/dev/null)" != "cargo-deny $CARGO_DENY_VERSION" ]; then
                need_compilers
                say "cargo-deny $CARGO_DENY_VERSION: compiling, once (5 minutes on two cores)"
                cargo install --quiet cargo-deny --version "=$CARGO_DENY_VERSION" --locked --force --root "$BUILD/deny" --target-dir "$BUILD/deny/target"
                rm -rf "$BUILD/deny/target"
                took
            fi
            say "licences and sources of what is linked (deny.toml)"
            "$BUILD/deny/bin/cargo-deny" --workspace check licenses bans sources
            # The database of advisories is a repository of its own, which not every machine reaches.
            say "advisories"
            "$BUILD/deny/bin/cargo-deny" --workspace check advisories || note "see the lines above: the database may be out of reach"
            took
            ;;
        sanitizer)
            "$ROOT/scripts/setup_onnxruntime.sh"
            say "the core's tests under AddressSanitizer (5 minutes)"
            RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address HARCA_ONNXRUNTIME=$BUILD/onnxruntime/$ORT_LIBRARY \
                cargo test --quiet --package harca_core --target "$(machine)-unknown-linux-gnu" --target-dir "$BUILD/asan"
            took
            ;;
        fuzz) "$ROOT/scripts/fuzz.sh" --seconds 600 ;;
        soak)
            "$ROOT/scripts/setup_postgres.sh" 18
            "$ROOT/scripts/install.sh" "$BUILD/pg18/bin/pg_config"
            "$ROOT/tests/soak" --minutes 60
            ;;
        *) die "usage: scripts/nightly.sh [licences|sanitizer|fuzz|soak…]" ;;
    esac
done
