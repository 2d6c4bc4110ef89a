"""Searches of growing tables: hybrid_search beside SQL that is written by hand, and beside pg_textsearch.

measure() goes through the tables, each made by table.py of a corpus.py: warm.py times all the ways of ways.py and checks
their answers, which brute_force.py knows; sessions.py has what a session costs beside, throughput.py what two clients get;
summary.py writes it down.

Tables up to a size have embeddings. An index of a million of 384 dimensions takes longer to build than all the rest of the
benchmark: the largest table is searched by words alone, on a plain GIN index first and then on one that knows how often words
come and how long documents are.
"""

from . import sessions, summary, throughput, warm
from .corpus import Corpus
from .table import Table, server


def measure(bench):
    """Fills in the requirements on searches."""
    size = bench.sizes
    running, peer = server(bench)
    small = max(rows for rows in size.tables if rows <= size.small)
    largest = size.tables[-1]
    tables, found, rates = [], {}, []
    for rows in size.tables:
        table = Table(bench, running, Corpus(rows, size.searches), rows <= size.embedded, peer)
        print(f"    {rows:,} rows, loaded in {sum(table.seconds.values()):.0f} s", flush=True)
        tables.append(table)
        for kind, each in warm.measure(bench, table).items():
            found[kind, rows] = each
        if rows == small:
            sessions.measure_first(bench, table)
            sessions.measure_learning(bench, table)
            sessions.measure_memory(bench, table)
            rates.append((rows, throughput.measure(bench, table, by_words=False)))
        if rows == largest:
            table.add_frequencies()
            with_frequencies = warm.measure_frequencies(bench, table)
            rates.append((rows, throughput.measure(bench, table, by_words=True)))
    summary.require(bench, tables, found, with_frequencies)
    summary.tables(bench, tables, found, with_frequencies)
    throughput.report(bench, rates)
