"""Searches a second of one client and of two, by pgbench."""

import statistics
import tempfile

from ..clients import NO_PGBENCH, Load, has_pgbench
from ..clock import interleaved
from ..servers import connect
from . import ways
from .corpus import KINDS
from .ways import HAND, HYBRID, WORDS, WORDS_PEER

# pgbench takes 128 scripts, and each has one query.
OF_A_KIND = 20


def measure(bench, table, by_words):
    """way → (searches a second of one client, of two), by words alone or by both legs; nothing without pgbench."""
    if not has_pgbench(table.server):
        bench.report.unavailable(["search_clients"], NO_PGBENCH)
        return {}
    facts = [[fact for fact in table.corpus.facts if fact.kind == kind][:OF_A_KIND] for kind in KINDS]
    asked = [fact for some in facts for fact in some]
    with connect(table.server) as session:
        embeddings = table.embeddings(session, [fact.document for fact in asked])
    if by_words:
        statements = [ways.by_words(fact.text, table.peer, False) for fact in asked]
        compared = [WORDS] + [WORDS_PEER] * table.peer
    else:
        statements = [ways.by_both(fact.text, embeddings[fact.document]) for fact in asked]
        compared = [HYBRID, HAND]
    with tempfile.TemporaryDirectory() as folder:
        scripts = {way: [f"{each[way].strip()};\n" for each in statements] for way in compared}
        runs = {
            (way, clients): Load(table.server, folder, way, scripts[way], clients, bench.sizes.seconds, protocol="simple")
            for way in compared
            for clients in (1, 2)
        }
        rates = interleaved(bench.sizes.search_rounds, runs)
    return {way: tuple(statistics.median(rates[way, clients]) for clients in (1, 2)) for way in compared}


def report(bench, measured):
    """Fills in the requirement on two clients; measured has (rows, result of measure) of each table."""
    rates = [(way, rows, *pair) for rows, ways_ in measured for way, pair in ways_.items()]
    if not rates:
        return
    bench.report.measured("search_clients", min(two / one for way, _, one, two in rates if way in (HYBRID, WORDS)))
    bench.report.table(
        "Search: clients (pgbench)", ["", "rows", "searches a second, 1 client", "2 clients", "÷"],
        [[way, rows, one, two, two / one] for way, rows, one, two in rates],
        f"`pgbench -M simple`, {bench.sizes.seconds} s a run, which draws from {min(OF_A_KIND, bench.sizes.searches)} "
        f"queries of each kind; medians of {bench.sizes.search_rounds} runs. pgbench itself works on the same "
        "cores.",
    )  # fmt: skip
