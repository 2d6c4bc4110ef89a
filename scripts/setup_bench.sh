#!/usr/bin/env bash
# Makes .build/bench-venv/bin/python, a Python with what the plots of the benchmark need (scripts/requirements-bench.txt).
source "$(dirname "$0")/base.sh"

need_python
requirements=$ROOT/scripts/requirements-bench.txt
venv=$BUILD/bench-venv
wanted="$(sha256 "$requirements") $(python3 -c 'import sys; print(sys.executable, sys.version)' | tr '\n' ' ')"
if stamped bench-venv "$wanted" && "$venv/bin/python" -c 'import matplotlib' 2>/dev/null; then
    exit 0
fi

say "Python packages of the benchmark's plots: installing (25 MB, about 20 s)"
mkdir -p "$BUILD"
log=$BUILD/bench-venv.log
rm -rf "$venv"
python3 -m venv "$venv" >"$log" 2>&1 || die "python3 has no venv module, which the plots need: on Debian and Ubuntu, install \
python3-venv. The benchmark goes on without plots."
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: --requirement "$requirements" \
    >>"$log" 2>&1; then
    tail -n 3 "$log" >&2
    die "pip could not install the packages of scripts/requirements-bench.txt. If the network or a proxy is in the way, check \
pip's own settings (PIP_INDEX_URL, PIP_CERT, https_proxy). The benchmark goes on without plots."
fi
stamp bench-venv "$wanted"
took
