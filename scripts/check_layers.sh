#!/usr/bin/env bash
# Checks what the compiler does not: who may use whom, SAFETY comments, file names, and that no file names a machine.
# Usage: scripts/check_layers.sh [TREE]. The layers stand in scripts/layers.txt of the tree, which is this one by default;
# another, for the tests of this check, may lack any part but must be a git repository.
source "$(dirname "$0")/base.sh"
cd "${1:-$ROOT}"
need_python

# So that refuse, at the end of a pipe, can remember.
shopt -s lastpipe
bad=0
# refuse RULE: print the offending lines that come in, if any, under the rule that they break.
refuse() {
    local found
    found=$(cat)
    [ -n "$found" ] || return 0
    printf 'layer check: %s\n%s\n' "$1" "$found" >&2
    bad=1
}

files() { git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do [ ! -f "$file" ] || echo "$file"; done; }

# code PATTERN FILE…: matching lines, comments aside.
code() {
    local pattern=$1
    shift
    [ $# -gt 0 ] || return 0
    awk -v pattern="$pattern" '{ line = $0; sub(/\/\/.*/, "", line) } line ~ pattern { print FILENAME ":" FNR ": " $0 }' "$@"
}

mapfile -t core < <(files 'crates/*.rs' 'crates/*Cargo.toml')
mapfile -t ortless < <(files 'crates/*.rs' 'src/*.rs' | grep -vE '^crates/(harca_core/src/model/session(\.rs$|/)|harca_engine/src/model/(graph|runtime|shared_run)\.rs$)' || true)
mapfile -t wordless < <(files 'crates/*.rs' 'src/*.rs' | grep -v '^crates/harca_engine/src/model/transformer\.rs$' || true)
mapfile -t spiless < <(files 'src/*.rs' | grep -vE '^src/((registry|embedding)(\.rs$|/)|search/statements\.rs$)' || true)
mapfile -t workerless < <(files 'src/*.rs' | grep -vE '^src/(shared_memory(\.rs$|/)|init\.rs$)' || true)
mapfile -t rust < <(files '*.rs')

# Prints the rooms and their arrows, or the rules that they break.
python3 "$ROOT/scripts/layers" . scripts/layers.txt || bad=1

code '(^|[^a-zA-Z0-9_])pgrx([^a-zA-Z0-9_]|$)' "${core[@]}" | refuse "no crate names pgrx"
code '(^|[^a-zA-Z0-9_:])ort::|extern crate ort|use ort;' "${ortless[@]}" | refuse "only model/session, and graph and runtime of the engine, name ort"
code '(^|[^a-zA-Z0-9_:])tokenizers::|use tokenizers;' "${wordless[@]}" | refuse "only the engine's transformer names tokenizers"
code '(^|[^a-zA-Z0-9_])(Spi([^a-zA-Z0-9_]|$)|SpiClient|SPI_[a-z])' "${spiless[@]}" | refuse "only registry, embedding and search/statements use SPI"
code '(^|[^a-zA-Z0-9_])dump_worker([^a-zA-Z0-9_]|$)' "${workerless[@]}" | refuse "only init names the worker that writes files"
files | grep -E '(^|/)(utils?|helpers?|common)(\.[a-z]+)?(/|$)' | refuse "a file is named after what it is about, not utils, helpers or common" || true
[ ${#rust[@]} = 0 ] || awk 'FNR == 1 { last = -99 } /SAFETY/ { last = FNR }
    /^[^\/]*unsafe( impl[ <]| *\{)/ && FNR - last > 6 { print FILENAME ":" FNR ": " $0 }' "${rust[@]}" |
    refuse "an unsafe block has a SAFETY comment within the six lines above it"

# Machines: the folders this checkout and its user live in, and the hosts that this machine's own package clients use.
top=/$(echo "$ROOT" | cut -d/ -f2)/
case $top in /usr/ | /var/ | /tmp/ | /opt/ | /home/ | /etc/ | /build/ | /src/ | /mnt/) top=$ROOT/ ;; esac
unwanted=$(mktemp)
trap 'rm -f "$unwanted"' EXIT
{
    echo "$top"
    [ "${HOME:-/}" = / ] || echo "$HOME/"
    {
        env | grep -iE '^(PIP|CARGO|npm)_.*(URL|INDEX|REGISTRY|LINKS|HOST)' || true
        cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/pip.conf ~/.config/pip/pip.conf ~/.pip/pip.conf ~/.npmrc \
            "${CARGO_HOME:-$HOME/.cargo}"/config* 2>/dev/null || true
    } | grep -v '^ *#' | grep -oE '://[^/ "]+' | sed -E 's#^://([^@]*@)?##; s#:[0-9]+$##' | sort -u | grep -F . || true
} >"$unwanted"
files | grep -vE '(^|/)Cargo.lock$' | tr '\n' '\0' | xargs -0 grep -InF -f "$unwanted" | cut -c1-200 |
    refuse "no file names a folder of this machine or a host of its package registries" || true
files | grep -vE '(^|/)Cargo.lock$' | tr '\n' '\0' |
    xargs -0 grep -InE '/[r]oot/|https?://[^ ]*(py[p]i\.org|python[h]osted|crates[.]io|npm[j]s|deb[.]debian)' | cut -c1-200 |
    refuse "no file names a host of the package registries or a home directory" || true

[ "$bad" = 0 ] || die "the layer checks failed; each rule above is followed by the lines that break it."
note "layers, SAFETY comments and file names: as they should be"
