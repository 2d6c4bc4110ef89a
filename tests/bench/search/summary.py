"""What was measured of warm searches, as requirements, tables and plots."""

import statistics

from . import ways
from .brute_force import K1, B
from .corpus import DIMENSIONS, KINDS, LENGTHS
from .table import GIN_WITH_FREQUENCIES, PEER, STEPS
from .ways import HAND, HYBRID, PREPARED, WORDS, WORDS_HAND, WORDS_ON_PEER, WORDS_PEER, WORDS_PEER_MANY
from .warm import SCANNED

# kind of query: the end of its requirements' keys
KEYS = dict(zip(KINDS, ["code", "exact_term", "keyword", "question", "hybrid"]))


def require(bench, tables, found, with_frequencies):
    """Fills in the requirements; found maps a kind and a table's rows to what was found for it, with_frequencies a kind."""
    report = bench.report
    largest = tables[-1]
    small = [table.rows for table in tables if table.rows <= bench.sizes.small]
    both = {rows: statistics.median(found[kind, rows].ratio(HYBRID, HAND) for kind in KINDS) for rows in small}
    report.measured("search_both", max(both.values()))
    embedded = max(table.rows for table in tables if table.embedded)
    for kind, key in KEYS.items():
        report.measured(f"search_{key}", found[kind, embedded].ratio(HYBRID, "parallel"))
    report.measured("search_share", max(statistics.median(found[kind, embedded].shares) for kind in KINDS))
    if not largest.peer:
        keys = [f"search_words_{key}" for key in KEYS.values()] + ["search_peer", "search_peer_above"]
        report.unavailable(keys, f"not available: this server has no {PEER}")
        return
    by_words = [found[kind, largest.rows] for kind in KINDS]
    for key, each in zip(KEYS.values(), with_frequencies.values()):
        report.measured(f"search_words_{key}", each.ratio(WORDS, WORDS_PEER))
    if WORDS_ON_PEER in by_words[0].ms:
        report.measured("search_peer", max(each.ratio(WORDS_ON_PEER, WORDS_PEER) for each in by_words))
        report.measured("search_peer_above", max(each.above(WORDS_ON_PEER, WORDS_PEER) for each in by_words))
    else:
        reason = f"not available: hybrid_search does not use an index of {PEER}"
        report.unavailable(["search_peer", "search_peer_above"], reason)


def tables(bench, tables_, found, with_frequencies):
    """The tables and the plots."""
    ordered = [(kind, f"{table.rows:,}", found[kind, table.rows]) for kind in KINDS for table in tables_]
    embedded = [row for row in ordered if row[2].steps]
    _both(bench, embedded)
    on_frequencies = [(kind, f"{tables_[-1].rows:,}, frequencies", each) for kind, each in with_frequencies.items()]
    both = sorted([*ordered, *on_frequencies], key=lambda row: KINDS.index(row[0]))
    _words(bench, both, tables_[-1])
    _steps(bench, embedded)
    _answers(bench, both)
    _loading(bench, tables_)
    _plot(bench, "search", "hybrid_search, both legs, as the table grows", embedded, HYBRID, HAND)
    peer = WORDS_PEER if tables_[-1].peer else WORDS_HAND
    _plot(bench, "search_words", "hybrid_search, words alone, as the table grows", ordered, WORDS, peer)


def _both(bench, rows):
    size = bench.sizes
    bench.report.table(
        "Search: both legs, ms",
        ["", "rows", HYBRID, "95 %", "prepared", HAND, "95 %", "prepared", "÷", "÷, prepared"]
        + ["parallel", "auto ÷ parallel", "vector_only"],
        [
            [kind, count, each.median(HYBRID), each.late(HYBRID), each.median(HYBRID + PREPARED)]
            + [each.median(HAND), each.late(HAND), each.median(HAND + PREPARED)]
            + [each.ratio(HYBRID, HAND), each.ratio(HYBRID + PREPARED, HAND + PREPARED)]
            + [each.median("parallel"), each.ratio(HYBRID, "parallel"), each.median("vector_only")]
            for kind, count, each in rows
        ],
        f"{size.searches} queries of each kind, {size.search_rounds} rounds, all ways in turns: medians of all, and what "
        "95 % of them take at most; ratios are medians of the queries' own. A plain statement carries text and embedding "
        f"as literals; a prepared one is an EXECUTE with the same literals. The page has {ways.PAGE} rows of "
        f"{ways.CANDIDATES} candidates from each leg. The SQL written by hand is one statement: `ts_rank_cd` over the "
        "documents with any of the words, nearest embeddings, reciprocal ranks. Where `auto` takes the way of "
        "`parallel`, their ratio would be 1 but for the noise, for which the bound leaves 0.05.",
    )  # fmt: skip


def _words(bench, rows, largest):
    peer = "" if largest.peer else f" {PEER}: not available, as this server does not have it."
    bench.report.table(
        "Search: words alone, ms",
        ["", "rows", HYBRID, "95 %", HAND, "95 %", PEER, "95 %", f"{PEER}, {ways.CANDIDATES} rows"]
        + [f"{HYBRID} on its index", "95 %", f"÷ {HAND}", f"÷ {PEER}", "on its index ÷ it"],
        [
            [kind, count]
            + [value for way in (WORDS, WORDS_HAND, WORDS_PEER) for value in (each.median(way), each.late(way))]
            + [each.median(WORDS_PEER_MANY), each.median(WORDS_ON_PEER), each.late(WORDS_ON_PEER)]
            + [each.ratio(WORDS, WORDS_HAND), each.ratio(WORDS, WORDS_PEER), each.ratio(WORDS_ON_PEER, WORDS_PEER)]
            for kind, count, each in rows
        ],
        f"As above, without an embedding, for the first {ways.PAGE} rows. `hybrid_search` is on the plain GIN index, "
        "on one over `harca.with_frequencies` where *frequencies* stands behind the rows, or on that of pg_textsearch. The SQL written by hand is `ts_rank_cd` over the documents with any of the "
        "words. A query with an exact term has a code of at most 4 documents and a word of 20 documents to 5 %; "
        "questions and related words have such words, and of two or three words, which come together rarely, each "
        "is in 0.5 to 5 %." + peer,
    )  # fmt: skip


def _steps(bench, rows):
    steps = ["classification", "terms", "keyword_leg", "vector_leg", "fusion"]
    bench.report.table(
        f"Search: steps of {HYBRID}, ms",
        ["", "rows", *(step.replace("_", " ") for step in steps), "classification and fusion, %", "no vector index"],
        [
            [kind, count, *(statistics.median(each.steps[step]) for step in steps), statistics.median(each.shares)]
            + [f"{sum(each.short)} of {len(each.short)}"]
            for kind, count, each in rows
        ],
        "Both legs, as `hybrid_search_explain` tells them, medians; the share is of the whole time that the client "
        "waits. *No vector index*: `auto` went as `keyword_first`.",
    )  # fmt: skip


def _answers(bench, rows):
    def percent(values):
        return 100 * statistics.mean(values) if values else None

    agreeing = [WORDS, WORDS_PEER, WORDS_ON_PEER, WORDS_HAND, "vector_only"]
    answering = [HYBRID, HAND, WORDS, WORDS_HAND]
    bench.report.table(
        "Search: answers, %",
        ["", "rows", *(f"first rows, {way}" for way in agreeing)]
        + [*(f"on the page, {way}" for way in answering), "first as `parallel`"],
        [
            [kind, count, *(percent(each.agree.get(way)) for way in agreeing)]
            + [percent(each.facts.get(way)) for way in answering]
            + [percent(each.same)]
            for kind, count, each in rows
        ],
        f"*First rows*: how many of the first {ways.PAGE} are those of BM25 (k1 = {K1}, b = {B}) over all documents, "
        f"computed without the server, and for `vector_only` those of a scan of all embeddings, for {SCANNED} queries of "
        "each kind. *On the page*: how much of what was put into the documents for the query; where hybrid_search has "
        "less than 100, the index of the embeddings has missed it: all else ends the run. *First as `parallel`*: whether "
        "`auto` has its first row; where several documents have a code, meaning decides.",
    )  # fmt: skip


def _loading(bench, tables_):
    steps = ["documents", *STEPS, GIN_WITH_FREQUENCIES]
    sizes = ["table", "GIN", GIN_WITH_FREQUENCIES, "HNSW", PEER]
    bench.report.table(
        "Search: loading, s",
        ["rows", *steps, "all", *(f"{what}, MB" for what in sizes)],
        [
            [f"{table.rows:,}", *(table.seconds.get(step) for step in steps), sum(table.seconds.values())]
            + [table.megabytes.get(what) for what in sizes]
            for table in tables_
        ],
        f"Documents of {LENGTHS[0]} to {LENGTHS[1]} words and embeddings of {DIMENSIONS} dimensions, made and inserted "
        "with their `tsvector`, into a table that is not logged; two workers beside the one who builds the index of the "
        f"embeddings, in a memory where it fits. Tables of more than {bench.sizes.embedded:,} rows have no embeddings, as "
        "the index would take longer than everything else.",
    )  # fmt: skip


def _plot(bench, name, title, rows, way, other):
    series = {}
    for kind, _, each in rows:
        for label, shown in ((kind, way), (f"{kind}, {other.removeprefix('words: ')}", other)):
            series.setdefault(label, []).append(each.median(shown))
    bench.report.plot(name, title, "lines", "ms", series, list(dict.fromkeys(f"{count} rows" for _, count, _ in rows)))
