#!/usr/bin/env bash
# Makes sure that bindgen finds a libclang: the system's, else a pinned wheel in .build/libclang.
source "$(dirname "$0")/base.sh"

# Whether there is a libclang where clang-sys, which loads it, looks, and clang's own headers (stddef.h) beside it.
system_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && [ "$LIBCLANG_PATH" != "$BUILD/libclang" ] && return 0
    local found=no path
    ldconfig -p 2>/dev/null | grep -qE '^\s*libclang(-[0-9.]+)?\.so' && found=yes
    for path in /usr/lib/llvm*/lib /usr/lib64/llvm*/lib64 /usr/lib64/llvm /usr/lib /usr/lib64 /usr/local/lib /usr/lib/*-linux-gnu; do
        compgen -G "$path/libclang.so*" >/dev/null && found=yes
    done
    [ $found = yes ] || return 1
    for path in /usr/lib/llvm*/lib /usr/lib64/llvm*/lib64 /usr/lib /usr/lib64 /usr/local/lib; do
        compgen -G "$path/clang/*/include/stddef.h" >/dev/null && return 0
    done
    return 1
}

if [ -e "$BUILD/libclang/libclang.so" ] || system_libclang; then
    exit 0
fi

arch=$(machine)
case $arch in
    x86_64) platform=manylinux2010_x86_64 digest=c533091d8a3bbf7460a00cb6c1a71da93bffe148f172c7d03b1c31fbf8aa2a0b ;;
    aarch64) platform=manylinux2014_aarch64 digest=54dda940a4a0491a9d1532bf071ea3ef26e6dbaf03b5000ed94dd7174e8f9592 ;;
esac
say "libclang $LIBCLANG_VERSION: none on this system, fetching one (24 MB, about 5 s)"
has gcc || has clang || die "no libclang is installed, and the fetched one needs the headers of gcc, which is missing too. \
Install either (Debian, Ubuntu: apt-get install gcc, or apt-get install libclang-dev)."
wheel=$(fetch_wheel libclang "$LIBCLANG_VERSION" "$platform" "$digest")
rm -rf "$BUILD/libclang" "$BUILD/libclang.unpack"
unzip_members "$wheel" "$BUILD/libclang.unpack" '*/clang/native/libclang.so' 'clang/native/libclang.so'
mkdir "$BUILD/libclang"
find "$BUILD/libclang.unpack" -name libclang.so -exec mv {} "$BUILD/libclang/" \;
rm -rf "$BUILD/libclang.unpack"
[ -f "$BUILD/libclang/libclang.so" ] || die "the libclang wheel holds no libclang.so."
took
