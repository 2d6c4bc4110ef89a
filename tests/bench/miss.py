"""What a query costs that no cache knows: in the extension, in a plain Rust loop, and in PL/Python with the same model."""

from .clock import interleaved, medians
from .plpython import RUN_ALONE, WHOLE, as_bytea
from .servers import PRELOAD, connect, inferences, load

LABELS = "SELECT {} FROM bench.miss ORDER BY i"


def measure(bench):
    """Fills in the requirements on misses and on PL/Python."""
    size = bench.sizes
    # So much room that a set never has to put out a query of this round, which is to be a hit afterwards.
    server = bench.servers.get("misses", **PRELOAD, pg_harca__cache_size=20 * size.misses)
    if bench.plpython:
        bench.plpython.prepare(server)
    session = connect(server, local_cache_size=4 * size.misses)
    python = connect(server)
    session.query("SELECT query_type('the model is loaded')")
    texts, labels, hits, figures = [], [], [], {}

    def renew():
        texts[:] = bench.queries.take(size.misses)
        features = bench.loop.encode(texts) if bench.plpython else [((), ())] * len(texts)
        rows = ([i, text, as_bytea(ids), as_bytea(tokens)] for i, (text, (ids, tokens)) in enumerate(zip(texts, features)))
        load(server, "miss", "i integer, q text NOT NULL, features bytea, tokens bytea", rows)
        # Every page of the cache is mapped, as in a backend that has been at work for a while.
        session.query("SELECT harca.cache_reset()")
        labels[:] = bench.loop.labels(texts)
        for each in (session, python):
            each.query("SELECT count(bench.empty(q)), count(features), count(tokens) FROM bench.miss")

    def loop():
        found, answers = bench.loop.run(texts)
        bench.check("labels of the plain loop", answers, labels)
        for name, value in found.items():
            figures.setdefault(name, []).append(value)
        return found["encode_run_ns"] * len(texts) / 1e9

    def hit():
        before = inferences(session)
        hits.append(session.time("SELECT count(query_type(q)) FROM bench.miss")[0])
        bench.check("queries run through the model on a hit", inferences(session) - before, 0)
        bench.check("labels of query_type", _column(session, "query_type(q)"), labels)

    def miss():
        before = inferences(session)
        seconds = session.time("SELECT count(query_type(q)) FROM bench.miss")[0]
        bench.check("queries run through the model", inferences(session) - before, len(texts))
        hit()
        return seconds

    def plpython(function):
        def run():
            bench.check(f"labels of {function}", _column(python, function), labels)
            return python.time(f"SELECT count({function}) FROM bench.miss")[0]

        return run

    def scan():
        return session.time("SELECT count(q) FROM bench.miss")[0]

    variants = {"scan alone": scan, "plain Rust loop, encode + run": loop, "query_type, miss": miss}
    if bench.plpython:
        variants |= {"PL/Python": plpython(WHOLE), "PL/Python, run alone": plpython(RUN_ALONE)}
    seconds = interleaved(size.rounds, variants, before=renew)
    seconds["query_type, hit"] = hits

    typical = medians(seconds)
    net = {name: value - typical["scan alone"] for name, value in typical.items()}
    loop_seconds = typical["plain Rust loop, encode + run"]
    bench.report.ratio("miss", net["query_type, miss"], loop_seconds)
    if bench.plpython:
        bench.report.ratio("plpython_miss", net["PL/Python"], net["query_type, miss"])
        bench.report.ratio("plpython_hit", net["PL/Python"], net["query_type, hit"])
        for variant in ("PL/Python", "PL/Python, run alone"):
            bench.costs[variant] = 1e6 * net[variant] / size.misses
    else:
        bench.report.unavailable(["plpython_miss", "plpython_hit"], bench.why_no_plpython)
    whole = medians(figures)
    bench.costs |= {
        "query_type, miss": 1e6 * net["query_type, miss"] / size.misses,
        "plain Rust loop": whole["encode_run_ns"] / 1e3,
    }
    remark = (
        f"{size.misses:,} new queries a round. The loop's whole `Classifier::classify` (with language and calibration) takes "
        f"{whole['classify_ns'] / 1e3:.2f} µs, in batches of 64 {whole['batch_ns'] / 1e3:.2f} µs."
    )
    if bench.plpython:
        ready = net["PL/Python, run alone"] / net["query_type, miss"]
        remark += (
            " The encoder exists in Rust alone: the PL/Python function keeps `harca_encode` running beside it and asks it "
            f"through a pipe. \"Run alone\" gets the ids ready-made from two columns: {ready:.2f} × a miss."
        )
    bench.report.timings("Misses", seconds, dict.fromkeys(seconds, size.misses), remark)
    session.close()
    python.close()


def _column(session, expression):
    return [row[0] for row in session.query(LABELS.format(expression))]
