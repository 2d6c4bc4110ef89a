"""What keeping statistics costs a hit and a miss: the same scans with their switch on and off."""

from .clock import interleaved, medians
from .servers import connect, load


def measure(bench):
    """Adds a table where the build has statistics that can be switched off, and a notice where not."""
    switch = bench.features.statistics_switch()
    if switch is None:
        bench.report.notice("Cost of statistics: not available, as this build has no switch for them.")
        return
    size = bench.sizes
    server = bench.servers.preloaded()
    load(server, "known", "q text NOT NULL", ([text] for text in bench.queries.take(size.distinct)))
    seconds = {}
    sessions = {state: connect(server, **{switch: state, "local_cache_size": 4 * size.distinct}) for state in ("on", "off")}

    def hit(session):
        return lambda: session.time("SELECT count(query_type(q)) FROM bench.known")[0]

    def miss(session):
        def run():
            load(server, "new", "q text NOT NULL", ([text] for text in bench.queries.take(size.batch)))
            return session.time("SELECT count(query_type(q)) FROM bench.new")[0]

        return run

    for what, make in (("hit", hit), ("miss", miss)):
        variants = {f"{what}, statistics {state}": make(session) for state, session in sessions.items()}
        for run in variants.values():
            run()
        seconds |= interleaved(size.rounds, variants)
    counts = {name: size.distinct if name.startswith("hit") else size.batch for name in seconds}
    typical = medians(seconds)
    added = {what: 100 * (typical[f"{what}, statistics on"] / typical[f"{what}, statistics off"] - 1) for what in ("hit", "miss")}
    bench.report.timings(
        "Cost of the statistics", seconds, counts,
        f"`pg_harca.{switch}`: they add {added['hit']:.1f} % to a hit and {added['miss']:.1f} % to a miss, the scan included.",
    )  # fmt: skip
    for session in sessions.values():
        session.close()
