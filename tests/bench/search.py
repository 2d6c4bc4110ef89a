"""How the time of a search grows with its table: strategies of hybrid_search beside what people write themselves in SQL.

The documents are made (corpus.py). A query is asked by all ways in turns, in one session, after each has answered it once: what
it needs is in memory then. No cache keeps its classification, so that it costs what that of a new query does.
"""

import concurrent.futures
import itertools
import json
import re
import statistics
import time
from dataclasses import dataclass, field

from harness import copy

from .batch import literal
from .clock import interleaved, medians
from .corpus import DIMENSIONS, NOISES, Corpus
from .servers import DATABASE, PRELOAD, connect

SETTINGS = {
    "pg_harca__cache_size": 0,
    # The largest table and its indexes fit, and loading it writes no more than it has to.
    "shared_buffers": "3GB",
    "wal_level": "minimal",
    "max_wal_senders": 0,
    # Several processes build the index of the embeddings in it, and /dev/shm is small in most containers.
    "dynamic_shared_memory_type": "sysv",
}
CHUNK = 20_000
HOUR = 3600
PAGE, CANDIDATES = 10, 100

TABLES = f"""
SET client_min_messages = warning;
DROP TABLE IF EXISTS bench.document, bench.made, bench.topic, bench.noise;
CREATE TABLE bench.document (
    id integer PRIMARY KEY,
    content text NOT NULL,
    tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED,
    embedding vector({DIMENSIONS}) NOT NULL
);
CREATE UNLOGGED TABLE bench.made (id integer, content text, topic integer, noise integer, more integer);
CREATE UNLOGGED TABLE bench.topic (number integer PRIMARY KEY, v vector({DIMENSIONS}));
CREATE UNLOGGED TABLE bench.noise (number integer PRIMARY KEY, v vector({DIMENSIONS}));
"""
INSERT = """
INSERT INTO bench.document (id, content, embedding)
SELECT m.id, m.content, l2_normalize(t.v + n.v + o.v)
FROM bench.made AS m
JOIN bench.topic AS t ON t.number = m.topic
JOIN bench.noise AS n ON n.number = m.noise
JOIN bench.noise AS o ON o.number = m.more
ORDER BY m.id;
TRUNCATE bench.made;
"""
# What makes a full table a searchable one; {} is the memory in which the graph of the embeddings has to fit.
STEPS = {
    "GIN": "CREATE INDEX words ON bench.document USING gin (tsv)",
    "HNSW": "SET maintenance_work_mem = '{}MB'; SET max_parallel_maintenance_workers = 2; "
    "CREATE INDEX embeddings ON bench.document USING hnsw (embedding vector_cosine_ops)",
    "VACUUM": "VACUUM (ANALYZE) bench.document",
    "registering": "SELECT harca.register_search_target('document', 'bench.document', replace => true)",
}
EMBEDDINGS = """
SELECT d.id, l2_normalize(d.embedding + n.v)
FROM bench.document AS d JOIN bench.noise AS n ON n.number = d.id % {noises}
WHERE d.id IN ({ids})
"""

STRATEGIES = ["auto", "parallel", "keyword_only", "vector_only"]
ARGUMENTS = """('document', {text}, {embedding}, {page}, options => '{{"strategy": "{strategy}"}}')"""
PLAIN = "plain SQL"
RECIPE = """
WITH keyword AS (
    SELECT id, row_number() OVER (ORDER BY ts_rank_cd(tsv, q) DESC) AS place
    FROM bench.document, to_tsquery('harca', {words}) AS q
    WHERE tsv @@ q
    ORDER BY ts_rank_cd(tsv, q) DESC
    LIMIT {candidates}
), vector AS (
    SELECT id, row_number() OVER (ORDER BY embedding <=> {embedding}) AS place
    FROM bench.document
    ORDER BY embedding <=> {embedding}
    LIMIT {candidates}
)
SELECT id, coalesce(1.0 / (60 + keyword.place), 0) + coalesce(1.0 / (60 + vector.place), 0) AS score
FROM keyword FULL JOIN vector USING (id)
ORDER BY score DESC
LIMIT {page}
"""
# kind of query: the requirement on it
KEYS = {
    "exact term": "search_exact_term",
    "code alone": "search_code",
    "keyword": "search_keyword",
    "question": "search_question",
    "hybrid": "search_hybrid",
}


@dataclass
class Found:
    """What was measured for the queries of one kind, one value for each query.

    ms: way → milliseconds; steps: step → milliseconds within auto; shares: of classification and fusion, in percent; short:
    whether auto did without the index of the embeddings; same: whether auto and parallel have the same first row.
    """

    ms: dict = field(default_factory=dict)
    steps: dict = field(default_factory=dict)
    shares: list = field(default_factory=list)
    short: list = field(default_factory=list)
    same: list = field(default_factory=list)

    def ratio(self, way, other):
        """The median of the queries' own ratios."""
        return statistics.median(a / b for a, b in zip(self.ms[way], self.ms[other]))


def measure(bench):
    """Fills in the requirements on searches, by the largest table."""
    size = bench.sizes
    server = bench.servers.get("search", **PRELOAD, **SETTINGS)
    loads, found = [], {}
    for rows in size.tables:
        corpus = Corpus(rows)
        loads.append([f"{rows:,}", *_load(bench, server, corpus)])
        with connect(server, local_cache_size=0) as session:
            # So many candidates of its vector leg the recipe has to ask for; the strategies do so by themselves.
            session.query(f"SET hnsw.ef_search = {CANDIDATES}")
            queries = corpus.queries(size.searches)
            bench.check("queries of each kind", {len(some) for some in queries.values()}, {size.searches})
            statements = {kind: _statements(session, some) for kind, some in queries.items()}
            same = {kind: [_check(bench, session, *pair) for pair in zip(queries[kind], statements[kind])] for kind in queries}
            for kind in queries:
                found[kind, rows] = _ask(size, session, statements[kind], same[kind])
    for kind, key in KEYS.items():
        bench.report.measured(key, found[kind, rows].ratio("auto", "parallel"))
    bench.report.measured("search_share", max(statistics.median(found[kind, rows].shares) for kind in KEYS))
    _report(bench, loads, found)


def _load(bench, server, corpus):
    """Makes the table anew: the seconds of each step and of all, and the MB of the table and of its indexes."""
    seconds = []

    def run(what, sql):
        done = server.run(sql, DATABASE, timeout=HOUR)
        bench.check(f"complaints about {what}", done.err, "")
        return done.out

    def timed(what, step, *arguments):
        started = time.monotonic()
        step(what, *arguments)
        seconds.append(time.monotonic() - started)

    def insert(what):
        vectors = copy("bench.topic", corpus.topic_vectors()) + copy("bench.noise", corpus.noise_vectors())
        run(what, f"{TABLES}{vectors}ANALYZE bench.topic, bench.noise")
        documents = corpus.documents(3 * len(KEYS) * bench.sizes.searches)
        # The server reads one part while the next one is made here.
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            former = None
            while part := list(itertools.islice(documents, CHUNK)):
                sql = copy("bench.made", part) + INSERT
                if former:
                    former.result()
                former = pool.submit(run, what, sql)
            former.result()

    timed("documents", insert)
    for step, sql in STEPS.items():
        timed(step, run, sql.format(64 + corpus.rows // 1000))
    bench.check("rows of the table", int(run("counting", "SELECT count(*) FROM bench.document")), corpus.rows)
    bytes_ = run("sizes", "SELECT pg_table_size('bench.document'), pg_relation_size('bench.words'), pg_relation_size('bench.embeddings')")
    return [*seconds, sum(seconds), *(int(size) / 1e6 for size in bytes_.split("|"))]


def _statements(session, queries):
    """way → statement, for each query. Its embedding is that of the document it was drawn from, and noise."""
    ids = ",".join(str(query.document) for query in queries)
    embeddings = dict(session.query(EMBEDDINGS.format(noises=NOISES, ids=ids)))
    statements = []
    for query in queries:
        values = {"embedding": f"'{embeddings[str(query.document)]}'", "page": PAGE, "candidates": CANDIDATES}
        values |= {"text": literal(query.text), "words": literal(" | ".join(re.findall(r"[\w-]+", query.text)))}
        arguments = {name: ARGUMENTS.format(strategy=name, **values) for name in STRATEGIES}
        statements.append({name: f"SELECT * FROM hybrid_search{each}" for name, each in arguments.items()})
        statements[-1] |= {PLAIN: RECIPE.format(**values), "explain": f"SELECT hybrid_search_explain{arguments['auto']}"}
    return statements


def _check(bench, session, query, statements):
    """Every way gives a page, auto finds what has the code; returns whether auto and parallel have the same first row."""
    pages = {way: [int(id_) for id_, *_ in session.query(statements[way])] for way in (*STRATEGIES, PLAIN)}
    for way, page in pages.items():
        # Few documents have a word of a code.
        if way != "keyword_only" or not query.coded:
            bench.check(f"rows of {way} for {query.text}", len(page), PAGE)
    firsts = [pages[way][0] for way in ("auto", "parallel")]
    if query.coded:
        bench.check(f"documents with the code on the page for {query.text}", sorted(set(query.coded) & set(pages["auto"])), query.coded)
        bench.check(f"first rows with the code for {query.text}", set(firsts) - set(query.coded), set())
    else:
        bench.check(f"first rows for {query.text}", firsts[0], firsts[1])
    return firsts[0] == firsts[1]


def _ask(size, session, statements, same):
    """Measures the queries of one kind."""
    found = Found(same=same)
    for place, sql in enumerate(statements):
        variants = {way: lambda sql=sql[way]: 1000 * session.time(sql)[0] for way in (*STRATEGIES, PLAIN)}
        # Whoever comes second finds what the first has left in the processor's caches.
        order = reversed(variants.items()) if place % 2 else variants.items()
        typical = medians(interleaved(size.repeats, dict(order)))
        explained = json.loads(session.value(sql["explain"]))
        steps = explained["milliseconds"]
        for way, value in typical.items():
            found.ms.setdefault(way, []).append(value)
        for step, value in steps.items():
            found.steps.setdefault(step, []).append(value)
        found.shares.append(100 * (steps["classification"] + steps["fusion"]) / typical["auto"])
        found.short.append(explained["strategy"]["taken"] == "keyword_first")
    return found


def _report(bench, loads, found):
    """The tables and the plot."""
    size = bench.sizes
    ways = [*STRATEGIES, PLAIN]
    steps = ["classification", "terms", "keyword_leg", "vector_leg", "fusion"]
    ordered = [(kind, f"{rows:,}", found[kind, rows]) for kind in KEYS for rows in size.tables]
    bench.report.table(
        "Search: ms a query",
        ["", "rows", *ways, "auto ÷ parallel", f"auto ÷ {PLAIN}"],
        [
            [kind, rows, *(statistics.median(each.ms[way]) for way in ways), each.ratio("auto", "parallel"), each.ratio("auto", PLAIN)]
            for kind, rows, each in ordered
        ],
        f"Medians of {size.searches} queries of each kind and {size.repeats} rounds of each; the ratios are medians of the queries' "
        "own. Where `auto` takes the way of `parallel`, they would be 1 but for the noise, for which the bound leaves 0.05. The "
        f"page has {PAGE} rows of {CANDIDATES} candidates from each leg. Plain SQL is one statement: `ts_rank_cd` over the documents "
        "with any of the words, nearest embeddings, reciprocal ranks. A query with an exact term has a code of at most 4 documents "
        "and a word of 20 to 5 %; all other words are such words.",
    )
    bench.report.table(
        "Search: steps of `auto`, ms",
        ["", "rows", *(step.replace("_", " ") for step in steps), "classification and fusion, %", "no vector index", "first row as `parallel`"],
        [
            [kind, rows, *(statistics.median(each.steps[step]) for step in steps), statistics.median(each.shares)]
            + [f"{sum(answers)} of {len(answers)}" for answers in (each.short, each.same)]
            for kind, rows, each in ordered
        ],
        "As `hybrid_search_explain` tells them, medians; the share is of the whole time that the client waits. *No vector index*: "
        "`auto` went as `keyword_first`. Where several documents have the code, meaning decides on the first of them.",
    )
    bench.report.table(
        "Search: loading, s",
        ["rows", "documents", *STEPS, "all", "table, MB", "GIN, MB", "HNSW, MB"],
        loads,
        f"Documents of 30 to 60 words and embeddings of {DIMENSIONS} dimensions, made and inserted with their `tsvector`; two workers "
        "beside the one who builds the index of the embeddings, in a memory where it fits.",
    )
    series = {}
    for kind, _, each in ordered:
        for way, label in (("auto", kind), (PLAIN, f"{kind}, {PLAIN}")):
            series.setdefault(label, []).append(statistics.median(each.ms[way]))
    bench.report.plot("search", "hybrid_search as the table grows", "lines", "ms", series, [f"{rows:,} rows" for rows in size.tables])
