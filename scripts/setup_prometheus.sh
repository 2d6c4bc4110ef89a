#!/usr/bin/env bash
# Unpacks Debian's Prometheus, its exporter of PostgreSQL and the SQL exporter into .build/prometheus, for the test of monitoring/.
# Usage: scripts/setup_prometheus.sh. Nothing is installed and no service starts; programs lie in .build/prometheus/usr/bin.
source "$(dirname "$0")/base.sh"

packages=(prometheus prometheus-postgres-exporter prometheus-sql-exporter)
folder=$BUILD/prometheus

has apt-get && has dpkg-deb || die "this is not Debian or Ubuntu: there is no apt-get to fetch Prometheus with. The tests run without it."
versions=$(apt-cache policy "${packages[@]}" | awk '/Candidate:/ { print $2 }' | tr '\n' ' ')
[ "$(echo "$versions" | wc -w)" = ${#packages[@]} ] ||
    die "apt knows no package of ${packages[*]}. Run 'apt-get update' as root and try again; the tests run without them."
if stamped prometheus "$versions" && [ -x "$folder/usr/bin/promtool" ]; then exit 0; fi

say "Prometheus and two exporters: fetching Debian's packages (40 MB, some seconds)"
rm -rf "$folder"
mkdir -p "$folder/archives"
log=$BUILD/prometheus.log
if ! (cd "$folder/archives" && apt-get download -q "${packages[@]}") >"$log" 2>&1; then
    tail -n 3 "$log" >&2
    die "apt-get could not fetch ${packages[*]}. The tests run without them."
fi
for archive in "$folder"/archives/*.deb; do dpkg-deb -x "$archive" "$folder"; done
rm -rf "$folder/archives"
for program in prometheus promtool prometheus-postgres-exporter prometheus-sql-exporter; do
    "$folder/usr/bin/$program" --version >/dev/null 2>&1 || "$folder/usr/bin/$program" -version >/dev/null 2>&1 ||
        die "$program was unpacked into $folder and does not run here. The tests run without it."
done
stamp prometheus "$versions"
took
