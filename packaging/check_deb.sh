#!/usr/bin/env bash
# Makes the Debian package for the PostgreSQL of Debian 12 or 13 and tests it in a fresh one: lintian, installation, searches, a
# reinstallation, the upgrade of a database, and what a purge leaves.
# Usage, as root on Debian 12 with lintian and debootstrap: packaging/check_deb.sh [12|13]. It works in .build/debian, takes some
# minutes the first time, and touches nothing else of the machine; the base system that is fetched is kept.
source "$(dirname "$0")/../scripts/base.sh"
source "$(dirname "$0")/../scripts/debian.sh"

release=${1:-12}
case $release in
    12) major=15 suite=bookworm ;;
    13) major=17 suite=trixie ;;
    *) die "usage: packaging/check_deb.sh [12|13], the release of Debian." ;;
esac
name=postgresql-$major-pg-harca
debian=$BUILD/debian
mkdir -p "$debian"
[ "$(id -u)" = 0 ] || die "only root can make a system of its own below .build/debian: run it with sudo."
for program in debootstrap lintian; do
    has "$program" || die "$program is missing: apt-get install debootstrap lintian."
done
if [ "$release" = 12 ]; then
    pg_config=/usr/lib/postgresql/$major/bin/pg_config
    "$ROOT/scripts/setup_debian15.sh"
else
    # What is compiled here runs there, and Debian 13's own pg_config does not run here: one that knows its folders stands in.
    headers=$debian/headers$major
    if [ ! -d "$headers" ]; then
        say "Debian $release: the headers of PostgreSQL $major"
        log=$debian/headers.log
        debian_open $suite
        (cd "$BUILD/apt" && quietly "${DEBIAN_APT[@]}" download -qq "postgresql-server-dev-$major")
        quietly dpkg-deb -x "$BUILD/apt/postgresql-server-dev-$major"_*.deb "$BUILD/apt/unpacked"
        mv "$BUILD/apt/unpacked/usr/include/postgresql/$major" "$headers"
        debian_close
        took
    fi
    version=$(sed -n 's/^#define PG_VERSION "\(.*\)"$/\1/p' "$headers/server/pg_config.h")
    pg_config=$debian/pg_config$major
    cat >"$pg_config" <<PG_CONFIG
#!/bin/sh
case \$1 in
    --version) echo "PostgreSQL $version" ;;
    --includedir-server) echo "$headers/server" ;;
    --includedir | --pkgincludedir) echo "$headers" ;;
    --pkglibdir) echo /usr/lib/postgresql/$major/lib ;;
    --sharedir) echo /usr/share/postgresql/$major ;;
    --bindir) echo /usr/lib/postgresql/$major/bin ;;
    --libdir) echo "/usr/lib/$(machine)-linux-gnu" ;;
    *) echo ;;
esac
PG_CONFIG
    chmod +x "$pg_config"
fi
package=$("$ROOT/packaging/debian/build.sh" "$pg_config")

say "lintian"
lintian --fail-on error,warning --info --tag-display-limit 0 "$package" >&2
took

base=$debian/$suite.tar
if [ ! -f "$base" ]; then
    say "Debian $release: fetching a base system, once (1 minute)"
    mirror=$(debian_mirror)
    rm -rf "$debian/fresh"
    debootstrap --variant=minbase "$suite" "$debian/fresh" "$mirror" >"$debian/debootstrap.log" 2>&1 || {
        tail -n 5 "$debian/debootstrap.log" >&2
        die "debootstrap failed; .build/debian/debootstrap.log has the rest."
    }
    tar -C "$debian/fresh" -cf "$base.new" .
    mv "$base.new" "$base"
    rm -rf "$debian/fresh"
    took
fi

system=$debian/system.$$
mounted=no
finish() {
    if [ -x "$system/usr/bin/pg_ctlcluster" ]; then
        chroot "$system" pg_ctlcluster $major main stop -m immediate >/dev/null 2>&1 || true
    fi
    [ $mounted = no ] || umount "$system/proc" 2>/dev/null || true
    rm -rf --one-file-system "$system"
}
trap finish EXIT
mkdir "$system"
tar -C "$system" -xf "$base"
if mount -t proc proc "$system/proc" 2>/dev/null; then mounted=yes; fi
# Packages start no service by themselves in it.
printf '#!/bin/sh\nexit 101\n' >"$system/usr/sbin/policy-rc.d"
chmod +x "$system/usr/sbin/policy-rc.d"
cp /etc/resolv.conf "$system/etc/resolv.conf" 2>/dev/null || true

# inside COMMAND…: in the system, quietly, but with the end of its output when it fails.
log=$debian/check.log
inside() {
    chroot "$system" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@" >"$log" 2>&1 || {
        tail -n 25 "$log" >&2
        die "'$*' failed in the fresh Debian; its last lines are above."
    }
}
# sql DATABASE: what is read, as the superuser; its output goes to the log.
sql() { inside su postgres -c "psql -XqAt -v ON_ERROR_STOP=1 -d $1 -f /tmp/check.sql"; }
# tell WHAT: that this part is well.
tell() { note "$*: as it should be"; }

say "a fresh Debian $release: PostgreSQL $major and pgvector"
pgvector=postgresql-$major-pgvector
if [ "$release" = 12 ]; then
    # Debian 12 has no package of it; what scripts/setup_debian15.sh has made stands in for that of apt.postgresql.org.
    vector=$debian/vector
    rm -rf "$vector"
    mkdir -p "$vector/DEBIAN" "$vector/usr/lib/postgresql/$major/lib" "$vector/usr/share/postgresql/$major/extension"
    cp /usr/lib/postgresql/$major/lib/vector.so "$vector/usr/lib/postgresql/$major/lib/"
    cp /usr/share/postgresql/$major/extension/vector* "$vector/usr/share/postgresql/$major/extension/"
    printf 'Package: %s\nVersion: 0.8.0-0~check\nArchitecture: %s\nMaintainer: nobody <nobody@pg-harca.invalid>\nDepends: postgresql-%s\nDescription: pgvector for the check\n' \
        "$pgvector" "$(dpkg --print-architecture)" $major >"$vector/DEBIAN/control"
    pgvector=/tmp/pgvector.deb
    dpkg-deb --root-owner-group --build "$vector" "$system$pgvector" >/dev/null
fi
cp "$package" "$system/tmp/pg-harca.deb"
chmod 644 "$system"/tmp/*.deb
inside apt-get update -qq
inside apt-get install -qq -y --no-install-recommends "postgresql-$major" "$pgvector"
inside pg_ctlcluster $major main start
took

# Everything but what belongs to a cluster, to apt and to dpkg themselves.
files() {
    (cd "$system" && find . -xdev \( -path ./proc -o -path ./tmp -o -path ./dev -o -path ./run -o -path ./var/lib/postgresql \
        -o -path ./var/log -o -path ./var/cache -o -path ./var/lib/apt -o -path ./var/lib/dpkg \) -prune -o -print | LC_ALL=C sort)
}
files >"$debian/before.list"

say "the package in it"
inside apt-get install -qq -y --no-install-recommends /tmp/pg-harca.deb
tell "apt-get install ./$(basename "$package")"
cp -r "$ROOT/tests/data/tiny_bert" "$system/tmp/tiny_bert"
chmod -R a+rX "$system/tmp/tiny_bert"
cp "$ROOT/packaging/check.sql" "$system/tmp/check.sql"
inside su postgres -c "createdb fresh"
sql fresh
tell "CREATE EXTENSION, classification, searches, the engine (packaging/check.sql)"
inside su postgres -c "psql -Xqc \"ALTER SYSTEM SET shared_preload_libraries = 'pg_harca'\""
inside pg_ctlcluster $major main restart
sql fresh
tell "the same with the library preloaded"
inside su postgres -c "createdb former"
printf "CREATE EXTENSION vector; CREATE EXTENSION pg_harca VERSION '0.1.0'; ALTER EXTENSION pg_harca UPDATE;\n" >"$system/tmp/former.sql"
inside su postgres -c "psql -Xq -v ON_ERROR_STOP=1 -d former -f /tmp/former.sql"
sql former
tell "a database of 0.1.0 that is upgraded"
inside apt-get install -qq -y --reinstall /tmp/pg-harca.deb
inside pg_ctlcluster $major main restart
sql fresh
tell "the package is installed over itself, and the server started again"

inside su postgres -c "dropdb fresh"
inside su postgres -c "dropdb former"
inside su postgres -c "psql -Xqc 'ALTER SYSTEM RESET shared_preload_libraries'"
inside pg_ctlcluster $major main restart
inside apt-get purge -qq -y "$name"
files >"$debian/after.list"
if ! diff "$debian/before.list" "$debian/after.list" >&2; then die "the purge has left what is listed above, or taken it away."; fi
# Of dpkg's own lists too.
[ -z "$(find "$system/var/lib/dpkg" -name "*pg-harca*" -print)" ] || die "dpkg still has files of the package."
if chroot "$system" dpkg-query -W "$name" >/dev/null 2>&1; then die "dpkg still knows the package."; fi
inside su postgres -c "psql -XqAtc 'SELECT 1'"
tell "a purge leaves nothing, and the server runs on"
took
note "$(basename "$package"), $(($(stat -c %s "$package") / 1048576)) MB: checked"
