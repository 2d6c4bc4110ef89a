#!/usr/bin/env bash
# Gives a Debian 12 machine PostgreSQL 15 with headers and pgvector, so that the tests cover the oldest supported server too.
# Usage, as root: scripts/setup_debian15.sh. Only CI and developers need it; it starts no server and touches no cluster.
source "$(dirname "$0")/base.sh"
source "$(dirname "$0")/debian.sh"

major=15
pg_config=/usr/lib/postgresql/$major/bin/pg_config
export DEBIAN_FRONTEND=noninteractive

ready() {
    [ -x "$pg_config" ] && [ -x "$("$pg_config" --bindir)/initdb" ] && [ -f "$("$pg_config" --includedir-server)/postgres.h" ] &&
        [ -f "$("$pg_config" --sharedir)/extension/vector.control" ]
}
if ready; then exit 0; fi

has apt-get || die "this is not Debian or Ubuntu: there is no apt-get to install PostgreSQL $major with. The tests run without it."
[ "$(id -u)" = 0 ] || die "only root can install Debian packages: run sudo scripts/setup_debian15.sh. The tests run without it."
need_compilers
log=$BUILD/debian15.log
mkdir -p "$BUILD"

say "Debian's PostgreSQL $major and its headers: installing (1 minute)"
quietly apt-get update -qq
# Packages may start no service: the tests run clusters of their own.
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
quietly apt-get install -qq -y --no-install-recommends "postgresql-$major" "postgresql-server-dev-$major" make
took

if ! ready; then
    say "pgvector for PostgreSQL $major: compiling Debian 13's source (1 minute)"
    # Debian 12 has no package of it.
    pgvector "$pg_config"
    took
fi
ready || die "PostgreSQL $major is still not complete after the installation (server, headers and pgvector are needed)."
