#!/usr/bin/env bash
# Checks that scripts and files of former releases are as they were released: their digests stand beside them, in SHA256SUMS.
# Usage: scripts/check_released.sh [TREE]. A tree is a checkout, this one by default; of its folders with a SHA256SUMS, every
# file must be listed there.
source "$(dirname "$0")/base.sh"
cd "${1:-$ROOT}"

bad=0
# The upgrade script to a release joins the list of sql/ when that is released.
for folder in sql sql/released tests/data/formats; do
    [ -f "$folder/SHA256SUMS" ] || continue
    (cd "$folder" && sha256sum --check --quiet --strict SHA256SUMS >&2) || bad=1
    [ "$folder" != sql ] || continue
    unlisted=$(cd "$folder" && find . -type f ! -name SHA256SUMS ! -name README.md | sed 's#^\./##' | LC_ALL=C sort |
        LC_ALL=C comm -23 - <(sed -E 's/^[0-9a-f]+ [ *]//' SHA256SUMS | LC_ALL=C sort))
    [ -z "$unlisted" ] || {
        printf '%s/SHA256SUMS does not list:\n%s\n' "$folder" "$unlisted" >&2
        bad=1
    }
done
[ "$bad" = 0 ] || die "what was released has changed. Take the change back: databases out there were made by the former text. \
What is to be different belongs into the next upgrade script; a new file is listed with sha256sum FILE >>SHA256SUMS."
note "scripts and files of former releases: as they were"
