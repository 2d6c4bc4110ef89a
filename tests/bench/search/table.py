"""The table that is searched: made, loaded, indexed and registered, and what that takes."""

import concurrent.futures
import itertools
import time

from harness import copy

from ..servers import DATABASE, PRELOAD
from .brute_force import K1, B
from .corpus import CODED, DIMENSIONS, NOISES, code_lexemes

PEER = "pg_textsearch"
SETTINGS = {
    "pg_harca__cache_size": 0,
    # The largest table and its indexes nearly fit.
    "shared_buffers": "3GB",
    # So many candidates of its vector leg a hand-written search has to ask for; hybrid_search does so by itself.
    "hnsw__ef_search": 100,
    # Several processes build the index of the embeddings in it, and /dev/shm is small in most containers.
    "dynamic_shared_memory_type": "sysv",
}
CHUNK = 20_000
HOUR = 3600

# The table is logged, as those in use are; what it is made from need not be.
TABLES = f"""
SET client_min_messages = warning;
DROP TABLE IF EXISTS bench.document, bench.made, bench.topic, bench.noise;
CREATE TABLE bench.document (
    id integer PRIMARY KEY,
    content text NOT NULL,
    tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED,
    embedding vector({DIMENSIONS})
);
CREATE UNLOGGED TABLE bench.made (id integer, content text, topic integer, noise integer, more integer);
CREATE UNLOGGED TABLE bench.topic (number integer PRIMARY KEY, v vector({DIMENSIONS}));
CREATE UNLOGGED TABLE bench.noise (number integer PRIMARY KEY, v vector({DIMENSIONS}));
"""
# Without vectors, rows have no embedding.
INSERT = """
INSERT INTO bench.document (id, content, embedding)
SELECT m.id, m.content, l2_normalize(t.v + n.v + o.v)
FROM bench.made AS m
LEFT JOIN bench.topic AS t ON t.number = m.topic
LEFT JOIN bench.noise AS n ON n.number = m.noise
LEFT JOIN bench.noise AS o ON o.number = m.more
ORDER BY m.id;
TRUNCATE bench.made;
"""
GIN_INDEX, FREQUENCY_INDEX, HNSW_INDEX, PEER_INDEX = "words", "frequencies", "embeddings", "bm25"
TARGET = "document"
REGISTER = f"SELECT harca.register_search_target('{TARGET}', 'bench.document', replace => true)"
# What makes a full table a searchable one; {memory} is the memory in which the graph of the embeddings has to fit.
STEPS = {
    "GIN": f"CREATE INDEX {GIN_INDEX} ON bench.document USING gin (tsv)",
    "HNSW": "SET maintenance_work_mem = '{memory}MB'; SET max_parallel_maintenance_workers = 2; "
    f"CREATE INDEX {HNSW_INDEX} ON bench.document USING hnsw (embedding vector_cosine_ops)",
    "VACUUM": "VACUUM (ANALYZE) bench.document",
    "registering": REGISTER,
    PEER: "SET client_min_messages = warning; SET maintenance_work_mem = '256MB'; "
    f"CREATE INDEX {PEER_INDEX} ON bench.document USING bm25 (content) "
    f"WITH (text_config = 'public.harca', k1 = {K1}, b = {B})",
}
# For the largest table, after the rest has been measured.
GIN_WITH_FREQUENCIES = "GIN with frequencies"
MORE = f"CREATE INDEX {FREQUENCY_INDEX} ON bench.document USING gin (harca.with_frequencies(tsv)); ANALYZE bench.document"
SIZES = {
    "table": "pg_table_size('bench.document')",
    "GIN": f"pg_relation_size('bench.{GIN_INDEX}')",
    "HNSW": f"pg_relation_size('bench.{HNSW_INDEX}')",
    PEER: f"pg_relation_size('bench.{PEER_INDEX}')",
}
EMBEDDINGS = """
SELECT d.id, l2_normalize(d.embedding + n.v)
FROM bench.document AS d JOIN bench.noise AS n ON n.number = d.id % {noises}
WHERE d.id IN ({ids})
"""


def server(bench):
    """The server for searches, and whether it has pg_textsearch."""
    available = bench.search_servers.preloaded().psql(f"SELECT count(*) FROM pg_available_extensions WHERE name = '{PEER}'") == "1"
    libraries = PRELOAD["shared_preload_libraries"] + f", {PEER}" * available
    started = bench.search_servers.get("search", shared_preload_libraries=libraries, **SETTINGS)
    if available:
        started.psql(f"CREATE EXTENSION IF NOT EXISTS {PEER}", DATABASE)
    return started, available


class Table:
    """bench.document of a server, made anew with a corpus, with embeddings or not, with an index of pg_textsearch or not.

    seconds and megabytes tell what the steps took, and how large the table and its indexes are.
    """

    def __init__(self, bench, server, corpus, embedded, peer):
        self.server, self.corpus, self.embedded, self.peer = server, corpus, embedded, peer
        self.rows = corpus.rows
        self.seconds, self.megabytes = {}, {}
        self._bench = bench
        self._timed("documents", self._insert)
        absent = [name for name, there in (("HNSW", embedded), (PEER, peer)) if not there]
        for step, sql in STEPS.items():
            if step not in absent:
                self._timed(step, lambda step=step, sql=sql: self._run(step, sql.format(memory=128 + corpus.rows // 400)))
        bench.check("rows of the table", int(self._run("counting", "SELECT count(*) FROM bench.document")), corpus.rows)
        for what in SIZES.keys() - absent:
            self._measure_size(what, SIZES[what])

    def add_frequencies(self):
        """Makes the index that knows how often words come, which hybrid_search takes from then on."""
        self._timed(GIN_WITH_FREQUENCIES, lambda: self._run(GIN_WITH_FREQUENCIES, MORE))
        self._measure_size(GIN_WITH_FREQUENCIES, f"pg_relation_size('bench.{FREQUENCY_INDEX}')")

    def embeddings(self, session, documents):
        """document → an embedding near its own, as a literal; none where rows have none."""
        if not self.embedded:
            return {}
        found = session.query(EMBEDDINGS.format(noises=NOISES, ids=",".join(map(str, documents))))
        return {int(document): f"'{embedding}'" for document, embedding in found}

    def _measure_size(self, what, size):
        self.megabytes[what] = int(self._run("sizes", f"SELECT {size}")) / 1e6

    def _run(self, what, sql):
        done = self.server.run(sql, DATABASE, timeout=HOUR)
        self._bench.check(f"complaints about {what}", done.err, "")
        return done.out

    def _timed(self, what, step):
        started = time.monotonic()
        step()
        self.seconds[what] = time.monotonic() - started

    def _insert(self):
        corpus = self.corpus
        vectors = {"bench.topic": corpus.topic_vectors(), "bench.noise": corpus.noise_vectors()} if self.embedded else {}
        filled = "".join(itertools.starmap(copy, vectors.items()))
        self._run("vectors", f"{TABLES}{filled}ANALYZE bench.topic, bench.noise")
        documents = corpus.documents()
        # The server reads one part while the next one is made here.
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            former = None
            while part := list(itertools.islice(documents, CHUNK)):
                sql = copy("bench.made", part) + INSERT
                if former:
                    former.result()
                former = pool.submit(self._run, "documents", sql)
            former.result()
        self._check_lexemes()

    def _check_lexemes(self):
        """The brute force counts the words that the text search configuration makes of a document."""
        for place in (0, 1, CODED):
            sql = f"SELECT content, tsvector_to_array(tsv) FROM bench.document WHERE id = {place}"
            text, found = self._run("lexemes", sql).split("|")
            words = [lexeme for word in text.split() for lexeme in (code_lexemes(word) if "-" in word else [word])]
            self._bench.check(f"lexemes of document {place}", sorted(found.strip("{}").split(",")), sorted(set(words)))
