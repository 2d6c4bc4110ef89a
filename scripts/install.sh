#!/usr/bin/env bash
# Installs the extension, its engine, its model and the ONNX Runtime library into the server that PG_CONFIG belongs to.
# Usage: [DESTDIR=…] scripts/install.sh PG_CONFIG. Compiles first if needed; files that are the same stay untouched.
# For a package, LIBDIR and EXTDIR name the folders of a server other than the one that it was compiled with.
source "$(dirname "$0")/base.sh"

[ $# = 1 ] || die "usage: scripts/install.sh PG_CONFIG"
pg_config=$(resolve "$1")
major=$(server_version "$pg_config")
stage=$("$ROOT/scripts/build.sh" "$pg_config")
"$ROOT/scripts/setup_onnxruntime.sh"

libdir=${DESTDIR:-}${LIBDIR:-$("$pg_config" --pkglibdir)}
extdir=${DESTDIR:-}${EXTDIR:-$("$pg_config" --sharedir)/extension}
own=$libdir/pg_harca

for folder in "$libdir" "$extdir"; do
    mkdir -p "$folder" 2>/dev/null || true
    [ -w "$folder" ] || die "$(id -un) may not write to $folder. The extension is compiled \
already, so run the installation alone as the owner of that server: sudo make install PG_CONFIG=$pg_config. Nothing will be \
compiled again."
done

changed=0
# put FILE TARGET MODE: by way of a rename, so that a server which has the old file mapped keeps it whole.
put() {
    if cmp -s "$1" "$2" && [ "$(stat -c %a "$2")" = "$3" ]; then return; fi
    mkdir -p "$(dirname "$2")"
    cp "$1" "$2.new.$$"
    chmod "$3" "$2.new.$$"
    mv -f "$2.new.$$" "$2"
    changed=$((changed + 1))
}

umask 022
put "$stage/pg_harca.so" "$libdir/pg_harca.so" 755
for file in "$stage"/pg_harca.control "$stage"/pg_harca--*.sql; do
    put "$file" "$extdir/$(basename "$file")" 644
done
for file in "$extdir"/pg_harca--*.sql; do
    [ -f "$stage/$(basename "$file")" ] || rm -f "$file"
done
for file in model.onnx manifest.json MODEL_CARD.md; do
    if [ -f "$ROOT/models/query_type/$file" ]; then
        put "$ROOT/models/query_type/$file" "$own/models/query_type/$file" 644
    else
        note "models/query_type/$file is missing in this checkout and was not installed"
    fi
done
put "$stage/pg_harca_engine" "$own/pg_harca_engine" 755
put "$BUILD/onnxruntime/$ORT_LIBRARY" "$own/$ORT_LIBRARY" 755

if [ "$changed" = 0 ]; then
    note "PostgreSQL $major: everything is installed already"
else
    note "PostgreSQL $major: $changed files installed below $libdir and $extdir"
    note "sessions that are open keep the version they loaded; a preloaded one needs a restart of the server"
fi
[ -f "$extdir/vector.control" ] || [ -n "${DESTDIR:-}" ] || note "pgvector is missing in this server: install it \
before CREATE EXTENSION pg_harca (Debian, Ubuntu: postgresql-$major-pgvector)"
