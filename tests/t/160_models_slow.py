#!/usr/bin/env python3
"""A model that breaks the latency bound is given up, the previous one answers, and it comes back by itself when it is fast again."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, ok  # noqa: E402
from harness.onnx import affine, slow_beyond  # noqa: E402
from harness.registry import registration, with_graph  # noqa: E402

DB = "harca_slow"
WINDOW, RETRY = 1, 2  # seconds
# Seconds that a test waits for what has to come, on a machine that has much else to do.
PATIENCE = 120
SETTINGS = {
    "pg_harca.max_latency": "3ms",
    "pg_harca.latency_window": f"{WINDOW}s",
    "pg_harca.retry_interval": f"{RETRY}s",
}
HEALTH = "SELECT string_agg(component || ': ' || state, ', ' ORDER BY component) FROM harca.health() WHERE component IN ('active model', 'classification')"
numbers = iter(range(10**9))


def ask(session, long):
    """Who answers a query that nobody has asked before; the model takes some 9 ms for a long one."""
    query = f"zebra {next(numbers)} " + ("and then " * 60 if long else "")
    return session.psql(f"SELECT model FROM classify_query('{query}')").splitlines()[-1]


def ask_until(session, long, model, seconds):
    """Asks until this model answers, for so many seconds at most; whether it has."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if ask(session, long) == model:
            return True
        time.sleep(0.01)
    return False


def walk(kind, settings, shared):
    server = Server(f"test-slow-{os.getpid()}", settings={**SETTINGS, **settings})
    server.start()
    server.psql(f"CREATE DATABASE {DB}")
    server.psql("CREATE EXTENSION pg_harca CASCADE", DB)
    session, other = server.session(DB), server.session(DB)
    builtin = ask(session, False)
    server.psql(registration(with_graph(slow_beyond(200), "slow")), DB)
    long = "SELECT ''zebra '' || i || repeat('' and then'', 60), ''first'' FROM generate_series(1, 60) AS i"
    is_(server.psql(f"SELECT model, p95_us > 3000 FROM harca.evaluate_model('slow', '{long}') WHERE model = 'slow 1'", DB), "slow 1|t", f"{kind}: an evaluation shows that a model is slow")
    is_(server.sqlstate("SELECT harca.activate_model('slow 1')", DB), "55000", f"{kind}: and the gate refuses it")
    server.psql("SELECT harca.activate_model('slow 1', force => true)", DB)
    is_([ask(session, False) for _ in range(30)], ["slow 1"] * 30, f"{kind}: a fast model answers")
    time.sleep(WINDOW)
    is_([ask(session, True) for _ in range(3)], ["slow 1"] * 3, f"{kind}: and goes on when it becomes slow")
    # How many windows that takes is for the tests of the breaker in the core: a busy machine asks too seldom for a window to be judged.
    ok(ask_until(session, True, builtin, PATIENCE), f"{kind}: until the previous model answers")
    is_(session.psql(HEALTH), "active model: too slow, classification: fallback", f"{kind}: health() says so")
    if shared:
        is_(ask(other, False), builtin, f"{kind}: other sessions ask the previous model at once")
        is_(other.psql(HEALTH), "active model: too slow, classification: fallback", f"{kind}: and say so")
    is_(server.log().count("model is too slow"), 1, f"{kind}: one warning in the log of the server")
    # Slow still: it is tried again, and given up after two queries.
    time.sleep(RETRY)
    answers = [ask(session, True) for _ in range(12)]
    ok(1 <= answers.count("slow 1") <= 3 and answers[-1] == builtin, f"{kind}: on probation it answers two slow queries ({answers.count('slow 1')})")
    # The cause is gone.
    ok(ask_until(session, False, "slow 1", PATIENCE), f"{kind}: it is asked again after the interval")
    is_([ask(session, False) for _ in range(25)], ["slow 1"] * 25, f"{kind}: and stays")
    is_(session.psql(HEALTH), "active model: ok, classification: ok", f"{kind}: then all is well")
    is_(ask(other, False), "slow 1", f"{kind}: in other sessions, too")
    counts = session.psql("SELECT events FROM harca.health() WHERE component = 'active model'; SELECT events > 0 FROM harca.health() WHERE component = 'classification'")
    is_(counts, "1\nt", f"{kind}: one trip is counted, and the answers of the previous model")

    # A slow challenger loses its share, a slow shadow is not run.
    server.psql(registration(with_graph(affine([0, 0], [1, 0]), "quick")), DB)
    server.psql("SELECT harca.activate_model('quick 1', force => true)", DB)
    for comparison in ("ab", "shadow"):
        server.psql(f"SELECT harca.compare_model('slow 1', '{comparison}', 1)", DB)
        expected = "slow 1" if comparison == "ab" else "quick 1"
        ok(ask_until(session, False, expected, PATIENCE), f"{kind}: {comparison}: {expected} answers")
        role = "challenger" if comparison == "ab" else "shadow"
        state = f"SELECT state FROM harca.health() WHERE component = '{role} model'"
        began = time.monotonic()
        while session.psql(state) != "too slow" and time.monotonic() - began < PATIENCE:
            ask(session, True)
        is_((session.psql(state), ask(session, True)), ("too slow", "quick 1"), f"{kind}: {comparison}: when it is slow, the active model answers alone")
        time.sleep(RETRY)
        ask_until(session, False, "never", 1)
        is_(session.psql(state), "ok", f"{kind}: {comparison}: and it is back")

    # Without a bound nothing is too slow.
    server.psql("SELECT harca.stop_comparison(); SELECT harca.activate_model('slow 1', force => true)", DB)
    server.configure(pg_harca__max_latency="0").reload()
    time.sleep(0.3)
    ok(not ask_until(session, True, builtin, 3.5 * WINDOW), f"{kind}: pg_harca.max_latency = 0 is no bound")
    session.close()
    other.close()
    server.remove()


walk("preloaded", {"shared_preload_libraries": "pg_harca"}, True)
major = Server(f"test-slow-{os.getpid()}").major
walk("not preloaded", {}, major >= 17)
done()
