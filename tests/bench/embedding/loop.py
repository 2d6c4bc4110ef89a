"""Embeds texts by ONNX Runtime and tokenizers alone, in batches: what filling a table is held against.

    .build/transformer-venv/bin/python tests/bench/embedding/loop.py FOLDER BATCH

The folder has manifest.json, model.onnx and tokenizer.json. Reads texts, one a line, ready with their prefix, and prints the seconds
that all of them took, then the first 8 numbers of each vector as a line of JSON: means over the tokens, of length 1.
"""

import json
import sys
import time
from pathlib import Path

import numpy
import onnxruntime
import tokenizers


def main():
    """The command."""
    folder, batch = Path(sys.argv[1]), int(sys.argv[2])
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(manifest["max_tokens"])
    tokenizer.enable_padding()
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    inputs = manifest["inputs"]
    texts = [line.rstrip("\n") for line in sys.stdin]
    found = []
    began = time.perf_counter()
    for start in range(0, len(texts), batch):
        encodings = tokenizer.encode_batch(texts[start : start + batch])
        mask = numpy.array([encoding.attention_mask for encoding in encodings], numpy.int64)
        given = {"ids": numpy.array([encoding.ids for encoding in encodings], numpy.int64), "mask": mask, "types": numpy.zeros_like(mask)}
        (states,) = session.run([manifest["output"]], {name: given[role] for role, name in inputs.items()})
        means = (states * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        found.extend(means / numpy.linalg.norm(means, axis=1, keepdims=True))
    print(time.perf_counter() - began)
    for vector in found:
        print(json.dumps(vector[:8].tolist()))


main()
