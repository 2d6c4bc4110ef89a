#!/usr/bin/env bash
# Compiles a PostgreSQL 15 with --enable-cassert from Debian 12's source into .build/cassert, with pgvector: a server that checks
# itself, and stops at what others let pass. Then `make test PG_CONFIG=.build/cassert/bin/pg_config` runs every test on it.
# Usage: scripts/setup_cassert.sh. Once a release; it installs nothing else.
source "$(dirname "$0")/base.sh"
source "$(dirname "$0")/debian.sh"

home=$BUILD/cassert
log=$BUILD/cassert.log
# What the server is compiled with, of which pgvector and the extension's own build know nothing.
options=(--enable-cassert --enable-debug --without-readline --without-zlib CFLAGS=-O1)
if stamped cassert "${options[*]}" && [ -x "$home/bin/postgres" ]; then exit 0; fi

need_compilers
has make || die "make is missing: install it with apt-get install make."
say "PostgreSQL 15 with assertions: compiling (5 minutes on two cores)"
mkdir -p "$BUILD"
ticking
debian_open bookworm
debian_source postgresql-15
rm -rf "$home"
(cd "$BUILD/apt/source" && quietly ./configure --quiet --prefix="$home" "${options[@]}")
quietly make -C "$BUILD/apt/source" -j2 -s install
quietly make -C "$BUILD/apt/source/contrib" -j2 -s install
pgvector "$home/bin/pg_config"
stamp cassert "${options[*]}"
took
