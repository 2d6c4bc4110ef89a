#!/usr/bin/env bash
# Fetches the ONNX Runtime library that the extension loads into .build/onnxruntime.
# The version is pinned on purpose: 1.22 and older refuse the session options that ort sends, 1.29 and later start a thread.
source "$(dirname "$0")/base.sh"

arch=$(machine)
case $arch in
    x86_64)
        wheel_digest=e54ad52e61d2d4618dcff8fa1480ac66b24ee2eab73331322db1049f11ccf330
        library_digest=2d518e11c7767f9fdc4413bdbeb45acf30db504ff76a82fc19d9238a3f9f6c24
        ;;
    aarch64)
        wheel_digest=046ff290045a387676941a02a8ae5c3ebec6b4f551ae228711968c4a69d8f6b7
        library_digest=f373ae5fd4d878ed17ebea26e5480bd3d0a15e3bd6bc94b878e6c1b73998d22a
        ;;
esac

folder=$BUILD/onnxruntime
library=$folder/$ORT_LIBRARY
if stamped onnxruntime "$library_digest" && [ -f "$library" ]; then
    exit 0
fi

say "ONNX Runtime $ORT_VERSION: fetching its library (17 MB, about 5 s)"
need_python
wheel=$(fetch_wheel onnxruntime "$ORT_VERSION" "manylinux_2_28_$arch" "$wheel_digest")
unzip_members "$wheel" "$folder/unpack" "onnxruntime/capi/$ORT_LIBRARY" onnxruntime/LICENSE onnxruntime/ThirdPartyNotices.txt
got=$(sha256 "$folder/unpack/onnxruntime/capi/$ORT_LIBRARY")
[ "$got" = "$library_digest" ] || die "$ORT_LIBRARY has the sha256 $got instead of the pinned $library_digest; it was not installed."
mv "$folder/unpack/onnxruntime/capi/$ORT_LIBRARY" "$library"
mv "$folder/unpack/onnxruntime/LICENSE" "$folder/unpack/onnxruntime/ThirdPartyNotices.txt" "$folder/"
rm -rf "$folder/unpack"
chmod 755 "$library"
stamp onnxruntime "$library_digest"
took
