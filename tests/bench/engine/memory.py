"""What a session has for asking the engine, and what the engine has for its sessions."""

import re
import statistics
from contextlib import ExitStack
from pathlib import Path

from ..batch import literal
from ..first_call import private_kb
from ..servers import connect
from .clients import single
from .models import scores

SESSIONS, STATEMENTS = 8, 20


def measure(bench, server, model):
    """Fills in the requirements on memory."""
    with ExitStack() as opened:
        sessions = [opened.enter_context(connect(server, engine_timeout=0)) for _ in range(SESSIONS + 1)]
        # The first one has the model in the engine, so that no other has to bring it.
        first, *sessions = sessions
        _ask(bench, first, model)
        before = _engine(first)
        built_in, added = [], []
        for session in sessions:
            seen = [private_kb(session.pid)]
            for ask in (_built_in, _built_in, _ask):
                ask(bench, session, model)
                seen.append(private_kb(session.pid))
            built_in.append((seen[2] - seen[0]) / 1024)
            added.append((seen[3] - seen[2]) / 1024)
        # All of them together, once more.
        for session in sessions:
            _ask(bench, session, model)
        after = _engine(first)
        loaded = first.value("SELECT count(*) FROM harca.stat_engine WHERE state = 'ready' AND priority = 'bulk' AND model = "
                             f"'{model.name} 1'")  # fmt: skip
        bench.check("copies of the model in the engine", int(loaded), 1)
    bench.report.measured("engine_memory", max(added))
    bench.report.measured("engine_growth", after - before)
    bench.report.table(
        "Transformer: memory", ["MB", "median", "least", "most"],
        [
            [name, statistics.median(values), min(values), max(values)]
            for name, values in (("a session, the built-in model", built_in), ("a session, then the transformer", added))
        ]
        + [["the engine, one session", before, "", ""], [f"the engine, {SESSIONS + 1} sessions", after, "", ""]],
        f"{SESSIONS} sessions that stay open: private memory, as for the first call, that {2 * STATEMENTS} statements of the built-in "
        f"model have added to each, and then {STATEMENTS} of {model.title}. Of the engine, what is resident of its process.",
    )


def _built_in(bench, session, _):
    for text in bench.queries.take(STATEMENTS):
        session.query(f"SELECT scores FROM harca.classify({literal(text)}, 'builtin')")


def _ask(bench, session, model):
    texts = bench.queries.take(STATEMENTS)
    model.check(bench, "a session whose memory is read", texts, [scores(session.value(single(text, model))) for text in texts])


def _engine(session):
    """MB of the engine's process."""
    pid = session.value("SELECT pid FROM harca.engine_status()")
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) / 1024
