"""The hit ratio on a trace in which the n-th most frequent query has a share of 1/n, beside what exact policies reach; and
what misses when the same queries come in the same order again and again."""

import collections
import itertools
import random

from .servers import PRELOAD, connect, inferences, load

# Of the entries that a shared cache is made for.
SCANNED = 0.9
POLICIES = "Exact LRU and SIEVE over the whole cache are simulated on the same trace, from empty; the shared cache has SIEVE in each set of 14."


def measure(bench):
    """Fills in the requirements on the hit ratio."""
    size = bench.sizes
    population = bench.queries.take(size.population)
    trace = zipf(size.population, size.requests)
    labels = bench.loop.labels(population)
    expected = dict(collections.Counter(labels[rank] for rank in trace))
    asked = len(trace)
    exact = {"exact LRU": lru_hits(trace, size.entries) / asked, "SIEVE": sieve_hits(trace, size.entries) / asked}

    ratios = {}
    has_shared = bench.features.cache_size() > 0
    # Beside a shared cache the session's own would not answer alone.
    local = bench.servers.get("off", **PRELOAD, pg_harca__cache_size=0) if has_shared else bench.servers.preloaded()
    ratios["session cache (L1)"] = _play(bench, local, population, trace, expected, local_cache_size=size.entries)
    if has_shared:
        shared = bench.servers.get("zipf", **PRELOAD, pg_harca__cache_size=size.entries)
        ratios["shared cache (L2)"] = found = _play(bench, shared, population, trace, expected, local_cache_size=0)
        bench.report.measured("zipf_lru", 100 * (exact["exact LRU"] - found))
        bench.report.measured("zipf_sieve", 100 * (exact["SIEVE"] - found))
        _statistics(bench, shared)
        _scan(bench)
    else:
        bench.report.unavailable(["zipf_lru", "zipf_sieve", "scan_misses"], "not available: this build has no shared cache")
    ratios |= exact
    bench.report.table(
        f"Zipf(1.0): {asked:,} requests for {size.population:,} queries, {size.entries:,} entries",
        ["", "hit ratio, %", "points above exact LRU"],
        [[name, 100 * ratio, 100 * (ratio - exact["exact LRU"])] for name, ratio in ratios.items()],
        "Through the server, in one session, one cache at a time; a hit is what the model did not run for. " + POLICIES,
    )
    bench.report.plot("zipf", "Zipf(1.0): hit ratio", "bars", "%", {name: 100 * ratio for name, ratio in ratios.items()})


def zipf(population, requests):
    """Ranks from 0, drawn with the weight 1 / (1 + rank); the same ones in every run."""
    weights = itertools.accumulate(1 / rank for rank in range(1, population + 1))
    return random.Random(3).choices(range(population), cum_weights=list(weights), k=requests)


def lru_hits(trace, entries):
    """Hits of a cache that drops what was asked for the longest ago."""
    cache, hits = collections.OrderedDict(), 0
    for key in trace:
        if key in cache:
            hits += 1
            cache.move_to_end(key)
        else:
            if len(cache) == entries:
                cache.popitem(last=False)
            cache[key] = None
    return hits


def sieve_hits(trace, entries):
    """Hits of SIEVE: Zhang et al., "SIEVE is Simpler than LRU", NSDI 2024, algorithm 1.

    The queue runs from the oldest entry to the newest; the hand walks towards the newest, spares what was visited and
    drops the first that was not.
    """
    newer, older, visited = {}, {}, {}
    head = tail = hand = None  # newest, oldest
    hits = 0
    for key in trace:
        if key in visited:
            visited[key] = True
            hits += 1
            continue
        if len(visited) == entries:
            victim = tail if hand is None else hand
            while visited[victim]:
                visited[victim] = False
                victim = tail if newer[victim] is None else newer[victim]
            hand = up = newer.pop(victim)
            down = older.pop(victim)
            del visited[victim]
            if up is None:
                head = down
            else:
                older[up] = down
            if down is None:
                tail = up
            else:
                newer[down] = up
        newer[key], older[key], visited[key] = None, head, False
        if head is not None:
            newer[head] = key
        head = key
        if tail is None:
            tail = key
    return hits


def _play(bench, server, population, trace, types, **settings):
    """The share of the trace that a session's caches answer; types is how often each type has to come."""
    load(server, "population", "rank integer, q text NOT NULL", enumerate(population))
    load(server, "trace", "i integer, rank integer", enumerate(trace))
    with connect(server, **settings) as session:
        session.query("CREATE TABLE bench.zipf AS SELECT q FROM bench.trace JOIN bench.population USING (rank) ORDER BY i")
        stored = session.value("SELECT md5(string_agg(q, ',')) FROM bench.zipf")
        ordered = session.value("SELECT md5(string_agg(q, ',' ORDER BY i)) FROM bench.trace JOIN bench.population USING (rank)")
        bench.check("order of the trace in its table", stored, ordered)
        session.query("SELECT query_type('the model is loaded')")
        before = inferences(session)
        found = dict(session.query("SELECT query_type(q), count(*) FROM bench.zipf GROUP BY 1"))
        misses = inferences(session) - before
        bench.check("types of the trace", {kind: int(n) for kind, n in found.items()}, types)
        session.query("DROP TABLE bench.zipf, bench.trace, bench.population")
    return 1 - misses / len(trace)


def _scan(bench):
    """Scans of a table with nearly as many queries as the shared cache has room for."""
    queries = bench.queries.take(round(SCANNED * bench.sizes.entries))
    types = collections.Counter(bench.loop.labels(queries))
    server = bench.servers.get("scan", **PRELOAD, pg_harca__cache_size=bench.sizes.entries)
    load(server, "scanned", "q text NOT NULL", zip(queries))
    misses = []
    with connect(server, local_cache_size=0) as session:
        for _ in range(3):  # the first one fills the cache
            before = inferences(session)
            found = session.query("SELECT query_type(q), count(*) FROM bench.scanned GROUP BY 1")
            bench.check("types of the scanned queries", {kind: int(n) for kind, n in found}, dict(types))
            misses.append(100 * (inferences(session) - before) / len(queries))
    bench.report.measured("scan_misses", max(misses[1:]))
    bench.report.table(
        f"Cyclic scan: {len(queries):,} queries, {bench.sizes.entries:,} entries",
        ["", *(f"round {n + 1}" for n in range(len(misses)))],
        [["misses, %", *misses]],
        "The same queries in the same order in one session, the shared cache alone. A policy that keeps the latest would miss "
        "all of them if there were one more than entries.",
    )


def _statistics(bench, server):
    """What the view of the caches says after the trace."""
    columns = bench.features.view("stat_cache")
    if not columns:
        return
    with connect(server) as connection:
        rows = connection.query("SELECT * FROM harca.stat_cache")
    bench.report.table("`harca.stat_cache` after the trace", columns, [["" if v is None else v for v in row] for row in rows])
