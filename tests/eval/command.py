"""Search quality of hybrid_search, on test collections.

    tests/eval/run [--data FOLDER] [--only cacm,...] [--pg-config PATH] [--out FOLDER]

Every collection of the folder (BEIR layout) is loaded into PostgreSQL, embedded by a model of this machine, and searched by
BM25 alone, by the embeddings alone, by reciprocal ranks, by every fixed weight, and as hybrid_search does by itself. Then
the same for queries with an exact term, made from the documents, and what tuning on half of the queries gains on the
other half. It writes SEARCH_QUALITY.md, search_quality.json and two plots into the folder, docs/ by default. A missed
bound is no failure.
"""

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

from harness.places import BUILD, ROOT, fail

from . import collection, exact_terms, report, tuning, ways
from .embedding import Embedder
from .search import Engine


def main():
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data/ir", help="the folder of the collections")
    parser.add_argument("--only", help="collections, comma-separated")
    parser.add_argument("--pg-config", help="the server to search with; the embedded PostgreSQL 18 by default")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="where the report goes")
    chosen = parser.parse_args()
    folders = sorted(folder for folder in chosen.data.iterdir() if (folder / "qrels.tsv").exists()) if chosen.data.is_dir() else []
    only = chosen.only.split(",") if chosen.only else [folder.name for folder in folders]
    folders = [folder for folder in folders if folder.name in only]
    if not folders or len(folders) != len(only):
        fail(f"no such collection in {chosen.data}: DATA names a folder of folders with corpus.jsonl, queries.jsonl and qrels.tsv")

    # A run that is told to end takes its server with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    pg_config = str(Path(chosen.pg_config).resolve()) if chosen.pg_config else str(BUILD / "pg18/bin/pg_config")
    subprocess.run([ROOT / "scripts/install.sh", pg_config], stdin=subprocess.DEVNULL, check=True)
    engine, embedder, outcomes = Engine(pg_config), Embedder(), {}
    try:
        version = engine.connection.value("SELECT split_part(version(), ' ', 2) || ', pgvector ' || extversion FROM pg_extension WHERE extname = 'vector'")
        for folder in folders:
            began = time.monotonic()
            natural = collection.read(folder)
            print(f"==> {natural.name}: {len(natural.documents):,} documents, {len(natural.queries)} queries", flush=True)
            documents = embedder.encode([text for _, text in natural.documents], _progress(len(natural.documents)))
            engine.load(natural.documents, documents)
            exact = exact_terms.make(natural, engine)
            embedded = [embedder.encode([text for _, text in some.queries]) for some in (natural, exact)]
            found = {kind: ways.compare(engine, some, vectors) for kind, some, vectors in zip(("natural", "exact"), (natural, exact), embedded)}
            judged = []
            for kind, some, vectors in zip(("natural", "exact"), (natural, exact), embedded):
                judged.append(tuning.judge(engine, some, vectors, found[kind]))
                if kind == "natural":
                    found["tuned"] = tuning.compare(engine, natural.name, judged[0])
            found["tuned, mixed"] = tuning.compare(engine, natural.name, tuning.mix(natural.name, *judged))
            outcomes[natural.name] = found
            figures = ", ".join(f"{name} {scores.mean():.3f}" for name, scores in found["natural"].ways.items())
            print(f"    nDCG@10: {figures}\n    done in {time.monotonic() - began:.0f} s", flush=True)
    finally:
        engine.remove()
    report.write(outcomes, {"Server": f"PostgreSQL {version}", "Took": f"{(time.monotonic() - started) / 60:.1f} minutes"}, chosen.out)
    return 0


def _progress(total):
    last = [time.monotonic()]

    def say(done):
        if time.monotonic() - last[0] > 20:
            last[0] = time.monotonic()
            print(f"    {done:,} of {total:,} documents are embedded", flush=True)

    return say
