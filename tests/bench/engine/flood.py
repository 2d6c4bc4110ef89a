"""Interactive requests while other sessions send bulk work."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from ..clock import interleaved, late
from ..servers import connect
from .clients import many, single
from .models import scores

SENDERS, TEXTS = 3, 200
ALONE, FLOODED = "alone", "under the flood"


class Sender:
    """A session that sends one array of texts after the other."""

    def __init__(self, session, model, texts):
        self._session, self._model = session, model
        self._arrays = itertools.cycle([texts[at : at + TEXTS] for at in range(0, len(texts), TEXTS)])
        self.answered = []

    def send(self):
        """Sends one and waits for its answer."""
        texts = next(self._arrays)
        self.answered.append((texts, self._session.query(many(texts, self._model))))

    def send_until(self, stop):
        """Sends them until it is to stop."""
        while not stop.is_set():
            self.send()


def measure(bench, server, model):
    """Fills in the requirement on requests under a flood."""
    size = bench.sizes
    asked = iter(bench.queries.take(2 * size.transformer_rounds * size.transformer_requests))
    found, bulk = [], []
    with ExitStack() as opened:
        session = opened.enter_context(connect(server, engine_timeout=0))
        senders = [
            Sender(opened.enter_context(connect(server, engine_timeout=0)), model, bench.queries.take(5 * TEXTS))
            for _ in range(SENDERS)
        ]
        pool = opened.enter_context(ThreadPoolExecutor(SENDERS))
        before = _done(session, model)
        list(pool.map(Sender.send, senders))
        after = _done(session, model)
        # Runs of bulk work alone: one of them may be under way when a request comes.
        batch = (after["busy"] - before["busy"]) / (after["runs"] - before["runs"])

        def alone():
            times = []
            for text in itertools.islice(asked, size.transformer_requests):
                seconds, ((answer,),) = session.time(single(text, model))
                times.append(seconds)
                found.append((text, scores(answer)))
            return times

        def flooded():
            stop = threading.Event()
            sending = [pool.submit(sender.send_until, stop) for sender in senders]
            try:
                idle = before = _done(session, model)
                while before["texts"] == idle["texts"]:
                    before = _done(session, model)
                times = alone()
                after = _done(session, model)
            finally:
                stop.set()
            for each in sending:
                each.result()
            bulk.append((after["texts"] - before["texts"] - len(times)) / sum(times))
            return times

        rounds = interleaved(size.transformer_rounds, {ALONE: alone, FLOODED: flooded})
    model.check(bench, "requests beside bulk work", *zip(*found))
    for texts, rows in itertools.chain.from_iterable(sender.answered for sender in senders):
        model.check(bench, "bulk work", texts, [scores(row[0]) for row in rows])
    bench.check("whether bulk work goes on in every round", min(bulk) > 0, True)
    times = {way: [1000 * seconds for each in rounds[way] for seconds in each] for way in rounds}
    bound = 2 * late(times[ALONE]) + 1000 * batch
    bench.report.measured("engine_flood", late(times[FLOODED]) / bound)
    bench.report.table(
        "Transformer: requests beside bulk work", ["", "ms, median", "95 %", "longest", "requests", "bulk texts a second"],
        [
            [way, sorted(values)[len(values) // 2], late(values), max(values), len(values), sum(bulk) / len(bulk) if way == FLOODED else ""]
            for way, values in times.items()
        ],
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
