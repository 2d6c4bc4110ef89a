"""Times one model on the processor and on the GPU, through SQL: scripts/gpu_check.sh calls it.

    gpu_check.py PG_CONFIG MODEL_FOLDER ONNXRUNTIME_LIBRARY
"""

import json
import os
import shutil
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from harness import Server  # noqa: E402
from harness.registry import literal  # noqa: E402

# Texts of a request, and tokens of each.
SHAPES = [(1, 16), (32, 16), (128, 16), (32, 256)]
ROUNDS = 7
PROVIDERS = ("cpu", "cuda")
# More than the engine takes together on its own, so that a request is one run.
STRATEGY = "throughput"


def main():
    """The command."""
    pg_config, folder, library = sys.argv[1:]
    settings = {
        "shared_preload_libraries": "pg_harca", "pg_harca.engine_onnxruntime_path": library, "pg_harca.engine_strategy": STRATEGY,
        "pg_harca.engine_providers": ",".join(reversed(PROVIDERS)), "pg_harca.engine_timeout": "10min", "pg_harca.engine_memory": "8GB",
    }  # fmt: skip
    server = Server(f"gpu-check-{os.getpid()}", pg_config=pg_config, settings=settings)
    server.start()
    try:
        # Where the server's own user can read it.
        readable = server.folder / "model"
        shutil.copytree(folder, readable)
        server.as_server("chmod", "-R", "u+rX", str(readable), check=False)
        server.psql("CREATE EXTENSION pg_harca CASCADE")
        for provider in PROVIDERS:
            changes = json.dumps({"version": provider, "name": "checked", "providers": [provider]})
            server.psql(f"SELECT harca.import_model({literal(readable)}, {literal(changes)})", timeout=600)
        report(server)
    finally:
        server.remove()


def report(server):
    """Prints the table."""
    session = server.session()
    print(f"{session.psql('SELECT runtime FROM harca.engine_status()')}, medians of {ROUNDS} requests in milliseconds")
    print(f"{'texts × tokens':>16} {'cpu':>10} {'cuda':>10} {'largest difference':>20}")
    for texts, tokens in SHAPES:
        times, vectors = {}, {}
        for provider in PROVIDERS:
            times[provider], vectors[provider] = measured(session, f"checked {provider}", texts, tokens)
        pairs = zip(vectors["cpu"], vectors["cuda"], strict=True)
        difference = max(abs(a - b) for one, other in pairs for a, b in zip(one, other, strict=True))
        print(f"{f'{texts} × {tokens}':>16} {times['cpu']:>10.1f} {times['cuda']:>10.1f} {difference:>20.1e}")
    used = session.psql("SELECT DISTINCT model, provider, detail FROM harca.stat_engine ORDER BY 1")
    print(f"model, provider it ran on, why not another:\n{used}")
    session.close()
    if "checked cuda|cuda" not in used:
        sys.exit("the GPU was not used; the line above says why")


def measured(session, model, texts, tokens):
    """The median time of a request, and the vectors."""
    # A short word is a token with all usual tokenizers; two marks go around a text.
    words = "array_to_string(array_fill('day'::text, ARRAY[{}]), ' ')".format(tokens - 3)
    of = f"(SELECT array_agg({words} || ' ' || i % 10) FROM generate_series(1, {texts}) AS i)"
    request = f"SELECT embedding FROM harca.embed({of}, '{model}') ORDER BY ordinality"
    found, times = [], []
    for round_number in range(ROUNDS + 2):
        began = time.perf_counter()
        output = session.psql(request, timeout=600)
        if round_number >= 2:
            times.append(1000 * (time.perf_counter() - began))
        found = [json.loads(line) for line in output.splitlines()]
    return statistics.median(times), found


main()
