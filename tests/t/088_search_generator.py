#!/usr/bin/env python3
"""Random tables, texts, filters and searches: hybrid_search gives what one plain statement gives that scores every row.

The statement knows the text search configuration and pgvector's operators, and nothing of the extension's functions. A case is
right when each page has as many rows as it is to have, when each row has the scores that the statement gives it, and when no
row is missing that scores higher than one of the page by more than rounding.

A case that fails prints what it takes to run it again. HARCA_GENERATED_TABLES says how many tables are made (25 by default, with
80 searches each), HARCA_GENERATED_FROM with which seed they begin.
"""

import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, ok  # noqa: E402
from harness.registry import literal  # noqa: E402
from harness.server import PgError  # noqa: E402
from harness.wire import Connection  # noqa: E402

DB = "harca_generated"
TABLES = int(os.environ.get("HARCA_GENERATED_TABLES", "25"))
FIRST_SEED = int(os.environ.get("HARCA_GENERATED_FROM", "1"))
SEARCHES = 80
# Seeds of tables that have failed once stay here.
KEPT = []
# Weights are kept in four bytes.
TOLERANCE = 2e-5

WORDS = """harbour crane lunch login timeout index rebuilt searching the of and wifi Wi-Fi AX-1200/B ef_search getUserById C++ .NET
    16.4 1,000 v1.2.3 2026 café IT running runner 東京 天気 全文検索 設定 サーバー さくら の開花 X線 12月 検索エンジン ガッコウ 🚢""".split()
PHRASES = ["harbour crane", "login timeout", "全文検索", "ef_search", "lunch"]
OPERATORS = {"cosine": "<=>", "l2": "<->", "inner_product": "<#>"}
SIMILARITY = {"cosine": "1 - ({})", "l2": "-({})", "inner_product": "-({})"}


class Table:
    """A random table, registered, beside what the statement needs of its words."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        chance = self.random.random
        self.rows = self.random.choice([0, 1, 2, 7, 30, 60, 120, 180])
        self.config = self.random.choice(["harca", "harca", "harca", "simple", "english", "harca_kana"])
        self.query_config = {"harca": "harca_query", "harca_kana": "harca_kana_query"}.get(self.config, self.config)
        self.distance = self.random.choice(list(OPERATORS))
        self.vector = self.random.choice(["vector", "vector", "halfvec"])
        self.dimensions = self.random.choice([2, 8])
        self.two_columns = chance() < 0.3
        self.partitioned = chance() < 0.2
        self.index = self.random.choice(["", "(tsv)", "(harca.with_frequencies(tsv))"])
        self.vocabulary = self.random.sample(WORDS, self.random.randint(3, len(WORDS)))
        self.k1, self.b = 0.9, 0.4

    def text(self, most):
        """Words with blanks between most of them; some come again and again."""
        words = [self.random.choice(self.vocabulary[: self.random.randint(1, len(self.vocabulary))]) for _ in range(self.random.randint(0, most))]
        if words and self.random.random() < 0.15:
            words += [self.random.choice(PHRASES)]
        return "".join(word + self.random.choice([" ", " ", " ", ", ", "" if ord(word[-1]) > 0x2E80 else " "]) for word in words)

    def embedding(self):
        """A random vector, some of zeros."""
        if self.random.random() < 0.02:
            return "[" + ",".join("0" * self.dimensions) + "]"
        return "[" + ",".join(f"{self.random.gauss(0, 1):.6f}" for _ in range(self.dimensions)) + "]"

    def create(self, connection):
        """Makes and registers it."""
        rows = []
        for n in range(self.rows):
            text = None if self.random.random() < 0.05 else self.text(self.random.choice([3, 12, 40]))
            embedding = None if self.random.random() < 0.1 else self.embedding()
            kind = self.random.choice(["fact", "decision", "it's", None])
            size = self.random.choice([None, *range(6)])
            tenant = self.random.choice(["north", 'the "south"', "西"])
            values = [str(n), literal(tenant), *("NULL" if v is None else literal(v) for v in (text, kind, size, embedding))]
            rows.append(f"({','.join(values)})")
        key = "PRIMARY KEY (tenant, id)" if self.two_columns else "PRIMARY KEY (id)"
        parts = "PARTITION BY HASH (id)" if self.partitioned else ""
        identifier = "jsonb_build_array(tenant, id)::text" if self.two_columns else "id::text"
        connection.query(f"""
            DROP TABLE IF EXISTS document, plain_document, plain_lexeme, plain_total;
            CREATE TABLE document (
                id integer NOT NULL, tenant text NOT NULL, content text, kind text, size integer, embedding {self.vector}({self.dimensions}),
                tsv tsvector GENERATED ALWAYS AS (to_tsvector('{self.config}', content)) STORED, {key}) {parts}""")
        if self.partitioned:
            for n in range(3):
                connection.query(f"CREATE TABLE document_{n} PARTITION OF document FOR VALUES WITH (MODULUS 3, REMAINDER {n})")
        if rows:
            connection.query("INSERT INTO document (id, tenant, content, kind, size, embedding) VALUES " + ",".join(rows))
        if self.index:
            connection.query(f"CREATE INDEX ON document USING gin {self.index}")
        columns = "id_columns => '{tenant,id}'" if self.two_columns else "id_column => 'id'"
        connection.query(f"""
            ANALYZE document;
            SELECT harca.register_search_target('document', 'document', config => '{self.config}', distance => '{self.distance}',
                                                calibration => 'off', replace => true, {columns});
            CREATE TABLE plain_document AS SELECT {identifier} AS id, tsv, embedding, kind, size FROM document;
            CREATE TABLE plain_lexeme AS
            SELECT d.id, u.lexeme, coalesce(cardinality(u.positions), 1) AS times FROM plain_document AS d, unnest(d.tsv) AS u;
            CREATE INDEX ON plain_lexeme (lexeme);
            CREATE TABLE plain_total AS
            SELECT (SELECT count(*) FROM plain_document WHERE tsv IS NOT NULL)::float8 AS documents,
                   (SELECT sum(times) FROM plain_lexeme)::float8 / nullif((SELECT count(*) FROM plain_document WHERE tsv IS NOT NULL), 0) AS average,
                   (SELECT nullif(stddev_samp(d.distance), 0) FROM (
                    SELECT a.embedding {OPERATORS[self.distance]} b.embedding AS distance FROM plain_document AS a JOIN plain_document AS b ON a.id < b.id
                    WHERE a.embedding IS NOT NULL AND b.embedding IS NOT NULL) AS d WHERE d.distance <> 'NaN') AS deviation;
            ANALYZE plain_lexeme""")

    def search(self):
        """A random search."""
        return Search(self)


class Search:
    """A random search of a table: as arguments of hybrid_search, and as one plain statement."""

    def __init__(self, table):
        self.table, pick = table, table.random
        self.query = pick.choice(["", "?"]) if pick.random() < 0.05 else table.text(5)
        self.phrases = pick.sample(PHRASES, pick.randint(1, 2)) if pick.random() < 0.15 else []
        self.query += "".join(f' "{phrase}"' for phrase in self.phrases)
        self.embedding = None if pick.random() < 0.25 else table.embedding()
        without = ["auto", "parallel", "keyword_only", "keyword_first"]
        self.strategy = pick.choice(without if self.embedding is None else [*without, "vector_first", "vector_only", "intersection"])
        self.fusion = pick.choice(["auto", "auto", "auto", "max", "minmax", "zscore", "sigmoid", "rrf"])
        self.required = bool(self.phrases) and self.strategy in ("auto", "parallel", "keyword_only") and pick.random() < 0.4
        self.limit, self.offset = pick.choice([None, 1, 3, 10, 25]), pick.choice([0, 0, 0, 2, 10])
        self.candidates = pick.choice([1000, 1000, 40]) if table.vector == "vector" else 1000
        self.weight = pick.randint(4, 15) / 16
        others = [(0, 0), (0, 1), (0.5, 0), (2, 0.75), (1.2, 0.3)]
        self.k1, self.b = pick.choice(others) if pick.random() < 0.2 else (table.k1, table.b)
        self.boost = pick.random() < 0.2
        self.filter, self.condition = pick.choice([
            (None, "true"), (None, "true"), (None, "true"),
            ({"kind": "it's"}, "kind = 'it''s'"),
            ({"kind": None}, "kind IS NULL"),
            ({"kind": {"ne": "fact"}}, "kind <> 'fact'"),
            ({"kind": ["fact", "decision"], "size": {"gte": 1, "lt": 5}}, "kind IN ('fact', 'decision') AND size >= 1 AND size < 5"),
            ({"size": {"ne": None}}, "size IS NOT NULL"),
            ({"size": 7}, "false"),
        ])  # fmt: skip

    def options(self):
        """The options of hybrid_search."""
        options = {"strategy": self.strategy, "fusion": self.fusion, "vector_weight": self.weight, "candidates": self.candidates}
        if self.required:
            options["phrases"] = "require"
        if (self.k1, self.b) != (self.table.k1, self.table.b):
            options |= {"k1": self.k1, "b": self.b}
        if self.boost:
            options["boosts"] = {"size": {"weight": 0.5, "max": 4}}
        return options

    def call(self, whole=False):
        """The search, or that of all rows."""
        embedding = "NULL" if self.embedding is None else literal(self.embedding)
        limit = "NULL" if whole or self.limit is None else self.limit
        offset = 0 if whole else self.offset
        filter_ = "NULL" if self.filter is None else literal(json.dumps(self.filter))
        return f"hybrid_search('document', {literal(self.query)}, {embedding}, {limit}, {offset}, {filter_}, {literal(json.dumps(self.options()))})"

    def page(self):
        """The rows that hybrid_search gives: id, score, and the scores of both legs."""
        return f"SELECT id, score, vector_score, keyword_score FROM {self.call()}"

    def plain(self):
        """All rows that are found: id, score, the scores of both legs, and whether a leg's last row has an equal behind it."""
        table, method = self.table, self.fusion
        similarity = "NULL::float8"
        if self.embedding is not None:
            distance = f"d.embedding {OPERATORS[table.distance]} {literal(self.embedding)}::{table.vector}"
            similarity = f"nullif({SIMILARITY[table.distance].format(distance)}, 'NaN')"
        words = f"to_tsvector('{table.config}', {literal(self.query)})"
        words = f"coalesce(nullif(to_tsvector('{table.query_config}', {literal(self.query)}), ''), {words})"
        phrases = ", ".join(f"phraseto_tsquery('{table.config}', {literal(phrase)})" for phrase in self.phrases)
        strategy = "keyword_only" if self.strategy == "auto" and self.embedding is None else self.strategy
        weight = {"keyword_only": 0.0, "vector_only": 1.0}.get(self.strategy, self.weight)
        # Beside meaning, words of a query for an exact term count once in a document, unless the search asks for a k1.
        repetition = "1" if strategy == "keyword_only" or self.embedding is None or self.k1 != table.k1 else "repetition"
        norm = f"{self.k1} * {repetition} * (1 - {self.b} + {self.b} * coalesce(length / nullif(average, 0), 1))"
        # What a row of a leg brings, on the scale of each method.
        parts = {
            "auto": (
                "CASE WHEN deviation IS NOT NULL THEN (s - low) / (6 * deviation) WHEN high > low THEN 0.36 * (s - low) / (high - low) ELSE 0.36 END",
                "greatest(0, s) / nullif(power(greatest(high, 0), 0.25) * power(greatest(bound, high), 0.75), 0)",
            ),
            "max": ("CASE WHEN high > 0 THEN greatest(0, s / high) ELSE 0 END",) * 2,
            "minmax": ("CASE WHEN high > low THEN (s - low) / (high - low) ELSE 1 END",) * 2,
            "zscore": ("CASE WHEN high > low THEN (s - low) / spread ELSE 1 END",) * 2,
            "sigmoid": ("CASE WHEN high > low THEN 1 / (1 + exp((mean - s) / spread)) ELSE 0.5 END",) * 2,
            "rrf": ("1.0::float8 / (60 + r)",) * 2,
        }[method]
        # Words of rows that the vector leg alone has, and how far those are that the keyword leg alone has.
        by_own = {
            "auto": "greatest(0, x.words) / (power(greatest(k.high, 0), 0.25) * power(greatest(k.bound, k.high), 0.75))",
            "max": "greatest(0, x.words) / k.high",
        }.get(method)
        beside = f"coalesce(CASE WHEN kw.id IS NULL AND k.n > 0 THEN (1 - {weight}) * ({by_own}) END, 0)" if by_own and not self.required else "0"
        left = "1"
        if method == "auto":
            left = (
                f"CASE WHEN vec.id IS NULL AND v.deviation IS NOT NULL AND v.low IS NOT NULL AND x.similarity IS NOT NULL "
                f"THEN greatest(0, 1 - {weight} * greatest(0, (v.low - x.similarity) / (6 * v.deviation))) ELSE 1 END"
            )
        # A leg may only score the rows of the other one.
        vector_from = {"keyword_first": "id IN (SELECT id FROM kw)", "keyword_only": "false"}.get(strategy, "true")
        keyword_from = {"vector_first": "id IN (SELECT id FROM vec)", "vector_only": "false"}.get(strategy, "true")
        if self.required:
            keyword_from += " AND has_phrases"
        leg = (
            '{name} AS (SELECT id, {score} AS s, row_number() OVER (ORDER BY {score} DESC, id COLLATE "C") AS r'
            f" FROM x WHERE {{rows}} AND {{score}} IS NOT NULL ORDER BY r LIMIT {self.most()})"
        )
        vec = leg.format(name="vec", score="similarity", rows=vector_from)
        kw = leg.format(name="kw", score="words", rows=keyword_from)
        legs = f"{vec}, {kw}" if strategy == "vector_first" else f"{kw}, {vec}"
        found = "vec.id IS NOT NULL AND kw.id IS NOT NULL" if strategy == "intersection" else "vec.id IS NOT NULL OR kw.id IS NOT NULL"
        factor = "1 + 0.5 * least(1, greatest(0, coalesce(d.size, 0) / 4.0::float8))" if self.boost else "1"
        return f"""
            WITH q AS (SELECT lexeme, cardinality(positions) AS times FROM unnest({words})),
            term AS (SELECT q.lexeme, c.n, q.times * ln(1 + (t.documents - c.n + 0.5) / (c.n + 0.5)) AS weight
                     FROM q, plain_total AS t, LATERAL (SELECT count(*) AS n FROM plain_lexeme AS l WHERE l.lexeme = q.lexeme) AS c),
            exact AS (SELECT 1 - keyword * coalesce(power(least(1, 4 / (SELECT nullif(min(n), 0) FROM term WHERE n > 0)::float8), 1.5), 0) AS repetition
                      FROM (SELECT c.scores[l.ordinality] AS keyword FROM classify_query({literal(self.query)}) AS c, harca.labels() AS l WHERE l.label = 'keyword') AS c),
            phrase AS (SELECT p.phrase, ln(1 + (t.documents - c.n + 0.5) / (c.n + 0.5)) AS weight
                       FROM unnest(ARRAY[{phrases}]::tsquery[]) AS p (phrase), plain_total AS t,
                            LATERAL (SELECT count(*) AS n FROM plain_document AS d WHERE d.tsv @@ p.phrase) AS c
                       WHERE numnode(p.phrase) > 0 AND EXISTS (SELECT FROM q)),
            length AS (SELECT id, sum(times) AS length FROM plain_lexeme GROUP BY id),
            word AS (SELECT l.id, sum(term.weight * l.times / (l.times + {norm})) AS score
                     FROM plain_lexeme AS l JOIN term USING (lexeme) JOIN length USING (id), plain_total AS t, exact GROUP BY l.id),
            x AS MATERIALIZED (
                SELECT d.id, {similarity} AS similarity, {factor} AS factor,
                       -- Sums that are equal but for the order of their terms are.
                       CASE WHEN word.id IS NOT NULL OR p.weight IS NOT NULL
                            THEN round((coalesce(word.score, 0) + coalesce(p.weight, 0))::numeric, 9)::float8 END AS words,
                       p.found IS NOT DISTINCT FROM (SELECT count(*) FROM phrase) AS has_phrases
                FROM plain_document AS d LEFT JOIN word USING (id),
                     LATERAL (SELECT sum(weight) AS weight, count(*) AS found FROM phrase WHERE d.tsv @@ phrase.phrase) AS p
                WHERE ({self.condition}) IS TRUE),
            {legs},
            v AS (SELECT count(*) AS n, min(s) AS low, max(s) AS high, avg(s) AS mean, stddev_pop(s) AS spread,
                         CASE WHEN count(*) > 0 THEN (SELECT deviation FROM plain_total) END AS deviation FROM vec),
            k AS (SELECT count(*) AS n, min(s) AS low, max(s) AS high, avg(s) AS mean, stddev_pop(s) AS spread,
                         (SELECT coalesce(sum(weight), 0) FROM term) + (SELECT coalesce(sum(weight), 0) FROM phrase) AS bound FROM kw),
            vector_part AS (SELECT id, {parts[0]} AS part FROM vec, v),
            keyword_part AS (SELECT id, coalesce({parts[1]}, 0) AS part FROM kw, k)
            SELECT x.id, x.factor * ({left}) * (coalesce({weight} * vp.part, 0) + coalesce((1 - {weight}) * kp.part, 0) + {beside}) AS score,
                   x.similarity, x.words,
                   (SELECT count(*) FROM x AS y, k WHERE y.words IS NOT NULL AND k.n = {self.most()} AND abs(y.words - k.low) < 1e-9) > 1
                   OR (SELECT count(*) FROM x AS y, v WHERE v.n = {self.most()} AND abs(y.similarity - v.low) < 1e-9) > 1 AS tie
            FROM x LEFT JOIN vec USING (id) LEFT JOIN kw USING (id)
                   LEFT JOIN vector_part AS vp USING (id) LEFT JOIN keyword_part AS kp USING (id), v, k
            WHERE {found}"""

    def most(self):
        """Rows that are taken from each leg."""
        return max(self.candidates, (self.limit or 0) + self.offset)


def near(a, b):
    """Whether two scores are the same but for rounding."""
    if a is None or b is None:
        return a is b
    a, b = float(a), float(b)
    return abs(a - b) <= TOLERANCE * max(1.0, abs(a), abs(b))


def ranked_by_rounding(search, connection):
    """Whether ranks hang on the last digit of a sum, of weights of four bytes: two rows have scores that are next to equal."""
    scores = sorted(float(score) for (score,) in connection.query(f"SELECT keyword_score FROM {search.call(whole=True)}") if score)
    return search.fusion == "rrf" and any(0 < b - a < 1e-6 * b for a, b in zip(scores, scores[1:]))


def wrong(search, page, plain):
    """What is wrong with a page; none where nothing is."""
    known = {id_: scores for id_, *scores, _ in plain}
    ranked = sorted((float(score) for _, score, *_ in plain), reverse=True)[search.offset :]
    expected = ranked if search.limit is None else ranked[: search.limit]
    if len(page) != len(expected):
        return f"{len(page)} rows instead of {len(expected)}"
    if len({id_ for id_, *_ in page}) != len(page):
        return "a row comes twice"
    for place, (id_, score, vector_score, keyword_score) in enumerate(page):
        if id_ not in known:
            return f"row {id_} is not to be found"
        own, similarity, words = known[id_]
        if not near(score, own) or not near(own, expected[place]):
            return f"row {id_} in place {place} has {score}: {own} by itself, {expected[place]} in that place"
        if search.strategy != "intersection" and search.embedding is not None and not near(vector_score, similarity):
            return f"row {id_} has the similarity {vector_score} instead of {similarity}"
        if search.strategy != "intersection" and not search.required and not near(keyword_score, words):
            return f"row {id_} has {keyword_score} by words instead of {words}"
    if [float(row[1]) for row in page] != sorted((float(row[1]) for row in page), reverse=True):
        return "the rows are not in the order of their scores"
    return None


server = Server.attach()
server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE", DB)
cases = ties = found = 0
with Connection(server, DB) as connection:
    connection.query("SET jit = off")
    for seed in [*KEPT, *range(FIRST_SEED, FIRST_SEED + TABLES)]:
        table = Table(seed)
        table.create(connection)
        connection.query(f"SET enable_seqscan = {'off' if table.index else 'on'}")
        failures = []
        for number in range(SEARCHES):
            search = table.search()
            try:
                page, plain = connection.query(search.page()), connection.query(search.plain())
            except PgError as error:
                failures.append(f"{error}\n{search.call()}")
                continue
            cases += 1
            found += len(page)
            # Which of equal rows are candidates hangs on the last digit of a sum.
            if plain and any(row[-1] == "t" for row in plain):
                ties += 1
                continue
            problem = wrong(search, page, plain)
            if problem and ranked_by_rounding(search, connection):
                ties += 1
            elif problem:
                failures.append(f"search {number}: {problem}\n{search.call()}\n{search.plain() if len(failures) < 1 else ''}")
        is_(failures[:3], [], f"table {seed}: {table.rows} rows, {table.config}, {table.distance}")
ok(found > cases, f"{cases:,} searches have found {found:,} rows")
ok(ties < cases / 10, f"{ties} of them end a leg between equal rows")
done()
