#!/usr/bin/env bash
# Makes a Debian package of the extension for the PostgreSQL of Debian that PG_CONFIG belongs to; prints its path.
# Usage: packaging/debian/build.sh [PG_CONFIG]. PG_CONFIG is /usr/lib/postgresql/15/bin/pg_config by default. Compiles first if
# needed. DEB_MAINTAINER, "Name <address>", is who answers for the package; SOURCE_DATE_EPOCH dates it, by default the last commit.
source "$(dirname "$0")/../../scripts/base.sh"

pg_config=$(resolve "${1:-/usr/lib/postgresql/15/bin/pg_config}")
major=$(server_version "$pg_config")
[ "$("$pg_config" --pkglibdir)" = "/usr/lib/postgresql/$major/lib" ] || die "$pg_config is not that of a PostgreSQL from Debian or \
apt.postgresql.org: its libraries would not be in /usr/lib/postgresql/$major/lib."
for program in dpkg-deb dpkg-shlibdeps strip; do
    has "$program" || die "$program is missing: install it with apt-get install dpkg-dev binutils."
done

upstream=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")
version=$upstream-1
maintainer=${DEB_MAINTAINER:-pg_harca packagers <packagers@pg-harca.invalid>}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$ROOT" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
name=postgresql-$major-pg-harca
architecture=$(dpkg --print-architecture)
packages=$BUILD/packages
root=$packages/$name
doc=$root/usr/share/doc/$name

rm -rf "$root"
mkdir -p "$root/DEBIAN" "$doc" "$root/usr/share/lintian/overrides"
DESTDIR=$root "$ROOT/scripts/install.sh" "$pg_config"
say "package $name"
own=$root/usr/lib/postgresql/$major/lib/pg_harca
strip --strip-unneeded --remove-section=.comment "$root/usr/lib/postgresql/$major/lib/pg_harca.so"
strip --remove-section=.comment "$own/pg_harca_engine"
# A library that is loaded is no program.
chmod 644 "$root/usr/lib/postgresql/$major/lib/pg_harca.so" "$own/$ORT_LIBRARY"
# A model card is for people.
mv "$own/models/query_type/MODEL_CARD.md" "$doc/"

compress() { gzip -9n >"$1"; }
cp "$ROOT/README.md" "$ROOT/SECURITY.md" "$doc/"
cp -r "$ROOT/docs" "$doc/"
rm -rf "$doc"/docs/*.json "$doc/docs/plots"
compress "$doc/changelog.gz" <"$ROOT/CHANGELOG.md"
"$ROOT/packaging/notices.py" "pg$major" "$BUILD/onnxruntime" | compress "$doc/NOTICES.gz"
compress "$doc/changelog.Debian.gz" <<CHANGELOG
pg-harca ($version) unstable; urgency=medium

  * $upstream; changelog.gz has what is new.

 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
CHANGELOG
# folded FILE: its paragraphs, from the third line on, as debian/copyright has them.
folded() { sed -E '1,2d; s/^$/./; s/^/ /' "$1"; }
awk -v license="$(folded "$ROOT/LICENSE")" -v expat="$(folded "$BUILD/onnxruntime/LICENSE")" \
    '$0 == "@LICENSE@" { print license; next } $0 == "@EXPAT@" { print expat; next } { print }' \
    "$ROOT/packaging/debian/copyright" >"$doc/copyright"
sed "s/^[^#]/$name: &/" "$ROOT/packaging/debian/lintian-overrides" >"$root/usr/share/lintian/overrides/$name"

# dpkg-shlibdeps wants a source package around it.
mkdir -p "$packages/source/debian"
printf 'Source: pg-harca\n\nPackage: %s\nArchitecture: any\n' "$name" >"$packages/source/debian/control"
shlibs=$(cd "$packages/source" && dpkg-shlibdeps -O "$root/usr/lib/postgresql/$major/lib/pg_harca.so" \
    "$own/pg_harca_engine" "$own/$ORT_LIBRARY" 2>"$packages/shlibdeps.log" | sed -n 's/^shlibs:Depends=//p')
[ -n "$shlibs" ] || die "dpkg-shlibdeps does not know what the libraries need; .build/packages/shlibdeps.log has what it says."
sed -e "s/@MAJOR@/$major/g; s/@VERSION@/$version/; s/@ARCHITECTURE@/$architecture/; s/@SHLIBS@/$shlibs/" \
    -e "s/@MAINTAINER@/$maintainer/; s/@SIZE@/$(du -sk --apparent-size "$root/usr" | cut -f1)/" \
    "$ROOT/packaging/debian/control.in" >"$root/DEBIAN/control"
find "$root" -type d -exec chmod 755 {} +
find "$root/usr/share" -type f -exec chmod 644 {} +
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
package=$packages/${name}_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$root" "$package" >&2
rm -rf "$root" "$packages/source"
took
echo "$package"
