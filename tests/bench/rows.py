"""What a call costs a row: scans of a table whose queries are all in a cache, beside md5() and an empty function."""

import collections
import itertools
import random

from .clock import interleaved, medians
from .servers import connect, inferences, load

OWN = ", own cache"
TYPES = "SELECT query_type(q), count(*) FROM bench.log GROUP BY 1"
SCANS = {
    "scan alone": "count(q)",
    "empty function": "count(bench.empty(q))",
    "md5": "count(md5(q))",
    "query_type, hit": "count(query_type(q))",
    "classify_query, hit": "count(classify_query(q))",
}


def measure(bench):
    """Fills in the requirements on hits."""
    size = bench.sizes
    distinct = bench.queries.take(size.distinct)
    rows = list(itertools.islice(itertools.cycle(distinct), size.rows))
    random.Random(2).shuffle(rows)
    labels = dict(zip(distinct, bench.loop.labels(distinct)))
    expected = dict(collections.Counter(labels[text] for text in rows))
    server = bench.servers.roomy()
    sessions = {"": connect(server), OWN: connect(bench.servers.own_caches(), local_cache_size=size.distinct)}
    for name, session in sessions.items():
        load(session.server, "log", "q text NOT NULL", ([text] for text in rows))
        bench.check(f"types of the rows{name}", {kind: int(n) for kind, n in session.query(TYPES)}, expected)
        _check_buffers(bench, session)

    def scan(session, expression):
        sql = f"SELECT {expression} FROM bench.log"

        def run():
            seconds, ((found,),) = session.time(sql)
            bench.check(sql, int(found), len(rows))
            return seconds

        run()
        return run

    before = {name: inferences(session) for name, session in sessions.items()}
    variants = {name: scan(sessions[""], expression) for name, expression in SCANS.items()}
    variants |= {key + OWN: scan(sessions[OWN], SCANS[key]) for key in SCANS if key.endswith("hit")}
    seconds = interleaved(size.rounds, variants)
    for name, session in sessions.items():
        bench.check(f"queries run through the model on a hit{name}", inferences(session) - before[name], 0)

    typical = medians(seconds)
    net = {name: value - typical["scan alone"] for name, value in typical.items()}
    for function in ("query_type", "classify_query"):
        hit = f"{function}, hit"
        bench.report.ratio(f"hit_{function}", net[hit], net["md5"])
        bench.report.ratio(f"hit_{function}_gross", typical[hit], typical["md5"])
        bench.report.ratio(f"own_hit_{function}", net[hit + OWN], net["md5"])
    header = ["", "ns a row", "net of the scan", "÷ md5, net", "spread of the rounds"]
    bench.report.table(
        f"Rows: {len(rows):,} rows, {len(distinct):,} distinct queries, all hits",
        header,
        [
            [name, 1e9 * typical[name] / len(rows), 1e9 * net[name] / len(rows), net[name] / net["md5"], bench.spread(seconds[name])]
            for name in seconds
        ],
        f"Texts of {bench.describe(distinct)}; medians of {size.rounds} rounds. `count(f(q))` without parallel workers. Hits are "
        "of the shared cache, but for the last two: these are of the session's own cache, on a server without a shared one.",
    )
    bench.costs |= {name: 1e6 * net[name] / len(rows) for name in net if name != "scan alone"}
    _parallel(bench, server, sessions[""], len(rows))
    for session in sessions.values():
        session.close()


def _check_buffers(bench, connection):
    """The table has to be in memory, or the disk is measured."""
    for _ in range(2):
        connection.query("SELECT count(q) FROM bench.log")
    plan = "\n".join(row[0] for row in connection.query("EXPLAIN (ANALYZE, BUFFERS) SELECT count(q) FROM bench.log"))
    bench.check("pages read from outside the shared buffers", "read=" in plan, False)


def _parallel(bench, server, alone, rows):
    """Two workers: an extra line, as the scan of the ratios has none."""
    workers = connect(server)
    for setting in ("parallel_setup_cost = 0", "parallel_tuple_cost = 0", "min_parallel_table_scan_size = 0"):
        workers.query(f"SET {setting}")
    workers.query("SET max_parallel_workers_per_gather = 2")

    def scan(session, expression):
        return lambda: session.time(f"SELECT {expression} FROM bench.log")[0]

    variants = {}
    for name in ("md5", "query_type, hit"):
        variants[name] = scan(alone, SCANS[name])
        variants[f"{name.removesuffix(', hit')}, 2 workers"] = scan(workers, SCANS[name])
    plan = "\n".join(row[0] for row in workers.query("EXPLAIN (ANALYZE, COSTS OFF) SELECT count(query_type(q)) FROM bench.log"))
    bench.check("two workers launched", "Workers Launched: 2" in plan, True)
    seconds = interleaved(max(3, bench.sizes.rounds // 3), variants)
    bench.report.timings(
        "Rows with two parallel workers", seconds, dict.fromkeys(seconds, rows),
        "Workers are new processes: they inherit the session of the model, and the shared cache answers.",
    )  # fmt: skip
    workers.close()
