#!/usr/bin/env python3
"""scripts/setup_embedder.sh makes embedding models whose vectors are those of the packages' weights, whatever the batch.

Skipped where the packages cannot be fetched. The models are kept below .build/embedders/.
"""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness.places import BUILD, ROOT  # noqa: E402
from harness.tap import done, is_, like, ok, skip  # noqa: E402

SCRIPT = ROOT / "scripts/setup_embedder.sh"
NAMES = ("multilingual-e5-small", "all-MiniLM-L6-v2")
LEAST, BATCH_LEAST = 0.998, 0.99999
# Characters that tokenizers read in their own ways.
ODD = ["", " ", "ｼﾞｮﾝ・ﾅｯｼｭ ﾊﾟﾝ", "ＰｏｓｔｇｒｅＳＱＬ　入門～", "ﬁnd ① ㌔ ½ ™", "😀👍🏽 👨‍👩‍👧", "zero\u200bwidth \ufeff", "<s> </s> ▁", "C++", "long text " * 60]


def texts():
    """500 texts, English and Japanese, short and long."""
    data = ROOT / "tests/data"
    memories = [json.loads(line) for line in (data / "memories.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [line.split("\t") for line in (data / "quality_queries.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    queries = [query for query, _, language in rows if language in ("en", "ja")]
    contents = [memory["content"] for memory in memories[::3]]
    return (ODD + contents + queries)[:500]


def made(name, folder):
    """What the script says."""
    return subprocess.run([SCRIPT, folder, name], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def figures(name, folder):
    """How the folder compares with its package."""
    lines = "".join(json.dumps(text) + "\n" for text in texts())
    command = [BUILD / "embedder-venv/bin/python", "-m", "harca_train.embedder", "measure", name, folder]
    # One thread: those of several libraries that wait for each other take longer than one on a busy machine.
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **threads, "PYTHONPATH": str(ROOT / "models/training")}
    run = subprocess.run(command, input=lines, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    return json.loads(run.stdout)


refused = made("another", BUILD / "embedders/another")
is_(refused.returncode, 1, "a model that is not known is refused")
like(refused.stderr, "multilingual-e5-small", "and those that are known are named")
like(made(NAMES[0], ROOT / "docs").stderr, "holds something else", "a folder with something else in it is left alone")

for name in NAMES:
    folder = BUILD / "embedders" / name
    run = made(name, folder)
    if "pip could not" in run.stderr or "Python 3.11 or later" in run.stderr:
        skip(name, run.stderr.strip().replace("\n", " ")[-150:])
        continue
    if not is_(run.returncode, 0, f"{name} is made"):
        print("# " + run.stderr.replace("\n", "\n# "))
        continue
    like(made(name, folder).stderr, "already", f"{name}: a second time there is nothing to do")
    found = figures(name, folder)
    is_(found["texts"], 500, f"{name}: 500 texts are compared")
    ok(found["cosine_least"] >= LEAST, f"{name}: every vector is that of the package, cosine {found['cosine_least']:.5f}")
    ok(found["batch_cosine_least"] >= BATCH_LEAST, f"{name}: alone as in a batch, cosine {found['batch_cosine_least']:.7f}")
    # The other package has no tokenizer beside the file that is in the folder.
    if found["tokens_differ"] is not None:
        is_(found["tokens_differ"], 0, f"{name}: the tokenizer counts as the package does")

done()
