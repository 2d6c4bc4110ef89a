#!/usr/bin/env python3
"""Every SQL block of README and docs/ runs as it is written, page by page and in order, and what it shows is what comes.

A comment that begins with an arrow shows what the statement before it gives, up to a dash, a row a comment. A block whose fence has a word
behind "sql" does not run here, and the word says why (NOT_HERE).
"""

import os
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, ok  # noqa: E402
from harness.places import ROOT  # noqa: E402
from harness.registry import literal  # noqa: E402
from harness.server import PgError  # noqa: E402
from harness.training import rows_of, train  # noqa: E402
from harness.transformer import registration as registration_of_transformer  # noqa: E402
from harness.transformer import hub_folder, wide  # noqa: E402

PAGES = ["README.md", *(f"docs/{name}.md" for name in (
    "classification", "search", "text-search", "embedding", "embedders", "models", "engine", "settings", "monitoring", "metrics", "installation", "upgrading", "limits", "troubleshooting"))]  # fmt: skip
NOT_HERE = {"signature": "it is no statement", "hub": "it needs a model of a hub", "trained": "its model is trained for hours", "pg_textsearch": "it needs another extension"}
# Written by make bench and make eval.
WRITTEN = {"BENCHMARKS", "SEARCH_QUALITY"}
REQUESTS = ROOT / "models/training/examples/support_requests.tsv"
DB = "harca_documentation"

MEMORIES = """
    INSERT INTO memory (id, content, kind, importance, noted_at, embedding)
    SELECT n, CASE n WHEN 42 THEN 'we fixed the login timeout with a longer session' WHEN 43 THEN '全文検索の設定を見直した'
                     ELSE format('note %s about the harbour and lunch', n) END,
           CASE n % 3 WHEN 0 THEN 'decision' ELSE 'fact' END, n % 6, now() - n * interval '1 day',
           (SELECT array_agg(sin(n * d)) FROM generate_series(1, 384) AS d WHERE n > 0)::vector(384)
    FROM generate_series(1, 60) AS n"""
TABLE = "INSERT INTO memory (id, content, kind, embedding) SELECT m.id, m.content, m.kind, m.embedding FROM other.memory AS m"
MEMORY = """CREATE TABLE memory (id bigint PRIMARY KEY, content text, kind text, importance integer, noted_at timestamptz,
                                 embedding vector(384));""" + MEMORIES  # fmt: skip
QUESTIONS = "CREATE TABLE search_log AS SELECT * FROM (VALUES ('東京 天気'), ('how do I log in?'), ('causes of delay')) AS v (query)"
JUDGED = "CREATE TABLE judged (query text, label text)"
EMBEDDER = registration_of_transformer(*wide("multilingual-e5-small"))
JUDGEMENTS = """
    SELECT harca.record_feedback('memory', 'note ' || id, id::text, 1, embedding) FROM memory WHERE id <= 12"""
# What the reader of a page has: before it, and after the statement that begins so.
BEFORE = {
    "README.md": [f"CREATE SCHEMA other; SET search_path = other, public; {MEMORY}; RESET search_path", QUESTIONS, JUDGED, "requests"],
    "docs/classification.md": [QUESTIONS],
    "docs/text-search.md": [MEMORY],
    "docs/embedding.md": [EMBEDDER],
}
AFTER = [
    ("README.md", "CREATE TABLE memory", [TABLE]),
    ("docs/search.md", "CREATE TABLE memory", [MEMORIES]),
    ("docs/search.md", "SELECT harca.record_feedback", [JUDGEMENTS]),
    ("docs/models.md", "CREATE TABLE judged", ["requests"]),
    ("docs/text-search.md", "CREATE INDEX", ["SELECT harca.register_search_target('memory', 'memory')"]),
]
# Values of parameters, by their types: those of an application.
PARAMETERS = {
    "text": "'how did we fix the login timeout?'",
    "vector": f"'{[0.1] * 384}'",
    "double precision": "0.5",
}

TOKEN = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|[^'\";-]+|.", re.S)


def blocks(path):
    """The SQL blocks of a page: the line of each, the word behind its fence, and its text."""
    found, inside, first = [], None, 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = re.match(r"\s*```\s*(\w*)\s*(\S*)", line)
        if fence and inside is None:
            inside, first = [], number
            language, word = fence.groups()
        elif fence:
            if language == "sql":
                found.append((first, word, "\n".join(inside)))
            inside = None
        elif inside is not None:
            inside.append(line)
    return found


def statements(text):
    """The statements of a block, each with the rows that comments behind it show."""
    found, current = [], ""
    for line in re.findall(r"^\\.*$|(?:(?!^\\).|\n)+", text, re.M):
        if line.startswith("\\"):
            found.append((line, []))
            continue
        for token in TOKEN.findall(line):
            if token.startswith("--"):
                shown = re.match(r"--\s*→\s*(.*?)(?: — .*)?$", token)
                if shown and found and not current.strip():
                    found[-1][1].append(shown.group(1).rstrip())
            elif token == ";":
                found.append((current.strip(), []))
                current = ""
            else:
                current += token
    if current.strip():
        found.append((current.strip(), []))
    return found


def give(session, what):
    """Gives the reader something: SQL, or labelled requests."""
    if what == "requests":
        rows = ",".join(f"({literal(query)}, {literal(label)})" for query, label in requests)
        what = f"INSERT INTO judged VALUES {rows}"
    session.psql(what)


def run(session, sql):
    """What a statement gives, with values for its parameters."""
    if not re.search(r"\$\d", sql):
        return session.psql(sql)
    session.psql(f"PREPARE block AS {sql}")
    kinds = session.psql("SELECT unnest(parameter_types)::text FROM pg_prepared_statements WHERE name = 'block'").splitlines()
    output = session.psql(f"EXECUTE block ({', '.join(PARAMETERS[kind.split('.')[-1]] for kind in kinds)})")
    session.psql("DEALLOCATE block")
    return output


known = {path.stem for path in (ROOT / "docs").glob("*.md")} - WRITTEN
is_(sorted(known), sorted(Path(page).stem for page in PAGES[1:]), "every page of docs/ is read")
server = Server.attach()
requests = rows_of(REQUESTS)
labels = tuple(dict.fromkeys(label for _, label in requests))
with tempfile.TemporaryDirectory() as folder:
    os.chmod(folder, 0o755)
    for version in (1, 2):
        train(requests, "intent", str(version), epochs=20 * version, labels=labels).write(Path(folder) / f"intent{version}")
    hub_folder(Path(folder) / "multilingual-e5-small")
    for page in PAGES:
        server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
        server.psql(f"CREATE DATABASE {DB}")
        server.psql("CREATE EXTENSION pg_harca CASCADE", DB)
        session = server.session(DB)
        for what in BEFORE.get(page, []):
            give(session, what)
        for line, word, text in blocks(ROOT / page):
            place = f"{page}:{line}"
            if word:
                ok(word in NOT_HERE, f"{place} says why it does not run: {word}")
                continue
            try:
                for sql, shown in statements(re.sub(r"/tmp/(?=intent|multilingual)", f"{folder}/", text)):
                    output = run(session, sql)
                    if shown:
                        is_(output.splitlines(), shown, f"{place} shows what comes of: {sql[:60]}")
                    for _, _, given in (after for after in AFTER if after[0] == page and sql.startswith(after[1])):
                        for what in given:
                            give(session, what)
                ok(True, f"{place} runs")
            except PgError as error:
                is_(f"{sql}\n{error}", "", f"{place} runs")
        session.close()
        server.psql(f"DROP DATABASE {DB} WITH (FORCE)")
done()
