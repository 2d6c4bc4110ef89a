"""What a search costs a session at work: all ways in turns, each after it has answered the query once. Answers are checked.

No cache keeps the classification of a query, so that it costs what that of a new one does.
"""

import json
import statistics
from dataclasses import dataclass, field

from ..clock import interleaved, late
from ..servers import connect
from . import ways
from .brute_force import agreement
from .corpus import KINDS, terms
from .table import FREQUENCY_INDEX, GIN_INDEX, PEER_INDEX
from .ways import HYBRID, PAGE, PREPARED, WORDS_HAND, WORDS_PEER_MANY

# So many queries of a kind are compared with a scan of all embeddings.
SCANNED = 10


@dataclass
class Found:
    """What was measured for the queries of one kind on one table; a value, or a list of rounds, for each query.

    ms: way → milliseconds of each round; agree: way → share of the first rows that are those of a scan; facts: way → share
    of what answers the query that is on the page; steps: step → milliseconds within hybrid_search; shares: of classification
    and fusion, in percent; short: whether it did without the index of the embeddings; same: whether its first row is that
    of `parallel`.
    """

    ms: dict = field(default_factory=dict)
    agree: dict = field(default_factory=dict)
    facts: dict = field(default_factory=dict)
    steps: dict = field(default_factory=dict)
    shares: list = field(default_factory=list)
    short: list = field(default_factory=list)
    same: list = field(default_factory=list)

    def median(self, way):
        """The median of all rounds of all queries, or None for a way that was not asked."""
        return statistics.median(self._all(way)) if way in self.ms else None

    def late(self, way):
        """What 95 % of them take at most, or None."""
        return late(self._all(way)) if way in self.ms else None

    def ratio(self, way, other):
        """The median of the queries' own ratios, or None if one of the ways was not asked."""
        if way not in self.ms or other not in self.ms:
            return None
        return statistics.median(a / b for a, b in self._pairs(way, other))

    def above(self, way, other):
        """The median of the milliseconds by which a way takes longer than another."""
        return statistics.median(a - b for a, b in self._pairs(way, other))

    def _all(self, way):
        return [value for rounds in self.ms[way] for value in rounds]

    def _pairs(self, way, other):
        return zip(*(map(statistics.median, self.ms[each]) for each in (way, other)))


def measure(bench, table):
    """kind → Found."""
    found = {kind: Found() for kind in KINDS}
    with connect(table.server, local_cache_size=0) as session, connect(table.server) as scan:
        if table.embedded:
            session.query(ways.PREPARE)
            scan.query("SET enable_indexscan = off")
        facts = table.corpus.facts
        embeddings = table.embeddings(session, [fact.document for fact in facts])
        on_peer = _on_peer(bench, session, table)
        for number, fact in enumerate(facts):
            each, embedding = found[fact.kind], embeddings.get(fact.document)
            statements = ways.by_words(fact.text, table.peer, on_peer)
            _check_words(bench, each, table, fact, _pages(session, statements))
            if table.embedded:
                both = ways.by_both(fact.text, embedding)
                pages = _pages(session, both)
                if pages[HYBRID] != pages[HYBRID + PREPARED]:
                    # What the table learned from the first search, which counts once, may have moved the weight of the next.
                    pages = _pages(session, both)
                _check_both(bench, each, fact, pages)
                if number % bench.sizes.searches < SCANNED:
                    nearest = ways.page(scan, ways.EXACT.format(embedding=embedding))
                    each.agree.setdefault("vector_only", []).append(len(set(nearest) & set(pages["vector_only"])) / PAGE)
                statements |= both
            times = timed(session, statements, bench.sizes.search_rounds, number % 2)
            for way, rounds in times.items():
                each.ms.setdefault(way, []).append(rounds)
            if table.embedded:
                _take_steps(each, json.loads(session.value(ways.explained(fact.text, embedding))), times[HYBRID])
    return found


def measure_frequencies(bench, table):
    """kind → Found of the words alone, after the table's index of frequencies has been made."""
    found = {kind: Found() for kind in KINDS}
    with connect(table.server, local_cache_size=0) as session:
        for number, fact in enumerate(table.corpus.facts):
            statements = ways.by_words(fact.text, table.peer, False)
            del statements[WORDS_HAND]
            _check_words(bench, found[fact.kind], table, fact, _pages(session, statements))
            for way, rounds in timed(session, statements, bench.sizes.search_rounds, number % 2).items():
                found[fact.kind].ms.setdefault(way, []).append(rounds)
        used = ways.keyword_indexes(session, ways.GIN, fact.text)
        bench.check("indexes where there is one of frequencies", used, {FREQUENCY_INDEX})
    return found


def _on_peer(bench, session, table):
    """Whether there is an index of pg_textsearch for hybrid_search, which then uses it unless GIN is asked for."""
    text = next(fact.text for fact in table.corpus.facts if fact.kind == "question")
    used = ways.keyword_indexes(session, ways.GIN, text)
    bench.check("indexes but GIN where that is asked for", used - {GIN_INDEX}, set())
    if table.peer:
        bench.check("indexes where nothing is said and there is one of pg_textsearch", ways.keyword_indexes(session, ways.BM25, text), {PEER_INDEX})
    return table.peer


def _pages(session, statements):
    return {way: ways.page(session, sql) for way, sql in statements.items()}


def timed(session, statements, rounds, backwards):
    """way → milliseconds of each round, all ways in turns; backwards: in the opposite order."""
    # Whoever comes second finds what the first has left in the processor's caches.
    order = reversed(statements.items()) if backwards else statements.items()
    return interleaved(rounds, {way: lambda sql=sql: 1000 * session.time(sql)[0] for way, sql in order})


def _take_facts(found, fact, pages):
    """Counts what answers the query and is on the page; gives way → what is not."""
    answers = set(fact.coded or [fact.document])
    for way, page in pages.items():
        found.facts.setdefault(way, []).append(len(answers & set(page)) / len(answers))
    return {way: sorted(answers - set(page)) for way, page in pages.items()}


def _check_words(bench, found, table, fact, pages):
    """By its words alone, everything but ts_rank_cd has to find what answers the query, and as many rows as a scan does."""
    scores = table.corpus.brute_force.scores(terms(fact))
    missing = _take_facts(found, fact, pages)
    for way, page in pages.items():
        found.agree.setdefault(way, []).append(agreement(page, scores, PAGE))
        if way != WORDS_HAND:
            most = ways.CANDIDATES if way == WORDS_PEER_MANY else PAGE
            bench.check(f"rows of {way} for {fact.text}", len(page), min(most, len(scores)))
            bench.check(f"answers that {way} misses for {fact.text}", missing[way], [])


def _check_both(bench, found, fact, pages):
    """Every way of both legs gives a page, and hybrid_search finds what has the code, or what the plain strategy finds.

    This may be less than all where there is no code, as the index of the embeddings may not find the nearest one.
    """
    missing = _take_facts(found, fact, pages)
    for way, page in pages.items():
        bench.check(f"rows of {way} for {fact.text}", len(page), PAGE)
    forgiven = [] if fact.coded else missing["parallel"]
    bench.check(f"answers that {HYBRID} misses for {fact.text}", sorted(set(missing[HYBRID]) - set(forgiven)), [])
    bench.check(f"rows of the prepared {HYBRID} for {fact.text}", pages[HYBRID + PREPARED], pages[HYBRID])
    firsts = [pages[way][0] for way in (HYBRID, "parallel")]
    if fact.coded:
        bench.check(f"first rows with the code for {fact.text}", set(firsts) - set(fact.coded), set())
    else:
        bench.check(f"first rows for {fact.text}", firsts[0], firsts[1])
    found.same.append(firsts[0] == firsts[1])


def _take_steps(found, explained, rounds):
    """What hybrid_search_explain tells of a query, beside the rounds of hybrid_search itself."""
    steps = explained["milliseconds"]
    for step, value in steps.items():
        found.steps.setdefault(step, []).append(value)
    found.shares.append(100 * (steps["classification"] + steps["fusion"]) / statistics.median(rounds))
    found.short.append(explained["strategy"]["taken"] == "keyword_first")
