"""Runs a transformer by ONNX Runtime and tokenizers alone, one text at a time: what the engine's answers are held against.

    .build/transformer-venv/bin/python tests/bench/engine/plain.py FOLDER

reads texts, one a line, and prints the scores of each as a line of JSON. The folder has model.onnx and tokenizer.json.
"""

import json
import sys
from pathlib import Path

import numpy
import onnxruntime
import tokenizers

folder = Path(sys.argv[1])
tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.no_padding()
tokenizer.enable_truncation(128)
session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
for line in sys.stdin.buffer:
    encoding = tokenizer.encode(line.decode().rstrip("\n"))
    fed = {"input_ids": encoding.ids, "attention_mask": encoding.attention_mask, "token_type_ids": encoding.type_ids}
    (logits,) = session.run(["logits"], {name: numpy.array([ids], numpy.int64) for name, ids in fed.items()})
    powers = numpy.exp(logits[0] - logits[0].max())
    print(json.dumps((powers / powers.sum()).tolist()))
