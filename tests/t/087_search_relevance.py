#!/usr/bin/env python3
"""The memories of tests/data are found by searches with known answers, with the vectors of three embedding models, in a table that
is new: no search has told anything yet. Measured are nDCG at 10 and the first row."""

import csv
import json
import math
import os
import struct
import sys
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, ok  # noqa: E402
from harness.registry import literal  # noqa: E402
from harness.server import copy  # noqa: E402

DATA = Path(__file__).resolve().parents[1] / "data"
DB = "harca_relevance"
PAGE = 10

# model → dimensions, lowest nDCG at 10, fewest right first rows. What a model gives is told apart from a worse way of fusing by
# more than what a vector of whole numbers moves; MiniLM knows no Japanese, of which half of the memories are.
MODELS = {"e5": (384, 0.80, 29), "minilm": (384, 0.73, 27), "use": (512, 0.76, 27)}
# The demo has its embeddings by this one, and what it shows has to be right.
OF_DEMO = "e5"


def read_tsv(name):
    with open(DATA / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def vectors(model, dimensions):
    """pgvector's text form of each vector, of the memories and then of the searches."""
    content = (DATA / f"memory_vectors/{model}.i8").read_bytes()
    rows = struct.iter_unpack(f"{dimensions}b", content)
    return ["[" + ",".join(map(str, row)) + "]" for row in rows]


def ndcg(ids, relevant):
    """With the relevant ones all alike."""
    gain = sum(1 / math.log2(place + 2) for place, id_ in enumerate(ids) if id_ in relevant)
    return gain / sum(1 / math.log2(place + 2) for place in range(min(PAGE, len(relevant))))


memories = [json.loads(line) for line in open(DATA / "memories.jsonl", encoding="utf-8") if line.strip()]
searches = read_tsv("search_relevance.tsv")
shown = {row["query"] for row in read_tsv("demo_searches.tsv")}

server = Server.attach()
server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE", DB)

for model, (dimensions, lowest, fewest) in MODELS.items():
    known = vectors(model, dimensions)
    is_(len(known), len(memories) + len(searches), f"{model}: a vector for each memory and each search")
    server.psql(
        f"""CREATE TABLE {model} (id integer PRIMARY KEY, content text, embedding vector({dimensions}),
                                  tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED);"""
        + copy(f"{model} (id, content, embedding)", ((m["id"], m["content"], v) for m, v in zip(memories, known)))
        + f"""CREATE INDEX ON {model} USING gin (tsv); CREATE INDEX ON {model} USING hnsw (embedding vector_cosine_ops);
              ANALYZE {model}; SELECT harca.register_search_target('{model}', '{model}')""",
        DB,
    )
    session = server.session(DB)
    found = {way: [] for way in ("auto", "keyword_only", "vector_only")}
    for search, vector in zip(searches, known[len(memories) :]):
        for way, pages in found.items():
            ids = session.psql(
                f"""SELECT h.id FROM hybrid_search('{model}', {literal(search["query"])}, '{vector}', {PAGE},
                                                   options => '{{"strategy": "{way}"}}') AS h"""
            )
            pages.append(ids.split("\n") if ids else [])
    relevant = [set(search["relevant_ids"].split(",")) for search in searches]
    mean = {way: sum(map(ndcg, pages, relevant)) / len(searches) for way, pages in found.items()}
    right = [ids[:1] != [] and ids[0] in answers for ids, answers in zip(found["auto"], relevant)]
    told = ", ".join(f"{way} {value:.3f}" for way, value in mean.items())
    print(f"# {model}: nDCG at 10: {told}; first rows right: {sum(right)} of {len(right)}")
    ok(mean["auto"] >= lowest, f"{model}: nDCG at 10 is {lowest} and more")
    ok(sum(right) >= fewest, f"{model}: the first row is right for {fewest} searches and more")
    ok(mean["auto"] > mean["keyword_only"], f"{model}: meaning adds to words")
    wrong = [search["query"] for search, is_right in zip(searches, right) if search["type"] == "keyword" and not is_right]
    is_(wrong, [], f"{model}: what is looked for by a code or a name is first")
    if model == OF_DEMO:
        wrong = [search["query"] for search, is_right in zip(searches, right) if search["query"] in shown and not is_right]
        is_((wrong, shown - {search["query"] for search in searches}), ([], set()), "all that the demo shows is right")
    session.close()

server.psql(f"DROP DATABASE {DB}")
done()
