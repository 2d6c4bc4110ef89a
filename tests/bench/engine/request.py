"""What a single request costs beside its run.

The same text goes three ways, one right after the other: through a statement and the engine; through a statement whose backend
is busy by itself for as long as a run typically takes, of which that time is taken off; and through the engine's own model code
in a process without a server, transformer_loop, on as many threads as a run of the engine has. What the first takes longer than
the other two together is what is paid for the engine: the socket, two changes of process, the queue, and what the backend does
for it. The second is no empty statement, because who waits for milliseconds is woken later than who waits for none, whoever
works meanwhile. The loop is the same code on purpose: another way to the same run, Python's for instance, differs by more than
all of that.
"""

import statistics

from ..batch import literal
from ..clock import interleaved, medians
from ..servers import connect
from .clients import single
from .loop import TransformerLoop
from .models import scores

ENGINE, PROCESS = "a statement, through the engine", "the same run in process"
BUSY = "a statement whose backend is at work as long, net of that"
WARM_UP = 20


def measure(bench, server, models):
    """Fills in the requirements on a single request; models has the model for each of them."""
    rows = []
    for key, model in models.items():
        seconds = _seconds(bench, server, model)
        above = [1000 * (a - b - c) for a, b, c in zip(*(seconds[way] for way in (ENGINE, BUSY, PROCESS)))]
        typical = statistics.median(above)
        bench.report.measured(key, typical)
        rows += [[f"{model.title}: {way}", 1000 * value, bench.spread(seconds[way])] for way, value in medians(seconds).items()]
        rows.append([f"{model.title}: the first above the other two", typical, ""])
    bench.report.table(
        "Transformer: one request", ["", "ms", "spread"], rows,
        f"{bench.sizes.transformer_pairs:,} distinct queries, one at a time, each by all three ways in turns; medians, the last "
        "line's of the differences of each query. In process is the engine's own code for models without the engine, on as many "
        "threads; its time holds tokenizing.",
    )  # fmt: skip


def _seconds(bench, server, model):
    texts = bench.queries.take(WARM_UP + bench.sizes.transformer_pairs)
    waiting = iter(texts)
    found = {ENGINE: [], PROCESS: []}
    with connect(server, engine_timeout=0) as session:
        threads = session.value("SELECT threads FROM harca.engine_status()")
        with TransformerLoop(model.folder, threads) as loop:
            text, typical = None, statistics.median(loop.run(each)[0] for each in texts[:WARM_UP])

            def renew():
                nonlocal text
                text = next(waiting)

            def engine():
                seconds, ((answer,),) = session.time(single(text, model))
                found[ENGINE].append(scores(answer))
                return seconds

            def busy():
                seconds, ((worked,),) = session.time(f"SELECT bench.busy({literal(text)}, {typical})")
                return seconds - float(worked)

            def process():
                seconds, answer = loop.run(text)
                found[PROCESS].append(answer)
                return seconds

            seconds = interleaved(len(texts), {ENGINE: engine, BUSY: busy, PROCESS: process}, before=renew)
    for way, answers in found.items():
        model.check(bench, way, texts, answers)
    return {way: values[WARM_UP:] for way, values in seconds.items()}
