#!/usr/bin/env bash
# Makes .build/train-venv/bin/python, a Python with everything that models/training/pyproject.toml pins.
source "$(dirname "$0")/base.sh"

need_python
project=$ROOT/models/training/pyproject.toml
venv=$BUILD/train-venv
wanted="$(sha256 "$project") $(python3 -c 'import sys; print(sys.executable, sys.version)' | tr '\n' ' ')"
if stamped train-venv "$wanted" && "$venv/bin/python" -c 'import torch' 2>/dev/null; then
    exit 0
fi
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "training needs Python 3.11 or later; \
$(command -v python3) is $(python3 --version). Nothing else in this project does."

say "Python packages of the training: installing (PyTorch among them: 6 GB, 2 to 5 minutes)"
mkdir -p "$BUILD"
log=$BUILD/train-venv.log
rm -rf "$venv"
python3 -m venv "$venv" >"$log" 2>&1 || die "python3 has no venv module: on Debian and Ubuntu, install python3-venv."
# Editable: the package is read where it stands, so that an edit counts at once.
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$ROOT/models/training[test]" >>"$log" 2>&1; then
    tail -n 3 "$log" >&2
    die "pip could not install the packages of models/training/pyproject.toml; $log has the rest. If the network or a proxy \
is in the way, check pip's own settings (PIP_INDEX_URL, PIP_CERT, https_proxy)."
fi
stamp train-venv "$wanted"
took
