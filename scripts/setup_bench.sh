#!/usr/bin/env bash
# Makes .build/bench-venv/bin/python, a Python with what the plots of the benchmark need (scripts/requirements-bench.txt).
source "$(dirname "$0")/base.sh"

packages bench matplotlib "the benchmark's plots: installing (25 MB, about 20 s)" "The benchmark goes on without plots."
