"""What a query costs that no cache knows: in the extension, in a plain Rust loop, and in PL/Python with the same model."""

from .clock import interleaved, medians
from .plpython import as_bytea
from .servers import connect, inferences, load

LABELS = "SELECT {} FROM bench.miss ORDER BY i"


def measure(bench):
    """Fills in the requirements on misses and on PL/Python."""
    size = bench.sizes
    server = bench.servers.roomy()
    function = bench.plpython.prepare(server) if bench.plpython else None
    session = connect(server, local_cache_size=4 * size.misses)
    python = connect(server)
    session.query("SELECT query_type('the model is loaded')")
    texts, labels, hits, figures = [], [], [], {}

    def renew():
        texts[:] = bench.queries.take(size.misses)
        features = bench.loop.encode(texts) if function else [((), ())] * len(texts)
        rows = ([i, text, as_bytea(ids), as_bytea(tokens)] for i, (text, (ids, tokens)) in enumerate(zip(texts, features)))
        load(server, "miss", "i integer, q text NOT NULL, features bytea, tokens bytea", rows)
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

    def plpython():
        bench.check("labels of PL/Python", _column(python, function), labels)
        return python.time(f"SELECT count({function}) FROM bench.miss")[0]

    def scan():
        return session.time("SELECT count(q) FROM bench.miss")[0]

    variants = {"scan alone": scan, "plain Rust loop, encode + run": loop, "query_type, miss": miss}
    if function:
        variants["PL/Python, run alone"] = plpython
    seconds = interleaved(size.rounds, variants, before=renew)
    seconds["query_type, hit"] = hits

    typical = medians(seconds)
    net = {name: value - typical["scan alone"] for name, value in typical.items()}
    loop_seconds = typical["plain Rust loop, encode + run"]
    bench.report.ratio("miss", net["query_type, miss"], loop_seconds)
    if function:
        cost = net["PL/Python, run alone"]
        bench.report.ratio("plpython_miss", cost, net["query_type, miss"])
        bench.report.ratio("plpython_hit", cost, net["query_type, hit"])
        bench.costs["PL/Python, run alone"] = 1e6 * cost / size.misses
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
    if function:
        remark += (
            " PL/Python is spared the encoding: it gets the features ready-made from two columns, where a function of the "
            "kind would have to make them in Python. Its figure is therefore a lower bound."
        )
    bench.report.timings("Misses", seconds, dict.fromkeys(seconds, size.misses), remark)
    session.close()
    python.close()


def _column(session, expression):
    return [row[0] for row in session.query(LABELS.format(expression))]
