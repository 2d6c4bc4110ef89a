"""How fast a table that is there is embedded, beside a plain loop over the same texts, and what those pay who ask meanwhile."""

import json
import random
import subprocess
import time
from pathlib import Path

from harness.places import BUILD, ROOT

from ..batch import literal
from ..clock import late, medians
from ..servers import DATABASE, connect, load

BATCH = 32
ALONE, BESIDE = "queries alone", "queries while a table is filled"
TABLE, LOOP = "harca.embed_table", "a plain loop of ONNX Runtime"
FARTHEST = 1e-3
PAUSE = 0.05


def measure(bench, server, model):
    """Fills in the requirements on filling a table."""
    texts = _texts(bench.sizes.embedding_rows)
    rates = {TABLE: [], LOOP: []}
    times = {ALONE: _ask(bench, server, model, lambda done: done < bench.sizes.transformer_requests), BESIDE: []}
    for _ in range(bench.sizes.embedding_rounds):
        seconds, vectors = _loop(bench, model, texts)
        if seconds:
            rates[LOOP].append(len(texts) / seconds)
        rates[TABLE].append(len(texts) / _fill(bench, server, model, texts, vectors))
    _make(server, model, texts)
    _embed(server, model)
    times[BESIDE] = _ask(bench, server, model, lambda _: not _in_step(server))
    _end(server)
    typical = medians({way: values for way, values in rates.items() if values})
    if LOOP in typical:
        bench.report.measured("embedding_fill", typical[TABLE] / typical[LOOP])
    else:
        bench.report.unavailable(["embedding_fill"], "the plain loop has no use for this model")
    bench.report.measured("embedding_fill_beside", late(times[BESIDE]) / late(times[ALONE]))
    lengths = sorted(map(len, texts))
    bench.report.table(
        "Embedding: filling a table", ["", "rows a second", "spread", "rounds"],
        [[way, value, bench.spread(rates[way]), len(rates[way])] for way, value in typical.items()],
        f"{len(texts):,} texts of {lengths[0]} to {lengths[-1]} characters by {model.title}, the loop in batches of {BATCH} on all "
        "processors; in turns.",
    )  # fmt: skip
    bench.report.table(
        "Embedding: queries beside it", ["", "ms, median", "95 %", "queries"],
        [[way, 1000 * medians({way: values})[way], 1000 * late(values), len(values)] for way, values in times.items()],
        "One client embeds new queries, one after the other.",
    )  # fmt: skip


def _texts(count):
    """Texts of two or three memories each, no two alike."""
    lines = (ROOT / "tests/data/memories.jsonl").read_text(encoding="utf-8").splitlines()
    memories = [json.loads(line)["content"].replace("\n", " ") for line in lines]
    draw = random.Random("texts to embed")
    return [f"{number}: " + " ".join(draw.sample(memories, draw.randint(2, 3))) for number in range(count)]


def _loop(bench, model, texts):
    """Seconds of the plain loop, and the beginnings of the vectors; none for a model that is not the real one."""
    if bench.sizes.transformer == "tiny":
        return None, None
    subprocess.run([ROOT / "scripts/setup_transformer.sh"], stdin=subprocess.DEVNULL, check=True)
    command = [BUILD / "transformer-venv/bin/python", Path(__file__).with_name("loop.py"), model.folder, str(BATCH)]
    lines = "".join(f"{model.prefix}{text}\n" for text in texts)
    done = subprocess.run(command, input=lines, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    seconds, *vectors = done.stdout.splitlines()
    return float(seconds), [json.loads(vector) for vector in vectors]


def _make(server, model, texts):
    load(server, "note", f"id integer PRIMARY KEY, content text", list(enumerate(texts)))
    server.psql(
        f"ALTER TABLE bench.note ADD embedding vector({model.width}),"
        " ADD tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED;"
        "SELECT harca.register_search_target('note', 'bench.note')", DATABASE
    )  # fmt: skip


def _embed(server, model):
    server.psql(f"SELECT harca.embed_table('note', {literal(model.name)})", DATABASE)


def _fill(bench, server, model, texts, vectors):
    """Seconds from the beginning until all rows are embedded."""
    # The worker is there, and the model with it.
    _make(server, model, texts[:1])
    _embed(server, model)
    _until(server)
    _end(server)
    _make(server, model, texts)
    started = time.monotonic()
    _embed(server, model)
    _until(server)
    seconds = time.monotonic() - started
    with connect(server) as session:
        found = [json.loads(vector) for (vector,) in session.query("SELECT embedding FROM bench.note ORDER BY id")]
    bench.check("rows that are embedded", len(found), len(texts))
    far = [
        place for place, (a, b) in enumerate(zip(found, vectors or []))
        if max(abs(x - y) for x, y in zip(a, b)) > FARTHEST
    ]  # fmt: skip
    bench.check("rows whose embedding is not that of the loop", far, [])
    _end(server)
    return seconds


def _end(server):
    server.psql("SELECT harca.drop_search_target('note'); DROP TABLE bench.note", DATABASE)


def _in_step(server):
    return server.psql("SELECT state = 'in step' FROM harca.embedding_progress WHERE target = 'note'", DATABASE) == "t"


def _until(server):
    while not _in_step(server):
        time.sleep(PAUSE)


def _ask(bench, server, model, goes_on):
    """Seconds of new queries, one after the other, as long as it goes on, and of some at least: a small table is soon filled."""
    times = []
    with connect(server) as session:
        session.value(f"SELECT vector_dims(harca.embed('warm', {literal(model.name)}))")
        while not times or goes_on(len(times)):
            for text in bench.queries.take(10):
                times.append(session.time(f"SELECT vector_dims(harca.embed({literal(text)}, {literal(model.name)}))")[0])
    return times
