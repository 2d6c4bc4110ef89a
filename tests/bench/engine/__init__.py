"""A transformer in the engine: beside a plain run of ONNX Runtime, beside the same run in process, and beside PL/Python.

measure() has models.py make the models, and every answer is held against what they make of a text elsewhere: clients.py asks
with one client and with several, request.py looks at what a single request costs beside its run, memory.py at what sessions
and the engine have, flood.py at requests that come while others send bulk work, plpython.py at the same model in each session.

All of it is asked by name, through `harca.classify`, which knows no cache: every query is run.
"""

import tempfile
from pathlib import Path

from harness.places import temporary_root

from ..servers import PRELOAD, connect
from . import clients, flood, memory, models, plpython, request

KEYS = ["engine_clients", "engine_above", "engine_above_tiny", "engine_memory", "engine_growth", "engine_flood"]


def measure(bench):
    """Fills in the requirements on the engine."""
    # Where the server's user reads it as well, for PL/Python.
    with tempfile.TemporaryDirectory(dir=temporary_root()) as folder:
        Path(folder).chmod(0o755)
        tiny = models.tiny(bench, folder)
        try:
            model = models.minilm(folder) if bench.sizes.transformer == "minilm" else tiny
        except OSError as reason:
            bench.report.unavailable(KEYS, f"not available: {reason}")
            return
        server = bench.servers.get("engine", **PRELOAD)
        for each in {model, tiny}:
            each.register(server)
        with connect(server) as session:
            before = _threads(session)
            clients.measure(bench, server, model)
            request.measure(bench, server, {"engine_above": model, "engine_above_tiny": tiny})
            memory.measure(bench, server, model)
            flood.measure(bench, server, model)
            plpython.measure(bench, server, model)
            if _threads(session) != before:
                bench.report.notice(
                    "The engine: other tasks wanted the processors, so that some of its runs had fewer threads and were shorter. Its "
                    "figures are those of a busy machine."
                )


def _threads(session):
    return session.query("SELECT threads, threads_changed FROM harca.engine_status()")
