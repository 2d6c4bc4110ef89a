"""The same model in PL/Python, which has onnxruntime and tokenizers: a copy in each session."""

import statistics

from ..batch import literal
from ..clock import interleaved
from ..first_call import private_kb
from ..servers import DATABASE, connect
from .clients import single
from .models import scores

FUNCTION = """
CREATE EXTENSION IF NOT EXISTS plpython3u;
CREATE OR REPLACE FUNCTION bench.transformer(query text) RETURNS real[] LANGUAGE plpython3u STABLE STRICT AS $python$
if "run" not in SD:
    import sys
    sys.path.insert(0, {packages!r})
    import numpy
    import onnxruntime
    import tokenizers
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = {threads}, 1
    SD["run"] = onnxruntime.InferenceSession({graph!r}, options, providers=["CPUExecutionProvider"]).run
    SD["tokenizer"] = tokenizers.Tokenizer.from_file({tokenizer!r})
    SD["tokenizer"].no_padding()
    SD["tokenizer"].enable_truncation(128)
    SD["numpy"] = numpy
numpy, encoding = SD["numpy"], SD["tokenizer"].encode(query)
fed = {{"input_ids": encoding.ids, "attention_mask": encoding.attention_mask, "token_type_ids": encoding.type_ids}}
logits = SD["run"](["logits"], {{name: numpy.array([ids], numpy.int64) for name, ids in fed.items()}})[0][0]
powers = numpy.exp(logits - logits.max())
return (powers / powers.sum()).tolist()
$python$;
"""
ENGINE, PLPYTHON = "through the engine", "PL/Python"
BACKENDS = 3


def measure(bench, server, model):
    """Adds a table; there is nothing in it of PL/Python where the server has none."""
    size = bench.sizes
    statements = {ENGINE: lambda text: single(text, model)}
    if bench.plpython:
        with connect(server) as session:
            threads = int(session.value("SELECT threads FROM harca.engine_status()"))
        files = {"graph": str(model.folder / "model.onnx"), "tokenizer": str(model.folder / "tokenizer.json")}
        server.psql(FUNCTION.format(packages=str(bench.plpython.packages(server)), threads=threads, **files), DATABASE)
        statements[PLPYTHON] = lambda text: f"SELECT bench.transformer({literal(text)})"
    memory = {way: [_added(bench, server, model, statement) for _ in range(BACKENDS)] for way, statement in statements.items()}
    texts, found, waiting = [], {way: [] for way in statements}, iter(bench.queries.take(size.transformer_pairs))
    sessions = {way: connect(server, engine_timeout=0) for way in statements}

    def ask(way):
        def run():
            seconds, ((answer,),) = sessions[way].time(statements[way](texts[-1]))
            found[way].append(scores(answer))
            return seconds

        return run

    for way, session in sessions.items():
        session.query(statements[way]("the model is loaded"))
    seconds = interleaved(
        size.transformer_pairs, {way: ask(way) for way in statements}, before=lambda: texts.append(next(waiting))
    )
    for way, answers in found.items():
        model.check(bench, way, texts, answers)
        sessions[way].close()
    rows = [
        [way, len(values) / sum(values), 1000 * statistics.median(values), statistics.median(memory[way])]
        for way, values in seconds.items()
    ]
    if not bench.plpython:
        rows.append([PLPYTHON, bench.why_no_plpython, None, None])
    bench.report.table(
        "Transformer: the same in PL/Python", ["", "queries a second", "ms, median", "MB that a session's first call adds"], rows,
        f"{model.title}, one client, {len(texts):,} distinct queries by both ways in turns, on as many threads. A backend of its own "
        "runs only models without a tokenizer (format 1), so there is no transformer in the backend to compare with.",
    )


def _added(bench, server, model, statement):
    """MB of private memory that the first call adds to a new session."""
    with connect(server, engine_timeout=0) as session:
        session.query(f"SELECT bench.empty({literal('nothing')})")
        before = private_kb(session.pid)
        (text,) = bench.queries.take(1)
        model.check(bench, "a first call", [text], [scores(session.value(statement(text)))])
        return (private_kb(session.pid) - before) / 1024
