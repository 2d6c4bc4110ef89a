#!/usr/bin/env bash
# Fuzzes what reads text or bytes from outside, under AddressSanitizer, one target after the other.
# Usage: scripts/fuzz.sh [--seconds N | --runs N] [TARGET…]; 60 seconds each and all targets by default.
#
# Begins with the small files of all formats in the tests' data. Inputs that reach new code are kept in .build/corpus/TARGET.
# Ends with 1 when a target has failed: its input then lies in crates/harca_core/fuzz/artifacts/TARGET.
source "$(dirname "$0")/base.sh"

seconds=60 runs=-1
case ${1:-} in
    --seconds) seconds=$2 && shift 2 ;;
    --runs) runs=$2 seconds=0 && shift 2 ;;
    -*) die "usage: scripts/fuzz.sh [--seconds N | --runs N] [TARGET…]" ;;
esac
"$ROOT/scripts/setup_fuzz.sh"
cd "$ROOT/crates/harca_core"
# The compiler is the pinned one, which takes the options of sanitizers that way.
export RUSTC_BOOTSTRAP=1 PATH=$BUILD/fuzz/bin:$PATH CARGO_TARGET_DIR=$BUILD/fuzz/targets
[ $# -gt 0 ] || mapfile -t all < <(cargo fuzz list)
targets=("$@" "${all[@]}")
say "fuzz targets: compiling (2 minutes the first time)"
cargo fuzz build >"$BUILD/fuzz/build.log" 2>&1 || die "the fuzz targets did not compile; $(tail -n 5 "$BUILD/fuzz/build.log")"
took
failed=()
for target in "${targets[@]}"; do
    corpus=$BUILD/corpus/$target log=$BUILD/fuzz/$target.log
    mkdir -p "$corpus"
    say "$target: $([ "$runs" = -1 ] && echo "$seconds seconds" || echo "$runs inputs")"
    if cargo fuzz run "$target" "$corpus" tests/data "$ROOT/tests/data/formats/0.1.0" -- "-max_total_time=$seconds" "-runs=$runs" \
        -rss_limit_mb=4096 -timeout=25 -print_final_stats=1 >"$log" 2>&1; then
        note "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, $(grep -oE 'cov: [0-9]+' "$log" | tail -n 1)"
    else
        failed+=("$target")
        grep -E '^(SUMMARY|thread|==[0-9]+==ERROR)' "$log" >&2 || tail -n 5 "$log" >&2
    fi
    took
done
[ ${#failed[@]} = 0 ] || die "these targets have failed: ${failed[*]}. Their inputs are in crates/harca_core/fuzz/artifacts."
