#!/usr/bin/env bash
# Makes the image of the extension for CloudNativePG as an OCI layout in a folder, and prints its path.
# Usage: packaging/image.sh [PG_CONFIG]. PG_CONFIG is of the PostgreSQL 18 to compile with, the embedded one by default: images are
# for 18 alone, whose extension_control_path they need. Compiles first if needed. skopeo copies it into a registry:
# skopeo copy oci:.build/packages/pg_harca-0.2.0-18 docker://…
source "$(dirname "$0")/../scripts/base.sh"

[ $# = 1 ] || "$ROOT/scripts/setup_postgres.sh" 18
pg_config=$(resolve "${1:-$BUILD/pg18/bin/pg_config}")
major=$(server_version "$pg_config")
[ "$major" = 18 ] || die "images of an extension are for PostgreSQL 18, and $pg_config is of $major."
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$ROOT" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
root=$BUILD/packages/image-root
layout=$BUILD/packages/pg_harca-$version-18
rm -rf "$root" "$layout"
mkdir -p "$root/licenses"
DESTDIR=$root LIBDIR=/lib EXTDIR=/share/extension "$ROOT/scripts/install.sh" "$pg_config"
cp "$ROOT/LICENSE" "$root/licenses/"
"$ROOT/packaging/notices.py" "pg$major" "$BUILD/onnxruntime" >"$root/licenses/NOTICES"
"$ROOT/packaging/extension_image.py" "$root" "$version" "$layout"
rm -rf "$root"
echo "$layout"
