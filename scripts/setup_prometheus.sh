#!/usr/bin/env bash
# Unpacks Debian's Prometheus, its exporter of PostgreSQL and the SQL exporter into .build/prometheus, for the test of monitoring/.
# Usage: scripts/setup_prometheus.sh. Programs lie in .build/prometheus/usr/bin.
source "$(dirname "$0")/base.sh"
source "$(dirname "$0")/debian.sh"

programs=$BUILD/prometheus/usr/bin
unpack_packages prometheus "Prometheus and two exporters" usr/bin/promtool \
    prometheus prometheus-postgres-exporter prometheus-sql-exporter || exit 0
for program in prometheus promtool prometheus-postgres-exporter prometheus-sql-exporter; do
    "$programs/$program" --version >/dev/null 2>&1 || "$programs/$program" -version >/dev/null 2>&1 ||
        die "$program was unpacked into $programs and does not run here. The tests run without it."
done
stamp prometheus "$versions"
took
