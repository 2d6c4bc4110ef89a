#!/usr/bin/env bash
# Unpacks Debian's PgBouncer with the libraries that a bare system lacks into .build/pgbouncer, for the test of transaction pooling.
# Usage: scripts/setup_pgbouncer.sh. Nothing is installed and no service starts.
source "$(dirname "$0")/base.sh"

folder=$BUILD/pgbouncer
log=$BUILD/pgbouncer.log

has apt-get && has dpkg-deb || die "this is not Debian or Ubuntu: there is no apt-get to fetch PgBouncer with. The tests run without it."
# Their names end in the version of the library, which differs between releases.
libraries=$(apt-cache depends pgbouncer 2>/dev/null | awk '/Depends: lib(event|cares)|Depends: libc-ares/ { print $2 }')
read -ra packages <<<"pgbouncer $(echo "$libraries" | tr '\n' ' ')"
versions=$(apt-cache policy "${packages[@]}" | awk '/Candidate:/ { print $2 }' | tr '\n' ' ')
[ "$(echo "$versions" | wc -w)" = ${#packages[@]} ] ||
    die "apt knows no package of ${packages[*]}. Run 'apt-get update' as root and try again; the tests run without them."
if stamped pgbouncer "$versions" && [ -x "$folder/usr/sbin/pgbouncer" ]; then exit 0; fi

say "PgBouncer: fetching Debian's packages (some seconds)"
rm -rf "$folder"
mkdir -p "$folder/archives"
if ! (cd "$folder/archives" && apt-get download -q "${packages[@]}") >"$log" 2>&1; then
    tail -n 3 "$log" >&2
    die "apt-get could not fetch ${packages[*]}. The tests run without them."
fi
for archive in "$folder"/archives/*.deb; do dpkg-deb -x "$archive" "$folder"; done
rm -rf "$folder/archives"
LD_LIBRARY_PATH="$folder/usr/lib/$(machine)-linux-gnu" "$folder/usr/sbin/pgbouncer" --version >/dev/null 2>>"$log" ||
    die "PgBouncer was unpacked into $folder and does not run here ($log says why). The tests run without it."
stamp pgbouncer "$versions"
took
