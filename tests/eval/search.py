"""A collection in PostgreSQL, and the ways to search it. All retrieval is the server's."""

import json
import os
import time
from dataclasses import dataclass

from harness import Server, copy
from harness.wire import Connection

DATABASE = "harca_eval"
SETTINGS = {
    "shared_preload_libraries": "pg_harca",
    "shared_buffers": "1GB",
    "maintenance_work_mem": "512MB",
    "max_wal_size": "4GB",
    "autovacuum": "off",
    "jit": "off",
}
# Rows that are taken from each leg, and how deep the fused list is looked at.
CANDIDATES = 100
# The parameters of BM25 that harca.tune_search tries; the sixth of the pairs are those of a new registration.
K1_GRID, B_GRID = "{0.5,0.9,1.3,1.8,2.5}", "{0.2,0.4,0.6,0.8}"


@dataclass
class Legs:
    """What both legs have found for a query: ids and scores, best first, and what the fusion is told beside them."""

    vector: list
    keyword: list
    deviation: float
    bound: float


class Engine:
    """A private server with one collection at a time."""

    def __init__(self, pg_config):
        self.server = Server(f"test-eval-{os.getpid()}", pg_config, SETTINGS)
        self.server.start()
        self.server.psql(f"CREATE DATABASE {DATABASE}")
        self.server.psql("CREATE EXTENSION pg_harca CASCADE", DATABASE)
        self.connection = Connection(self.server, DATABASE)

    def load(self, documents, embeddings):
        """Fills and indexes the table, and registers it as its owner would: nothing is tuned."""
        self.connection.query(f"""
            SELECT harca.drop_search_target(name) FROM harca.search_target;
            DROP TABLE IF EXISTS document, judged;
            CREATE TABLE judged (query text, exactness float8, measure float8, curve float8[]);
            CREATE TABLE document (
                id text PRIMARY KEY,
                content text NOT NULL,
                embedding vector({len(embeddings[0])}) NOT NULL,
                tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED
            )""")
        self._copy("document (id, content, embedding)", ((id_, text, vector_literal(v)) for (id_, text), v in zip(documents, embeddings)))
        self.connection.query("""
            CREATE INDEX ON document USING gin (tsv);
            CREATE INDEX ON document USING hnsw (embedding vector_cosine_ops);
            ANALYZE document;
            SELECT harca.register_search_target('document', 'document')""")

    def ask(self, queries, embeddings):
        """Loads the queries that the methods below answer; they give one answer for each, in order."""
        self.connection.query("DROP TABLE IF EXISTS query; CREATE TABLE query (place integer PRIMARY KEY, content text, embedding vector)")
        self._copy("query", ((i, text, vector_literal(v)) for i, ((_, text), v) in enumerate(zip(queries, embeddings))))
        self.connection.query("ANALYZE query")

    def search(self, **options):
        """The ids that hybrid_search gives with these options, and the seconds that a query takes.

        The legs have been asked for before, so that the time is that of a server at work.
        """
        sql = (
            "SELECT q.place, array_to_json(array_agg(h.id ORDER BY h.place)) FROM query AS q LEFT JOIN LATERAL ("
            f" SELECT s.id, row_number() OVER () AS place FROM hybrid_search('document', q.content, q.embedding, {CANDIDATES},"
            f" options => '{json.dumps(options)}') AS s) AS h ON true GROUP BY q.place ORDER BY q.place"
        )
        started = time.perf_counter()
        rows = self.connection.query(sql)
        return [[id_ for id_ in json.loads(ids) if id_ is not None] for _, ids in rows], (time.perf_counter() - started) / len(rows)

    def calibrate(self, way):
        """What becomes of what searches tell of the table: "on" or "off"."""
        self.connection.query(f"UPDATE harca.search_target SET calibration = '{way}'")

    def weight(self):
        """The weight of the vector leg that searches go by now."""
        return float(self.connection.value("SELECT vector_weight FROM harca.stat_search_target"))

    def ask_some(self, places):
        """Searches for some of the queries, by their places, as an application does."""
        self.connection.query(f"""
            SELECT count(*) FROM unnest('{{{",".join(map(str, places))}}}'::integer[]) AS p (place) JOIN query AS q USING (place),
                                 hybrid_search('document', q.content, q.embedding)""")

    def legs(self, **options):
        """What each leg finds when both run, as hybrid_search shows it with these options."""
        options = json.dumps({"strategy": "parallel", **options})
        rows = self.connection.query(f"""
            SELECT q.place,
                   coalesce(json_agg(json_build_array(h.id, h.vector_score) ORDER BY h.vector_rank) FILTER (WHERE h.vector_rank IS NOT NULL), '[]'),
                   coalesce(json_agg(json_build_array(h.id, h.keyword_score) ORDER BY h.keyword_rank) FILTER (WHERE h.keyword_rank IS NOT NULL), '[]'),
                   (SELECT s.similarity_deviation FROM harca.search_statistics AS s),
                   (hybrid_search_explain('document', q.content, "limit" => 0) -> 'fusion' ->> 'keyword_bound')::float8
            FROM query AS q
            -- Both legs together have twice as many rows as one at most: two pages.
            LEFT JOIN LATERAL (
                SELECT s.* FROM generate_series(0, {CANDIDATES}, {CANDIDATES}) AS page,
                                hybrid_search('document', q.content, q.embedding, {CANDIDATES}, page,
                                              options => '{options}') AS s
            ) AS h ON true
            GROUP BY q.place, q.content ORDER BY q.place""")
        return [
            Legs(json.loads(vector), json.loads(keyword), float(deviation), float(bound or 0))
            for _, vector, keyword, deviation, bound in rows
        ]

    def fuse(self, legs, weights, method="auto"):
        """For each weight of the vector leg, the ids that harca.fuse makes of the legs of each query."""
        self.connection.query("DROP TABLE IF EXISTS leg; CREATE TABLE leg (place integer, v json, k json, deviation float8, bound float8)")
        self._copy("leg", ((i, json.dumps(leg.vector), json.dumps(leg.keyword), leg.deviation, leg.bound) for i, leg in enumerate(legs)))
        rows = self.connection.query(f"""
            SELECT w.n, l.place, (
                SELECT json_agg(f.id) FROM (
                    SELECT f.id FROM harca.fuse(
                        ARRAY(SELECT e ->> 0 FROM json_array_elements(l.v) AS e), ARRAY(SELECT (e ->> 1)::float8 FROM json_array_elements(l.v) AS e),
                        ARRAY(SELECT e ->> 0 FROM json_array_elements(l.k) AS e), ARRAY(SELECT (e ->> 1)::float8 FROM json_array_elements(l.k) AS e),
                        w.weight, '{method}', l.deviation, nullif(l.bound, 0)) AS f
                    LIMIT {CANDIDATES}
                ) AS f)
            FROM unnest('{{{",".join(map(str, weights))}}}'::float8[]) WITH ORDINALITY AS w (weight, n), leg AS l
            ORDER BY w.n, l.place""")
        answers = [json.loads(ids or "[]") for *_, ids in rows]
        return [answers[i * len(legs) : (i + 1) * len(legs)] for i in range(len(weights))]

    def judge(self, queries, embeddings, judgements):
        """What harca.tune_search learns from: for the text of each query its exactness, its nDCG as registered, and its curves.

        It keeps them beside those that it has had of this collection.
        """
        self.connection.query("DROP TABLE IF EXISTS judgement; CREATE TABLE judgement (query text, embedding vector, id text, grade real)")
        self._copy(
            "judgement",
            (
                (text, vector_literal(vector), document, grade)
                for (id_, text), vector in zip(queries, embeddings)
                for document, grade in judgements[id_].items()
            ),
        )
        self.connection.query(
            "INSERT INTO judged"
            f" SELECT * FROM harca.judged_curves('document', 'judgement', '{K1_GRID}', '{B_GRID}')"
        )
        rows = self.connection.query("SELECT query, exactness, measure, to_json(curve) FROM judged")
        return {query: (float(exactness), float(measure), json.loads(curve)) for query, exactness, measure, curve in rows}

    def tune(self, texts):
        """What harca.tune_search makes of these of the judged queries: weights, parameters, and nDCG before and by cross-validation."""
        self.connection.query("DROP TABLE IF EXISTS learned; CREATE TABLE learned (query text)")
        self._copy("learned", ((text,) for text in texts))
        places = "ARRAY(SELECT {} FROM generate_series(1, 5) AS i, generate_series(1, 4) AS j ORDER BY i, j)"
        (row,) = self.connection.query(f"""
            SELECT row_to_json(t) FROM (
                SELECT f.*, j.before FROM (
                    SELECT array_agg(exactness) AS exactness, array_agg(curve) AS curves, avg(measure) AS before
                    FROM judged JOIN (SELECT DISTINCT query FROM learned) AS l USING (query)
                ) AS j
                CROSS JOIN LATERAL harca.fit_weights(j.exactness, {places.format("i")}, {places.format("j")}, j.curves, 6, (SELECT vector_weight FROM harca.stat_search_target), 0.1) AS f
            ) AS t""")
        return json.loads(row[0])

    def words(self, texts):
        """The lexemes of each text, as the documents' configuration has them."""
        self.connection.query("DROP TABLE IF EXISTS word; CREATE TABLE word (place integer, content text)")
        self._copy("word", enumerate(texts))
        rows = self.connection.query("SELECT array_to_json(tsvector_to_array(to_tsvector('harca', content))) FROM word ORDER BY place")
        return [json.loads(lexemes) for (lexemes,) in rows]

    def remove(self):
        """Stops the server and deletes it."""
        self.connection.close()
        self.server.remove()

    def _copy(self, table, rows):
        self.server.psql(copy(table, rows), DATABASE)


def vector_literal(vector):
    """A vector as pgvector reads it."""
    return "[" + ",".join(f"{x:.6g}" for x in vector) + "]"
