"""Queries a second of one client, which asks for one at a time, of several at once, and of one statement with all of them."""

import statistics
import time
from contextlib import ExitStack

from ..batch import array, literal
from ..clock import interleaved
from ..servers import connect
from .models import scores
from .session_process import SessionProcess

CLIENTS = 4


def single(text, model):
    """The statement that classifies a text."""
    return f"SELECT scores FROM harca.classify({literal(text)}, {literal(model.name)})"


def many(texts, model):
    """The statement that classifies texts."""
    return f"SELECT scores FROM harca.classify({array(texts)}, {literal(model.name)}) ORDER BY ordinality"


def measure(bench, server, model):
    """Fills in the requirement on throughput."""
    size = bench.sizes
    texts = bench.queries.take(size.transformer_texts)
    with ExitStack() as opened:
        session = opened.enter_context(connect(server, engine_timeout=0))

        def ask(session, pipe):
            pipe.send([session.value(single(text, model)) for text in pipe.recv()])

        pipes = [opened.enter_context(SessionProcess(server, ask)).pipe for _ in range(CLIENTS)]

        def clients(count):
            shares = [texts[number::count] for number in range(count)]

            def run():
                started = time.perf_counter()
                for pipe, share in zip(pipes, shares):
                    pipe.send(share)
                found = [pipe.recv() for pipe in pipes[:count]]
                seconds = time.perf_counter() - started
                for share, answers in zip(shares, found):
                    model.check(bench, f"{count} clients", share, map(scores, answers))
                return len(texts) / seconds

            return run

        def statement():
            seconds, rows = session.time(many(texts, model))
            model.check(bench, "one statement", texts, [scores(row[0]) for row in rows])
            return len(texts) / seconds

        for text in texts[:20]:
            session.value(single(text, model))
        one, several = "one client, one query a statement", f"{CLIENTS} clients at once, one query a statement"
        variants = {one: clients(1), several: clients(CLIENTS), "one client, all queries in one statement": statement}
        rates = interleaved(size.transformer_rounds, variants)
        runs = session.value(f"SELECT round(max(texts_per_run)::numeric, 1) FROM harca.stat_engine WHERE model = '{model.name} 1'")
    typical = {name: statistics.median(values) for name, values in rates.items()}
    bench.report.measured("engine_clients", typical[several] / typical[one])
    bench.report.table(
        "Transformer: clients", ["", "queries a second", "÷", "spread", "rounds"],
        [[name, rate, rate / typical[one], bench.spread(rates[name]), len(rates[name])] for name, rate in typical.items()],
        f"{len(texts):,} distinct queries of {bench.describe(texts)}, by {model.title}. Every answer is that of a run of the "
        f"text alone. The clients work on the same cores. {runs} texts a run over all of this.",
    )  # fmt: skip
