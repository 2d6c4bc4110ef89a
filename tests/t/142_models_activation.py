#!/usr/bin/env python3
"""An activation is seen by every session at its next statement and by none when it is rolled back; old answers are never given for the new model; unused sessions go."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import PgError, Server, done, is_, like, ok  # noqa: E402
from harness.onnx import affine  # noqa: E402
from harness.registry import registration, trained, with_graph  # noqa: E402

DB = "harca_activation"
QUERY = "why are my searches slow"
WHO = f"SELECT model FROM classify_query('{QUERY}')"
BATCH = f"SELECT string_agg(DISTINCT model, ',') FROM classify_queries(ARRAY['{QUERY}', 'another question', 'x y'])"


def walk(server, kind):
    """What sessions see of an activation."""
    server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
    server.psql(f"CREATE DATABASE {DB}")
    server.psql("CREATE EXTENSION pg_harca CASCADE", DB)
    admin, other, third = (server.session(DB) for _ in range(3))
    builtin = other.psql(WHO)
    like(builtin, r"^query_type \d", f"{kind}: the built-in model answers where nothing was activated")
    models = [admin.psql(registration(trained(f"m{i}", "1", share))) for i, share in ((1, 0.3), (2, 0.6))]
    is_(other.psql(f"{WHO}; {BATCH}"), f"{builtin}\n{builtin}", f"{kind}: nor where a model was registered")

    admin.psql(f"BEGIN; SELECT harca.activate_model('m1', force => true)")
    is_((admin.psql(WHO), other.psql(WHO)), (models[0], builtin), f"{kind}: before the commit the own session alone sees an activation")
    admin.psql("ROLLBACK")
    is_((admin.psql(WHO), other.psql(WHO)), (builtin, builtin), f"{kind}: and nobody after a rollback")
    is_(admin.psql("SELECT count(*) FROM harca.deployment; SELECT count(*) FROM harca.model_activation"), "0\n0", f"{kind}: which leaves nothing")
    is_(
        admin.psql(f"BEGIN; SAVEPOINT a; SELECT harca.activate_model('m1', force => true); {WHO}; ROLLBACK TO a; {WHO}; COMMIT").splitlines()[1:],
        [models[0], builtin],
        f"{kind}: a savepoint likewise",
    )

    # Sessions in the midst of a transaction, one of them with a snapshot of before.
    other.psql(f"BEGIN; {WHO}")
    third.psql(f"BEGIN ISOLATION LEVEL REPEATABLE READ; {WHO}")
    admin.psql("SELECT harca.activate_model('m1', force => true)")
    is_((other.psql(WHO), third.psql(WHO)), (models[0], models[0]), f"{kind}: inside a transaction the next statement sees it")
    is_((other.psql(f"{BATCH}; COMMIT; {WHO}"), third.psql(f"COMMIT; {WHO}")), (f"{models[0]}\n{models[0]}", models[0]), f"{kind}: and later ones")
    is_(server.psql(WHO, DB), models[0], f"{kind}: a new session too")
    is_(
        admin.psql(f"SELECT string_agg(DISTINCT model, ',') FROM generate_series(1, 3000) AS i, LATERAL classify_query('{QUERY} ' || i % 50)"),
        models[0],
        f"{kind}: and a scan",
    )
    server.psql("SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;"
                "CREATE TABLE asked AS SELECT 'how is report ' || i || ' made' AS q FROM generate_series(1, 20000) AS i; ANALYZE asked", DB)
    parallel = "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; "
    who_all = "SELECT string_agg(DISTINCT (classify_query(q)).model, ',') FROM asked"
    like(server.psql(f"{parallel} EXPLAIN {who_all}", DB), "Parallel", f"{kind}: a parallel plan")
    is_(server.psql(f"{parallel} {who_all}", DB), models[0], f"{kind}: whose workers ask the active model")

    # Not a cached answer of the former model: the scores are those of the new one.
    scores = f"SELECT scores FROM classify_query('{QUERY}')"
    of_first = other.psql(scores)
    admin.psql("SELECT harca.activate_model('m2', force => true)")
    of_second = other.psql(scores)
    ok(of_first != of_second, f"{kind}: another model, other scores")
    admin.psql("SELECT harca.rollback_model()")
    is_((other.psql(scores), other.psql(WHO)), (of_first, models[0]), f"{kind}: and the former ones after a rollback_model")

    # One graph under two manifests: labels and calibration are part of the answer.
    graph = affine([0, 0], [0, 3])
    for version, labels, temperature in (("1", ("first", "second"), 1), ("2", ("second", "first"), 50)):
        admin.psql(registration(with_graph(graph, "twin", version, labels, golden=[{"query": "zebra", "type": labels[1]}],
                                           calibration={"method": "temperature", "temperature": temperature})))  # fmt: skip
    answers = []
    for version in "12":
        admin.psql(f"SELECT harca.activate_model('twin {version}', force => true)")
        answers.append(other.psql("SELECT query_type, round(confidence::numeric, 2), model FROM classify_query('zebra crossing')").split("|"))
    is_([answer[2] for answer in answers], ["twin 1", "twin 2"], f"{kind}: two models of one graph")
    ok(answers[0][0] != answers[1][0] and answers[0][1] != answers[1][1], f"{kind}: answer differently, each for itself ({answers})")
    is_(other.psql("SELECT string_agg(label, ' ' ORDER BY ordinality) FROM harca.labels()"), "second first", f"{kind}: labels() follows")

    # Two who want to change it: the second waits, and then sees what the first has done.
    other.psql("BEGIN; SELECT harca.activate_model('m1', force => true)")
    third.send("SELECT harca.activate_model('m1', force => true)")
    other.psql("COMMIT")
    try:
        third.wait()
        ok(False, f"{kind}: the second of two activations of one model is refused")
    except PgError as error:
        is_((error.sqlstate, error.message), ("55000", 'model "m1 1" is active already'), f"{kind}: the second of two activations of one model is refused")

    # pg_harca.model goes before the registry.
    is_(other.psql(f"SET pg_harca.model = builtin; {WHO}; RESET pg_harca.model; {WHO}"), f"{builtin}\n{models[0]}", f"{kind}: pg_harca.model may name another one")

    # Sessions of models that nobody asks for are freed.
    session = server.session(DB)
    session.psql("SET pg_harca.executor = onnxruntime")
    session.psql(WHO)
    for i in range(30):
        admin.psql(f"SELECT harca.activate_model('{'m2' if i % 2 == 0 else 'm1'}', force => true)")
        session.psql(WHO)
        if i == 5:
            early = int(session.psql("SELECT bytes FROM harca.stat_memory WHERE pid = pg_backend_pid() AND part = 'session'"))
    late = int(session.psql("SELECT bytes FROM harca.stat_memory WHERE pid = pg_backend_pid() AND part = 'session'"))
    ok(late < early + 1_500_000, f"{kind}: thirty activations do not pile up ({early:,} and {late:,} bytes)")

    # The registry goes with its extension, and comes again empty.
    is_(other.psql(f"DROP EXTENSION pg_harca CASCADE; CREATE EXTENSION pg_harca; {WHO}").splitlines()[-1], builtin, f"{kind}: without a registry the built-in model answers")
    is_(session.psql(WHO), builtin, f"{kind}: in other sessions too")
    for one in (admin, other, third, session):
        one.close()
    server.psql(f"DROP DATABASE {DB} WITH (FORCE)")


walk(Server.attach(), "not preloaded")
preloaded = Server(f"test-activation-{os.getpid()}", settings={"shared_preload_libraries": "pg_harca"})
preloaded.start()
walk(preloaded, "preloaded")
done()
