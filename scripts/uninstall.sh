#!/usr/bin/env bash
# Removes every file that scripts/install.sh put into the server that PG_CONFIG belongs to.
# Usage: [DESTDIR=…] scripts/uninstall.sh PG_CONFIG. Drop the extension in your databases first.
source "$(dirname "$0")/base.sh"

[ $# = 1 ] || die "usage: scripts/uninstall.sh PG_CONFIG"
pg_config=$(resolve "$1")
server_version "$pg_config" >/dev/null
libdir=${DESTDIR:-}$("$pg_config" --pkglibdir)
extdir=${DESTDIR:-}$("$pg_config" --sharedir)/extension
rm -f "$libdir/pg_harca.so" "$extdir/pg_harca.control" "$extdir"/pg_harca--*.sql || die "$(id -un) may not remove files from \
$libdir or $extdir. Run it as the owner of that server: sudo make uninstall PG_CONFIG=$pg_config"
rm -rf "$libdir/pg_harca"
note "pg_harca was removed from $libdir and $extdir"
