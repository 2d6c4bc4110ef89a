"""What the embedding of a query costs: a new one beside the same run in process, and one that the cache has.

As for a request of a transformer (engine/request.py), three ways follow one another for each text: a statement that embeds it, one
that calls an empty function, and the engine's own model code in a process of its own.
"""

import itertools
import statistics

from ..batch import array, literal
from ..clock import interleaved, medians
from ..engine.loop import TransformerLoop
from ..servers import connect, load

ENGINE, EMPTY, PROCESS = "a statement that embeds a new query", "a statement with an empty function", "the same run in process"
CACHED, SCAN = "embedded, all from the cache", "an empty function"
WARM_UP = 20
# So far a number of a vector may lie from that of the run in process.
FARTHEST = 1e-4


def measure(bench, server, model):
    """Fills in the requirements on the embedding of a query."""
    seconds = _one_by_one(bench, server, model)
    above = [1000 * (a - b - c) for a, b, c in zip(*(seconds[way] for way in (ENGINE, EMPTY, PROCESS)))]
    bench.report.measured("embedding_above", statistics.median(above))
    rows = [[way, 1000 * value, bench.spread(seconds[way])] for way, value in medians(seconds).items()]
    rows.append(["the first above the other two", statistics.median(above), ""])
    bench.report.table(
        "Embedding: one query", ["", "ms", "spread"], rows,
        f"{len(above):,} distinct queries by {model.title}, each by all three ways in turns; medians, the last line's of the "
        "differences of each query.",
    )  # fmt: skip
    _from_cache(bench, server, model)


def _one_by_one(bench, server, model):
    texts = bench.queries.take(WARM_UP + bench.sizes.transformer_pairs)
    waiting, vectors = iter(texts), []
    with connect(server) as session:
        session.value(f"SELECT vector_dims(harca.embed('warm', {literal(model.name)}))")
        threads = session.value("SELECT threads FROM harca.engine_status()")
        with TransformerLoop(model.folder, threads) as loop:
            text = None

            def renew():
                nonlocal text
                text = next(waiting)

            ways = {
                ENGINE: lambda: session.time(f"SELECT vector_dims(harca.embed({literal(text)}, {literal(model.name)}))")[0],
                EMPTY: lambda: session.time(f"SELECT bench.empty({literal(text)})")[0],
                PROCESS: lambda: vectors.append(loop.run(text)) or vectors[-1][0],
            }
            seconds = interleaved(len(texts), ways, before=renew)
        # From the cache by now.
        found = session.query(f"SELECT harca.embed(t, {literal(model.name)}) FROM unnest({array(texts)}) WITH ORDINALITY AS u (t, n) ORDER BY n")
    far = [
        text for text, (vector,), (_, alone) in zip(texts, found, vectors)
        if max(map(abs, (a - b for a, b in itertools.zip_longest(_numbers(vector), alone, fillvalue=9)))) > FARTHEST
    ]  # fmt: skip
    bench.check("queries whose embedding is not that of the run in process", far, [])
    return {way: values[WARM_UP:] for way, values in seconds.items()}


def _from_cache(bench, server, model):
    texts = bench.queries.take(bench.sizes.embedding_cached)
    load(server, "asked", "q text", [[text] for text in texts])
    with connect(server) as session:
        embed = f"SELECT count(vector_dims(harca.embed(q, {literal(model.name)}))) FROM bench.asked"
        session.query(embed)
        hits = int(session.value("SELECT hits FROM harca.stat_cache WHERE level = 'embeddings'"))
        ways = {CACHED: lambda: session.time(embed)[0], SCAN: lambda: session.time("SELECT count(bench.empty(q)) FROM bench.asked")[0]}
        seconds = interleaved(bench.sizes.rounds, ways)
        hits = int(session.value("SELECT hits FROM harca.stat_cache WHERE level = 'embeddings'")) - hits
    bench.check("embeddings that the cache had", hits, bench.sizes.rounds * len(texts))
    typical = medians(seconds)
    bench.report.measured("embedding_cached", 1e6 * (typical[CACHED] - typical[SCAN]) / len(texts))
    bench.report.timings("Embedding: queries that the cache has", seconds, dict.fromkeys(seconds, len(texts)))


def _numbers(vector):
    return [float(number) for number in vector.strip("[]").split(",")]
