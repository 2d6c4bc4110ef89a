#!/usr/bin/env bash
# Gives a Debian 12 machine PostgreSQL 15 with headers and pgvector, so that the tests cover the oldest supported server too.
# Usage, as root: scripts/setup_debian15.sh. Only CI and developers need it; it starts no server and touches no cluster.
source "$(dirname "$0")/base.sh"

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

# run COMMAND…: quietly, but with the end of its output when it fails.
run() {
    "$@" >"$log" 2>&1 || {
        tail -n 15 "$log" >&2
        die "'$*' failed; its last lines are above."
    }
}

say "Debian's PostgreSQL $major and its headers: installing (1 minute)"
run apt-get update -qq
# Packages may start no service: the tests run clusters of their own.
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
run apt-get install -qq -y --no-install-recommends "postgresql-$major" "postgresql-server-dev-$major" make
took

if ! ready; then
    say "pgvector for PostgreSQL $major: compiling Debian 13's source (1 minute)"
    # Debian 12 has no package of it. The mirror is the one that this machine uses already.
    # shellcheck disable=SC1091
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' | awk -v c="$codename" '$1 == c { print $2; exit }')
    [ -n "$mirror" ] || die "apt's sources name no mirror for $codename, from which Debian 13's source of pgvector could come."
    apt=$BUILD/apt
    rm -rf "$apt"
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/source"
    chmod 755 "$apt" "$apt/source"
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$apt/sources.list"
    options=(-o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$apt/lists"
        -o "Dir::Cache=$apt" -o APT::Sandbox::User=root -o APT::Get::List-Cleanup=0)
    run apt-get "${options[@]}" update -qq
    (cd "$apt/source" && run apt-get "${options[@]}" source -qq --download-only pgvector)
    archive=$(find "$apt/source" -name 'pgvector_*.orig.tar.*' | head -n 1)
    tar -xf "$archive" -C "$apt/source" --strip-components=1
    # OPTFLAGS: without -march=native, so that the result runs on other processors of the kind too.
    run make -C "$apt/source" -j2 PG_CONFIG="$pg_config" OPTFLAGS="" with_llvm=no
    run make -C "$apt/source" PG_CONFIG="$pg_config" OPTFLAGS="" with_llvm=no install
    rm -rf "$apt"
    took
fi
ready || die "PostgreSQL $major is still not complete after the installation (server, headers and pgvector are needed)."
