"""Search quality of hybrid_search, on test collections and with several embedding models.

    tests/eval/run [--data FOLDER] [--embeddings FOLDER] [--only cacm,...] [--models e5,minilm,use] [--pg-config PATH] [--out FOLDER]

Every collection of the folder (BEIR layout) is loaded into PostgreSQL with the vectors of each model, and searched by BM25
alone, by the embeddings alone, by reciprocal ranks, by every fixed weight, and as hybrid_search does by itself. Then the
same for queries with an exact term, made from the documents, and what tuning on half of the queries gains on the other
half. It writes SEARCH_QUALITY.md, search_quality.json and two plots into the folder, docs/ by default. A missed bound is no
failure, nor is a model whose vectors are not there: the report says so.
"""

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

from harness.places import BUILD, ROOT, fail

from . import collection, exact_terms, report, tuning, ways
from .embedding import Unavailable
from .models import KEYS, models
from .results import Results
from .search import Engine


def main():
    """The command; returns its exit code."""
    chosen = arguments()
    folders = sorted(folder for folder in chosen.data.iterdir() if (folder / "qrels.tsv").exists()) if chosen.data.is_dir() else []
    only = chosen.only.split(",") if chosen.only else [folder.name for folder in folders]
    folders = [folder for folder in folders if folder.name in only]
    if not folders or len(folders) != len(only):
        fail(f"no such collection in {chosen.data}: DATA names a folder of folders with corpus.jsonl, queries.jsonl and qrels.tsv")
    keys = chosen.models.split(",")
    if not set(keys) <= set(KEYS):
        fail(f"no such model among {chosen.models}: there are {', '.join(KEYS)}")
    results = [Results(model) for model in models(chosen.embeddings or chosen.data.resolve().parent / "embeddings") if model.key in keys]

    # A run that is told to end takes its server with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    pg_config = str(Path(chosen.pg_config).resolve()) if chosen.pg_config else str(BUILD / "pg18/bin/pg_config")
    subprocess.run([ROOT / "scripts/install.sh", pg_config], stdin=subprocess.DEVNULL, check=True)
    engine = Engine(pg_config)
    try:
        version = engine.connection.value("SELECT split_part(version(), ' ', 2) || ', pgvector ' || extversion FROM pg_extension WHERE extname = 'vector'")
        for folder in folders:
            measure_collection(engine, collection.read(folder), results)
    finally:
        engine.remove()
    measured = [each for each in results if each.natural]
    if not measured:
        fail("no model could be measured on any of these collections: " + "; ".join(map(reason, results)))
    about = {"Server": f"PostgreSQL {version}", "Took": f"{(time.monotonic() - started) / 60:.1f} minutes"}
    report.write(measured, {each.model.title: reason(each) for each in results if not each.natural}, about, chosen.out)
    return 0


def arguments():
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data/ir", help="the folder of the collections")
    parser.add_argument("--embeddings", type=Path, help="the folder of given vectors; the one beside that of the collections by default")
    parser.add_argument("--only", help="collections, comma-separated")
    parser.add_argument("--models", default=",".join(KEYS), help="models, comma-separated, of %(default)s")
    parser.add_argument("--pg-config", help="the server to search with; the embedded PostgreSQL 18 by default")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="where the report goes")
    return parser.parse_args()


def measure_collection(engine, natural, results):
    """Everything that is measured on a collection, with each model that is meant for it; results has a Results for each."""
    print(f"==> {natural.name}: {len(natural.documents):,} documents, {len(natural.queries)} queries", flush=True)
    exact = exact_terms.make(natural, engine)
    for each in results:
        if not each.model.meant_for(natural):
            continue
        began = time.monotonic()
        try:
            documents, queries = each.model.collection(natural, _progress(len(natural.documents)))
        except Unavailable as why:
            each.missing[natural.name] = str(why)
            print(f"    {each.model.title}: not available: {why}", flush=True)
            continue
        engine.load(natural.documents, documents)
        measure(engine, natural, exact, (queries, each.model.encode([text for _, text in exact.queries])), each)
        figures = ", ".join(f"{way} {scores.mean():.3f}" for way, scores in each.natural[natural.name].ways.items())
        print(f"    {each.model.title}, nDCG@10: {figures}; {time.monotonic() - began:.0f} s", flush=True)


def measure(engine, natural, exact, vectors, results):
    """Searches a collection that is loaded, for its own queries and those with an exact term, and tunes it."""
    name, kinds, judged = natural.name, (results.natural, results.exact), []
    for kind, some, embedded in zip(kinds, (natural, exact), vectors):
        kind[name] = ways.compare(engine, some, embedded)
    for kind, some, embedded in zip(kinds, (natural, exact), vectors):
        judged.append(tuning.judge(engine, some, embedded, kind[name]))
        if some is natural:
            results.tuned[name] = tuning.compare(engine, name, judged[0])
    results.mixed_tuned[name] = tuning.compare(engine, name, tuning.mix(name, *judged))
    if natural.japanese:
        results.japanese.add(name)


def reason(results):
    """Why a model was measured on no collection."""
    return next(iter(results.missing.values()), "it is not meant for the language of these collections")


def _progress(total):
    last = [time.monotonic()]

    def say(done):
        if time.monotonic() - last[0] > 20:
            last[0] = time.monotonic()
            print(f"    {done:,} of {total:,} documents are embedded", flush=True)

    return say
