# shellcheck shell=bash disable=SC2034
# Paths, pinned versions and messages shared by every set-up script; sourced, never run.
# Everything that is built or fetched goes under .build/, so removing that folder undoes all of it.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
BUILD=$ROOT/.build
STAMPS=$BUILD/stamps

PGRX_VERSION=0.18.1
PGSERVER_VERSION=0.6.0
CELERP_VERSION=17.10.0
ORT_VERSION=1.24.4
LIBCLANG_VERSION=18.1.1
TYPOS_VERSION=1.52.0
CARGO_FUZZ_VERSION=0.13.2
CARGO_DENY_VERSION=0.18.3
ORT_LIBRARY=libonnxruntime.so.$ORT_VERSION

export PGRX_HOME=$BUILD/pgrx

step_started=$(date +%s)

# say TEXT: announce a step, with what it costs, and start its clock.
say() {
    printf '==> %s\n' "$*" >&2
    step_started=$(date +%s)
}

# note TEXT: a line that belongs to the step above.
note() { printf '    %s\n' "$*" >&2; }

# took: close the step with the time it really took.
took() {
    still
    note "done in $(($(date +%s) - step_started)) s"
}

# ticking: a line every 20 s from here to the next took or die, for a step that may be silent for longer.
ticking() {
    # A second at a time, and nothing on standard output: whoever waits for its end would wait for the last sleep, too.
    {
        seconds=0
        while sleep 1 && kill -0 $$ 2>/dev/null; do
            seconds=$((seconds + 1))
            [ $((seconds % 20)) != 0 ] || note "at it for $(($(date +%s) - step_started)) s"
        done
    } >&2 &
    ticker=$!
}

# still: ends it.
still() {
    [ -z "${ticker:-}" ] || kill "$ticker" 2>/dev/null || true
    ticker=
}

# die TEXT: stop with one paragraph that says what is wrong and what to do about it.
die() {
    still
    printf '\npg_harca: %s\n' "$*" | fold -s -w 100 >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# stamped NAME VALUE: whether the step NAME was finished for exactly this VALUE.
stamped() { [ "$(cat "$STAMPS/$1" 2>/dev/null)" = "$2" ]; }

# stamp NAME VALUE: record it. Written last, so that an interrupted step runs again.
stamp() {
    mkdir -p "$STAMPS"
    printf '%s\n' "$2" >"$STAMPS/$1.new"
    mv "$STAMPS/$1.new" "$STAMPS/$1"
}

# machine: x86_64 or aarch64 on a glibc Linux, the platforms that the pinned wheels exist for.
machine() {
    [ "$(uname -s)" = Linux ] || die "the embedded PostgreSQL and the ONNX Runtime are fetched as Linux \
libraries, and this is $(uname -s). On another system run the demo in a Linux container or virtual machine."
    if [ -e /etc/alpine-release ] || ldd --version 2>&1 | grep -qi musl; then
        die "this Linux uses musl, and the ONNX Runtime exists for glibc 2.27 or later only (Debian, Ubuntu, \
Fedora, RHEL and their kin). Run the demo in a container of one of those."
    fi
    case $(uname -m) in
        x86_64 | amd64) echo x86_64 ;;
        aarch64 | arm64) echo aarch64 ;;
        *) die "no ONNX Runtime library is pinned for the processor type $(uname -m): only x86_64 and aarch64 are supported." ;;
    esac
}

need_python() {
    has python3 || die "python3 is missing; it fetches and unpacks the pinned wheels. Install Python 3.9 or later \
(Debian, Ubuntu: apt-get install python3 python3-venv; Fedora: dnf install python3)."
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' ||
        die "python3 is $(python3 -V 2>&1 | cut -d' ' -f2), and the set-up needs 3.9 or later. Put a newer python3 first in PATH."
}

need_compilers() {
    has cargo || die "cargo is missing; the extension is written in Rust. Install rustup (it reads rust-toolchain.toml and \
picks the right compiler by itself), open a new shell and run the same command again."
    (cd "$ROOT" && cargo --version >/dev/null 2>&1) || die "cargo is installed but does not run here: \
$(cd "$ROOT" && cargo --version 2>&1 | tail -n 1) The compiler that rust-toolchain.toml names may be missing; \
'rustup toolchain install' in this folder fetches it."
    has cc || has gcc || has clang || die "a C compiler is missing; Rust links with it. Install gcc or clang \
(Debian, Ubuntu: apt-get install gcc libc6-dev; Fedora: dnf install gcc)."
}

# need_pip: set PIP to the pip of this python3, else to the one of a private venv, which a bare python3 may lack as well.
need_pip() {
    need_python
    PIP=(python3 -m pip)
    if "${PIP[@]}" --version >/dev/null 2>&1; then return; fi
    local seed=$BUILD/pip
    PIP=("$seed/bin/python" -m pip)
    if "${PIP[@]}" --version >/dev/null 2>&1; then return; fi
    rm -rf "$seed"
    python3 -m venv "$seed" >/dev/null 2>&1 || die "python3 has neither pip nor a working venv module, and one of them is \
needed to fetch the pinned wheels. Install either (Debian, Ubuntu: apt-get install python3-venv; Fedora: dnf install python3-pip)."
}

# packages NAME MODULE WHAT [WITHOUT]: makes .build/NAME-venv/bin/python, a Python with the packages of
# scripts/requirements-NAME.txt. MODULE is one of them; WHAT says what they are, and WITHOUT what goes on without them.
# Requirements with digests name all that is installed: what a package asks for beside them is left out.
packages() {
    local name=$1 module=$2 what=$3 without=${4:+ $4} requirements venv log wanted options=()
    need_python
    requirements=$ROOT/scripts/requirements-$name.txt
    venv=$BUILD/$name-venv
    wanted="$(sha256 "$requirements") $(python3 -c 'import sys; print(sys.executable, sys.version)' | tr '\n' ' ')"
    if stamped "$name-venv" "$wanted" && "$venv/bin/python" -c "import $module" 2>/dev/null; then return; fi
    say "Python packages of $what"
    mkdir -p "$BUILD"
    log=$BUILD/$name-venv.log
    rm -rf "$venv"
    python3 -m venv "$venv" >"$log" 2>&1 || die "python3 has no venv module: on Debian and Ubuntu, install python3-venv.$without"
    if grep -q -e --hash= "$requirements"; then options=(--require-hashes --no-deps); fi
    if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: "${options[@]}" \
        --requirement "$requirements" >>"$log" 2>&1; then
        tail -n 3 "$log" >&2
        die "pip could not install the packages of scripts/requirements-$name.txt; $log has the rest. If the network or a \
proxy is in the way, check pip's own settings (PIP_INDEX_URL, PIP_CERT, https_proxy).$without"
    fi
    stamp "$name-venv" "$wanted"
    took
}

# resolve PG_CONFIG: its one absolute path, so that one server never looks like two.
resolve() {
    local path
    path=$(command -v "$1") || die "PG_CONFIG=$1 is not a program. It is the pg_config of the server to \
install into, such as the one in the server's bin folder next to postgres and initdb."
    realpath "$path"
}

# server_version PG_CONFIG: its major version, after checking that it is a supported one.
server_version() {
    local pg_config=$1 text major
    text=$("$pg_config" --version) || die "PG_CONFIG=$pg_config does not run (see the line above)."
    major=$(echo "$text" | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
    case $major in
        15 | 16 | 17 | 18) ;;
        *) die "$pg_config belongs to '$text', and pg_harca supports PostgreSQL 15, 16, 17 and 18. Pass the pg_config of one of \
those as PG_CONFIG, or leave PG_CONFIG out of 'make demo' to use the embedded PostgreSQL 18." ;;
    esac
    echo "$major"
}

need_headers() {
    local folder
    folder=$("$1" --includedir-server)
    [ -f "$folder/postgres.h" ] || die "$1 has no server headers: there is no postgres.h in $folder, and extensions are compiled \
against it. Install the development package of that server (Debian, Ubuntu: apt-get install postgresql-server-dev-$2; \
Fedora, RHEL: dnf install postgresql$2-devel)."
}

# cargo_env PG_CONFIG: set what cargo needs to build for that server. The values must stay the same between
# runs, because the bindings are generated again whenever one of them changes.
cargo_env() {
    export PGRX_PG_CONFIG_PATH=$1
    # pgrx is told the server by that variable, but builds again and again while this file is missing.
    mkdir -p "$PGRX_HOME"
    [ -f "$PGRX_HOME/config.toml" ] || printf '[configs]\n' >"$PGRX_HOME/config.toml"
    if [ -e "$BUILD/libclang/libclang.so" ]; then
        export LIBCLANG_PATH=$BUILD/libclang
        # The wheel brings the library without clang's own headers (stddef.h and friends): lend it the C compiler's.
        BINDGEN_EXTRA_CLANG_ARGS="-isystem $(cc -print-file-name=include)"
        export BINDGEN_EXTRA_CLANG_ARGS
    fi
}

# sha256 FILE: its digest alone.
sha256() { sha256sum "$1" | cut -d' ' -f1; }

# fetch_wheel NAME VERSION PLATFORM SHA256: print the path of the verified wheel in .build/wheels.
# The Python tag is fixed, so that every Python fetches the same file with the same digest.
fetch_wheel() {
    local name=$1 version=$2 platform=$3 digest=$4 folder=$BUILD/wheels file log
    mkdir -p "$folder"
    for file in "$folder"/*.whl; do
        if [ -f "$file" ] && [ "$(sha256 "$file")" = "$digest" ]; then
            echo "$file"
            return
        fi
    done
    need_pip
    local incoming=$folder/incoming.$$
    rm -rf "$incoming"
    log=$folder/$name.log
    if ! "${PIP[@]}" download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --implementation cp \
        --python-version 3.11 --platform "$platform" --dest "$incoming" "$name==$version" >"$log" 2>&1; then
        tail -n 3 "$log" >&2
        rm -rf "$incoming"
        die "pip could not fetch $name $version for $platform. If the network or a proxy is in the way, check pip's own \
settings (PIP_INDEX_URL, PIP_CERT, https_proxy). Or fetch that wheel elsewhere and put it into .build/wheels: any file there \
with the sha256 $digest is used."
    fi
    file=$(echo "$incoming"/*.whl)
    if [ "$(sha256 "$file")" != "$digest" ]; then
        local got
        got=$(sha256 "$file")
        rm -rf "$incoming"
        die "the fetched $(basename "$file") has the sha256 $got instead of the pinned $digest and was thrown away. A mirror may \
serve a rebuilt file; nothing was installed from it."
    fi
    mv "$file" "$folder/"
    rm -rf "$incoming"
    echo "$folder/$(basename "$file")"
}

# unzip_members WHEEL FOLDER PATTERN…: unpack the members that match, executable bits included.
unzip_members() {
    python3 - "$@" <<'PYTHON'
import fnmatch, os, sys, zipfile

wheel, folder, *patterns = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for member in archive.infolist():
        if not member.is_dir() and any(fnmatch.fnmatchcase(member.filename, p) for p in patterns):
            path = archive.extract(member, folder)
            os.chmod(path, 0o755 if member.external_attr >> 16 & 0o111 else 0o644)
PYTHON
}
