"""What searches cost beside the legs: the first one of a connection, what is learned from each, and the memory that many
different ones leave."""

import itertools
import statistics

from ..clock import interleaved, late, medians
from ..first_call import private_kb
from ..servers import connect
from . import ways
from .corpus import KINDS
from .table import TARGET
from .warm import timed
from .ways import HAND, HYBRID, WORDS_HAND

# The first searches, so large a share of those behind them, open what any search needs: what comes later is left behind.
WARM_UP = 0.02


def measure_first(bench, table):
    """Fills in the requirement on the first search of a connection."""
    asked = itertools.cycle(_asked(table))
    # One query for all ways of a round.
    statements = {}

    def renew():
        fact, embedding = next(asked)
        statements.update(ways.by_both(fact.text, embedding) | ways.by_words(fact.text, table.peer, False))

    def first(way):
        def run():
            with connect(table.server) as connection:
                seconds, rows = connection.time(statements[way])
                bench.check(f"whether the first search by {way} finds rows", bool(rows), True)
            return 1000 * seconds

        return run

    by_hand = dict.fromkeys((HYBRID, HAND), HAND) | dict.fromkeys(ways.by_words("", table.peer, False), WORDS_HAND)
    ms = interleaved(bench.sizes.first_calls, {way: first(way) for way in by_hand}, before=renew)
    typical = medians(ms)
    bench.report.measured("search_first", typical[HYBRID] / typical[HAND])
    bench.report.table(
        "Search: the first one of a connection", ["", "ms", f"÷ {HAND}", "95 %", "connections"],
        [[way, typical[way], typical[way] / typical[by_hand[way]], late(values), len(values)] for way, values in ms.items()],
        f"{table.rows:,} rows. From sending the connection's first statement to the last byte of its answer; the ways take "
        "turns, with the queries of all kinds. The server preloads pg_harca and its model.",
    )  # fmt: skip


def measure_learning(bench, table):
    """Fills in the requirement on what it costs that a target learns from its searches, and goes by what they have told."""
    fixed = "not calibrated"
    seen = {}
    with connect(table.server, local_cache_size=0) as session:
        session.query(ways.REGISTER_FIXED.format(fixed=fixed))
        session.query(f"SELECT harca.reset_calibration('{TARGET}')")
        for number, (fact, embedding) in enumerate(_asked(table)):
            learning = ways.by_both(fact.text, embedding)[HYBRID]
            statements = {HYBRID: learning, fixed: learning.replace(f"'{TARGET}'", f"'{fixed}'", 1)}
            for way, sql in statements.items():
                bench.check(f"rows of {way} for {fact.text}", len(session.query(sql)), ways.PAGE)
            for way, ms in medians(timed(session, statements, 3 * bench.sizes.search_rounds, number % 2)).items():
                seen.setdefault(way, []).append(ms)
        learned = session.value(f"SELECT searches > 0 FROM harca.stat_search_target WHERE target = '{TARGET}'")
        session.query(f"SELECT harca.drop_search_target('{fixed}')")
    bench.check("whether searches have told something", learned, "t")
    ratio = statistics.median(a / b for a, b in zip(seen[HYBRID], seen[fixed]))
    bench.report.measured("search_learning", ratio)
    bench.report.table(
        "Search: what learning from searches costs", ["", "ms", "÷"],
        [[way, statistics.median(values), ratio if way == HYBRID else 1.0] for way, values in seen.items()],
        f"{table.rows:,} rows, both legs, {len(seen[fixed])} queries of all kinds in turns, medians of the queries; the ratio is "
        "the median of the queries' own. The other target is the same table with `calibration` `off`.",
    )  # fmt: skip


def measure_memory(bench, table):
    """Fills in the requirement on the memory of a session."""
    count, warm_up = bench.sizes.different, int(WARM_UP * bench.sizes.different)
    embeddings = [embedding for _, embedding in _asked(table)]
    texts = list(table.corpus.different(warm_up + count))
    bench.check("different queries", len(set(texts)), warm_up + count)
    seen = {}
    for way in (HYBRID, HAND):
        with connect(table.server) as session:
            for number, text in enumerate(texts, 1):
                rows = session.query(ways.by_both(text, embeddings[number % len(embeddings)])[way])
                bench.check(f"rows of {way} for {text}", len(rows), ways.PAGE)
                if number in (1, warm_up, len(texts)):
                    seen.setdefault(way, []).append(private_kb(session.pid) / 1024)
    added = {way: after - before for way, (_, before, after) in seen.items()}
    bench.report.measured("search_memory", added[HYBRID])
    bench.report.table(
        "Search: memory of a session, MB",
        ["", "after the first search", f"after {warm_up}", f"after {count:,} more", "added by these"],
        [[way, *values, added[way]] for way, values in seen.items()],
        f"{table.rows:,} rows, both legs, no two queries alike. Private_Dirty as for the first call. The session's own "
        "cache of classifications, which keeps 1,000 of them, is part of it.",
    )


def _asked(table):
    """(fact, embedding), the kinds mixed."""
    facts = table.corpus.facts
    with connect(table.server) as session:
        embeddings = table.embeddings(session, [fact.document for fact in facts])
    by_kind = [[fact for fact in facts if fact.kind == kind] for kind in KINDS]
    return [(fact, embeddings[fact.document]) for some in zip(*by_kind) for fact in some]
