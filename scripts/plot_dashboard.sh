#!/usr/bin/env bash
# Draws docs/plots/dashboard.svg: the dashboard of monitoring/, from a Prometheus that watches a private PostgreSQL 18 under load.
# Usage: scripts/plot_dashboard.sh [PICTURE]. It takes some five minutes, and fetches Debian's Prometheus.
source "$(dirname "$0")/base.sh"

picture=${1:-$ROOT/docs/plots/dashboard.svg}
"$ROOT/scripts/setup_postgres.sh" 18 >/dev/null
"$ROOT/scripts/install.sh" "$BUILD/pg18/bin/pg_config"
"$ROOT/scripts/setup_prometheus.sh"
"$ROOT/scripts/setup_bench.sh"
say "the dashboard: four minutes of load on a private server, and a picture of it"
"$ROOT/tests/dashboard/load.py" "$BUILD/dashboard.json"
"$BUILD/bench-venv/bin/python" "$ROOT/tests/dashboard/plot.py" "$BUILD/dashboard.json" "$picture"
took
