"""Interactive requests while other sessions send bulk work."""

import itertools
import statistics
import time
from contextlib import ExitStack

from ..clock import interleaved, late
from ..servers import connect
from .clients import many, single
from .models import scores
from .session_process import SessionProcess

SENDERS, TEXTS = 3, 200
# How often the requests are repeated until some bulk work is done beside them: a small model may have answered all before that.
MOST = 100
ALONE, BULK, FLOODED = "requests alone", "bulk work alone", "requests under bulk work"


class Sender(SessionProcess):
    """One that sends one array of texts after the other; answered has the texts with their scores."""

    def __init__(self, server, model, texts):
        self.answered = []
        arrays = itertools.cycle([texts[at : at + TEXTS] for at in range(0, len(texts), TEXTS)])

        def send(session, pipe):
            pipe.recv()
            answered = []
            while not pipe.poll():
                some = next(arrays)
                answered += zip(some, (scores(row[0]) for row in session.query(many(some, model))))
            pipe.recv()
            pipe.send(answered)

        super().__init__(server, send)

    def begin(self):
        """Has it send them, until end()."""
        self.pipe.send(None)

    def end(self):
        """Waits until it has the answer to the last one; raises EOFError if it has failed."""
        self.pipe.send(None)
        self.answered += self.pipe.recv()


def measure(bench, server, model):
    """Fills in the requirement on requests under a flood."""
    size = bench.sizes
    found, done = [], {BULK: [], FLOODED: []}
    with ExitStack() as opened:
        session = opened.enter_context(connect(server, engine_timeout=0))
        senders = [opened.enter_context(Sender(server, model, bench.queries.take(5 * TEXTS))) for _ in range(SENDERS)]

        def alone():
            times = []
            for text in bench.queries.take(size.transformer_requests):
                seconds, ((answer,),) = session.time(single(text, model))
                times.append(seconds)
                found.append((text, scores(answer)))
            return times

        def idle():
            time.sleep(size.seconds)
            return []

        def beside(way, work):
            """What the work gives, a list of times, while the senders are at it and until they have answers."""

            def run():
                first = before = _done(session, model)
                for sender in senders:
                    sender.begin()
                while before["runs"] == first["runs"]:
                    before = _done(session, model)
                given, after, started = [], before, time.perf_counter()
                while after["texts"] - before["texts"] == len(given) and len(given) < MOST * size.transformer_requests:
                    given += work()
                    seconds, after = time.perf_counter() - started, _done(session, model)
                for sender in senders:
                    sender.end()
                done[way].append({what: after[what] - before[what] for what in after} | {"seconds": seconds})
                done[way][-1]["texts"] -= len(given)
                return given

            return run

        variants = {ALONE: alone, BULK: beside(BULK, idle), FLOODED: beside(FLOODED, alone)}
        rounds = interleaved(size.transformer_rounds, variants)
    # One of these runs may be under way when a request comes.
    batch = sum(each["busy"] for each in done[BULK]) / sum(each["runs"] for each in done[BULK])
    model.check(bench, "requests beside bulk work", *zip(*found))
    for sender in senders:
        model.check(bench, "bulk work", *zip(*sender.answered))
    bench.check("whether bulk work goes on in every round", all(each["texts"] > 0 for way in done for each in done[way]), True)
    times = {way: [1000 * seconds for each in rounds[way] for seconds in each] for way in (ALONE, FLOODED)}
    rates = {way: sum(each["texts"] for each in some) / sum(each["seconds"] for each in some) for way, some in done.items()}
    bound = 2 * late(times[ALONE]) + 1000 * batch
    bench.report.measured("engine_flood", late(times[FLOODED]) / bound)
    rows = [
        [way, statistics.median(values), late(values), max(values), len(values), rates.get(way)] for way, values in times.items()
    ]
    bench.report.table(
        "Transformer: requests beside bulk work", ["", "ms, median", "95 %", "longest", "requests", "bulk texts a second"],
        [*rows, [BULK, None, None, None, None, rates[BULK]]],
        f"One client asks by {model.title}, one query a statement; {SENDERS} others send {TEXTS} texts a statement, one after the "
        f"other. A run of bulk work takes {1000 * batch:.1f} ms.",
    )  # fmt: skip


def _done(session, model):
    """What the engine has done for a model: runs, texts, and seconds that they took."""
    ((runs, texts, busy),) = session.query(
        "SELECT runs, texts, coalesce(tokens / nullif(tokens_per_second, 0), 0) FROM harca.stat_engine "
        f"WHERE model = '{model.name} 1' AND priority = 'bulk'"
    )
    return {"runs": int(runs), "texts": int(texts), "busy": float(busy)}
