#!/usr/bin/env python3
"""The walk of docs/models.md: two models are trained, registered, evaluated, compared, activated and rolled back, while four clients classify 200,000 queries."""

import multiprocessing
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, ok  # noqa: E402
from harness.registry import labelled, literal, load_labelled, registration, trained  # noqa: E402
from harness.wire import Connection  # noqa: E402

DB = "harca_walk"
CLIENTS = 4
CALLS = 200_000
LABELLED = "SELECT query, label FROM judged"
FIRST, SECOND = "intent 1", "intent 2"

server = Server(f"test-walk-{os.getpid()}", settings={"shared_preload_libraries": "pg_harca"})
server.start()
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE; CREATE ROLE ml LOGIN IN ROLE harca_admin", DB)
load_labelled(server, DB)
server.psql("GRANT SELECT ON judged TO ml", DB)
BUILTIN = server.psql("SELECT model FROM harca.models WHERE status = 'active'", DB)
QUERIES = [query for query, _ in labelled() if sum(map(str.isalnum, query)) > 2]


def client(number, stop, calls, results):
    """Classifies one query a statement until told to stop, and at least so many; when each began and ended, and who answered."""
    seen = []
    with Connection(server, DB) as connection:
        turn = number
        while len(seen) < calls or not stop.is_set():
            place = (turn * 7919) % (20 * len(QUERIES))
            turn += CLIENTS
            # Each query in twenty forms, so that the model runs for some of them.
            query = f"{QUERIES[place % len(QUERIES)]} {place // len(QUERIES)}"
            began = time.monotonic()
            model = connection.value(f"SELECT model FROM classify_query({literal(query)})")
            seen.append((began, time.monotonic(), model, place))
    results.put(seen)


stop, results = multiprocessing.Event(), multiprocessing.Queue()
clients = [multiprocessing.Process(target=client, args=(i, stop, CALLS // CLIENTS, results), daemon=True) for i in range(CLIENTS)]
for one in clients:
    one.start()

admin = server.session(DB, "ml")
phases = [(0.0, 0.0, {BUILTIN})]  # when its change began, when it was done, who may answer from then on


def change(sql, allowed):
    """Makes a change that lets these models answer, and lets it last a while."""
    began = time.monotonic()
    output = admin.psql(sql)
    phases.append((began, time.monotonic(), set(allowed)))
    time.sleep(1.5)
    return output


is_(admin.psql(registration(trained("intent", "1", 0.5))), FIRST, "the first model is registered")
is_(admin.psql(registration(trained("intent", "2"))), SECOND, "the second model is registered")
is_(
    admin.psql("SELECT model, status FROM harca.models ORDER BY registered_at NULLS FIRST").splitlines(),
    [f"{BUILTIN}|active", f"{FIRST}|registered", f"{SECOND}|registered"],
    "both are listed beside the built-in one",
)
is_(change(f"SELECT harca.activate_model('{FIRST}', force => true)", {FIRST}), FIRST, "the first is activated by force")
evaluated = admin.psql(f"SELECT model, queries, accuracy, macro_f1, p50_us <= p95_us AND p95_us <= p99_us, queries_per_second > 0 FROM harca.evaluate_model('{SECOND}', '{LABELLED}')")
rows = [line.split("|") for line in evaluated.splitlines()]
is_([row[0] for row in rows], [SECOND, FIRST], "the second is evaluated beside the active one")
is_([row[1] for row in rows], [str(len(labelled()))] * 2, "on all labelled queries")
is_([row[4:] for row in rows], [["t", "t"]] * 2, "with times and throughput")
ok(float(rows[0][2]) > float(rows[1][2]), f"the second, which has learnt from more, is more accurate ({rows[0][2]} and {rows[1][2]})")
right = server.psql(f"SELECT sum((confusion -> l ->> l)::int) FROM harca.model_evaluation, unnest(ARRAY['keyword','semantic','hybrid','unknown']) AS l WHERE model = '{SECOND}'", DB)
is_(f"{int(right) / len(labelled()):.6f}", f"{float(rows[0][2]):.6f}", "the confusion matrix agrees with the accuracy")

change(f"SELECT harca.compare_model('{SECOND}', 'shadow')", {FIRST})
deadline = time.monotonic() + 120
SHADOW = "SELECT answers, runs > 0, round(agreement::numeric, 3), verdict FROM harca.stat_models WHERE role = 'shadow' AND current"
while time.monotonic() < deadline and int(server.psql(SHADOW, DB).split("|")[0] or 0) < 10_000:
    time.sleep(0.2)
answers, ran, agreement, verdict = server.psql(SHADOW, DB).split("|")
ok(int(answers) >= 10_000, f"10,000 queries and more went to the shadow ({answers})")
is_((ran, 0.5 < float(agreement) < 1), ("t", True), f"it ran, and agrees with the active model in part ({agreement}; {verdict})")

change(f"SELECT harca.compare_model('{SECOND}', 'canary', 0.1)", {FIRST, SECOND})
time.sleep(3)
shares = dict(line.split("|") for line in server.psql("SELECT role, answers FROM harca.stat_models WHERE role IN ('active', 'challenger') AND current", DB).splitlines())
share = int(shares["challenger"]) / sum(map(int, shares.values()))
ok(0.05 < share < 0.16, f"about one query in ten went to the canary ({share:.3f})")
change(f"SELECT harca.activate_model('{SECOND}')", {SECOND})
is_(admin.psql("SELECT string_agg(status, ' ' ORDER BY model) FROM harca.models WHERE name = 'intent'"), "previous active", "the gate lets the better one pass")
change("SELECT harca.rollback_model()", {FIRST})
change("SELECT harca.rollback_model()", {BUILTIN})
is_(server.sqlstate("SELECT harca.rollback_model()", DB, "ml"), "55000", "there is nothing left to roll back")
is_(
    server.psql("SELECT model, former, forced, rolled_back_by FROM harca.model_activation ORDER BY number", DB).splitlines(),
    [f"{FIRST}|builtin|t|ml", f"{SECOND}|{FIRST}|f|ml"],
    "what was done is written down",
)

stop.set()
seen = [results.get(timeout=600) for _ in clients]
for one in clients:
    one.join()
is_([one.exitcode for one in clients], [0] * CLIENTS, "no client has seen an error")
calls = [call for one in seen for call in one]
ok(len(calls) >= CALLS, f"{len(calls):,} calls")
ends = [done_at for _, done_at, _ in phases[1:]] + [float("inf")]
wrong = []
for began, ended, model, _ in calls:
    allowed = set().union(*(models for (from_, _, models), until in zip(phases, ends) if began <= until and ended >= from_))
    if model not in allowed:
        wrong.append((began, model, allowed))
is_(wrong[:3], [], "not one answer came from a model that was not to answer at the time")
canary_from, canary_to = next((done_at, phases[i + 1][0]) for i, (_, done_at, models) in enumerate(phases) if len(models) == 2)
by_query = {}
for began, ended, model, place in calls:
    if began >= canary_from and ended <= canary_to:
        by_query.setdefault(place, set()).add(model)
is_({len(models) for models in by_query.values()}, {1}, f"each of {len(by_query)} queries kept to one model while the canary ran")
is_({model for *_, model, _ in calls}, {BUILTIN, FIRST, SECOND}, "all three have answered")
is_(server.psql("SELECT count(*) FROM harca.health() WHERE component = 'classification' AND state = 'ok'", DB), "1", "and all is well")
admin.close()
done()
