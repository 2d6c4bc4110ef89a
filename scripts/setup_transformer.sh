#!/usr/bin/env bash
# Makes .build/minilm, the transformer that the benchmark gives the engine, and .build/transformer-venv/bin/python, a Python
# that runs it beside the engine (scripts/requirements-transformer.txt).
source "$(dirname "$0")/base.sh"

packages transformer 'onnxruntime, tokenizers' "the benchmark's transformer: installing (120 MB, about 30 s)" \
    "The benchmark goes on without the transformer."
"$ROOT/scripts/setup_minilm.sh"
