#!/usr/bin/env bash
# Runs the engine with a real model on a machine that has an NVIDIA GPU, and prints what the processor and the GPU take for the
# same texts, through SQL. Usage: scripts/gpu_check.sh [MODEL_FOLDER]; without one, multilingual-e5-small is made.
#
# Needed: an x86-64 machine with a driver, CUDA 13 and cuDNN 9. Where there is no GPU it says so and ends well.
source "$(dirname "$0")/base.sh"

GPU_VERSION=1.28.0
wheel_digest=774d4c307317f7a0fefc33930820b7ac2a62be2c595e6a1e63e318555f7176b8

if ! has nvidia-smi || ! nvidia-smi --list-gpus >/dev/null 2>&1; then
    note "skipped: there is no NVIDIA GPU here, or no driver for it (nvidia-smi lists none)"
    exit 0
fi
[ "$(machine)" = x86_64 ] || die "ONNX Runtime for GPUs is pinned for x86-64 alone."
"$ROOT/scripts/setup_postgres.sh" 18
"$ROOT/scripts/install.sh" "$BUILD/pg18/bin/pg_config"

folder=$BUILD/onnxruntime-gpu
if ! stamped onnxruntime-gpu "$wheel_digest"; then
    say "ONNX Runtime $GPU_VERSION for GPUs: fetching its libraries (250 MB, about a minute)"
    wheel=$(fetch_wheel onnxruntime-gpu "$GPU_VERSION" manylinux_2_28_x86_64 "$wheel_digest")
    rm -rf "$folder"
    unzip_members "$wheel" "$folder" 'onnxruntime/capi/libonnxruntime*' onnxruntime/LICENSE onnxruntime/ThirdPartyNotices.txt
    stamp onnxruntime-gpu "$wheel_digest"
    took
fi
model=${1:-$BUILD/embedders/multilingual-e5-small}
[ -n "${1:-}" ] || "$ROOT/scripts/setup_embedder.sh" "$model" multilingual-e5-small
exec python3 "$ROOT/scripts/gpu_check.py" "$BUILD/pg18/bin/pg_config" "$(realpath "$model")" \
    "$folder/onnxruntime/capi/libonnxruntime.so.$GPU_VERSION"
