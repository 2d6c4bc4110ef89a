#!/usr/bin/env bash
# Unpacks Debian's PgBouncer with the libraries that a bare system lacks into .build/pgbouncer, for the test of transaction pooling.
# Usage: scripts/setup_pgbouncer.sh.
source "$(dirname "$0")/base.sh"
source "$(dirname "$0")/debian.sh"

folder=$BUILD/pgbouncer
# Their names end in the version of the library, which differs between releases.
libraries=$(has apt-cache && apt-cache depends pgbouncer 2>/dev/null | awk '/Depends: (libevent|libc-ares)/ { print $2 }' || true)
read -ra packages <<<"pgbouncer $(echo "$libraries" | tr '\n' ' ')"
unpack_packages pgbouncer PgBouncer usr/sbin/pgbouncer "${packages[@]}" || exit 0
LD_LIBRARY_PATH="$folder/usr/lib/$(machine)-linux-gnu" "$folder/usr/sbin/pgbouncer" --version >/dev/null 2>&1 ||
    die "PgBouncer was unpacked into $folder and does not run here. The tests run without it."
stamp pgbouncer "$versions"
took
