#!/usr/bin/env bash
# Makes .build/typos/typos, which finds misspelt words (typos.toml).
source "$(dirname "$0")/base.sh"

if [ "$("$BUILD/typos/typos" --version 2>/dev/null)" = "typos-cli $TYPOS_VERSION" ]; then
    exit 0
fi
arch=$(machine)
case $arch in
    x86_64) digest=418fd85f7fc11dec14e5482e747f6e916af56da96207cde0cdd69540a4b389f6 ;;
    aarch64) digest=5e870133c7e9cace94183e4d638697004a1473e79abcd01b8f75e362049a9b5c ;;
esac
wheel=$(fetch_wheel typos "$TYPOS_VERSION" "manylinux2014_$arch" "$digest")
rm -rf "$BUILD/typos"
unzip_members "$wheel" "$BUILD/typos" '*/scripts/typos'
mv "$BUILD"/typos/*/scripts/typos "$BUILD/typos/"
rm -rf "$BUILD"/typos/*.data
"$BUILD/typos/typos" --version >/dev/null || die "the typos wheel holds no program that runs here."
