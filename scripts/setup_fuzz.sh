#!/usr/bin/env bash
# Builds cargo-fuzz, which runs the targets of crates/harca_core/fuzz, into .build/fuzz.
source "$(dirname "$0")/base.sh"

if [ "$("$BUILD/fuzz/bin/cargo-fuzz" --version 2>/dev/null)" = "cargo-fuzz $CARGO_FUZZ_VERSION" ]; then
    exit 0
fi
need_compilers
has c++ || die "a C++ compiler is missing; libFuzzer is made of C++ (Debian, Ubuntu: apt-get install g++)."
say "cargo-fuzz $CARGO_FUZZ_VERSION: compiling, once (1 minute on two cores)"
cargo install --quiet cargo-fuzz --version "=$CARGO_FUZZ_VERSION" --locked --force --root "$BUILD/fuzz" --target-dir "$BUILD/fuzz/target"
rm -rf "$BUILD/fuzz/target"
took
