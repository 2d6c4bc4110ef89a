#!/usr/bin/env python3
"""The log of sampled queries: off by default, bounded in time and size, for its role alone, and read by harca_train as it is exported."""

import os
import stat
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, like, ok  # noqa: E402
from harness.places import ROOT  # noqa: E402
from harness.registry import literal  # noqa: E402

sys.path.insert(0, str(ROOT / "models/training"))
from harca_train.corpus import read_labelled  # noqa: E402

DB = "harca_log"
server = Server(f"test-log-{os.getpid()}", settings={"shared_preload_libraries": "pg_harca"})
server.start()
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE; CREATE ROLE trainer LOGIN IN ROLE harca_query_log; CREATE ROLE ml LOGIN IN ROLE harca_admin; CREATE ROLE guest LOGIN", DB)
folder = server.data / "pg_harca_queries"
server.psql("SELECT query_type('a secret that nobody may keep')", DB)
ok(not folder.exists(), "nothing is logged by default")
is_(server.psql("SELECT count(*) FROM harca.query_log", DB, "trainer"), "0", "and the log is empty")
is_(server.sqlstate("SET pg_harca.query_log_sample = 1", DB, "guest"), "42501", "not everybody can switch it on")

ODD = "it's a \"query\"\twith tabs\nand lines \\ 東京の天気 🦓"
session = server.session(DB)
session.psql("SET pg_harca.query_log_sample = 1")
session.psql("SELECT query_type('why are my searches slow'), query_type('why are my searches slow'), query_type('E0308 mismatched types')")
session.psql(f"SELECT count(*) FROM classify_queries(ARRAY[{literal(ODD)}, 'harbour plan', NULL, '??'])")
session.psql("BEGIN; SELECT query_type('asked and rolled back'); ROLLBACK")
rows = server.psql("SELECT query, query_type, confidence BETWEEN 0 AND 1, language, model ~ '^query_type ' FROM harca.query_log WHERE query !~ E'\\n' ORDER BY logged_at, query", DB, "trainer").splitlines()
is_(len(rows), 6, "every query is logged, from the cache as well, and in a transaction that is rolled back")
ok("why are my searches slow|semantic|t|en|t" in rows and "E0308 mismatched types|keyword|t|en|t" in rows, "with what was answered")
is_(server.psql(f"SELECT count(*) FROM harca.query_log WHERE query = {literal(ODD)} AND logged_at > now() - interval '1 minute'", DB, "trainer"), "1", "whatever is in it")
is_(server.psql("SELECT count(*) FROM harca.query_log WHERE query = '??' AND query_type = 'unknown'", DB, "trainer"), "1", "a query that holds nothing, too")
modes = {stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")] if path.is_dir()}, {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}
is_(modes, ({0o700}, {0o600}), "files and folders are the server's alone")
for role in ("guest", "ml"):
    is_(server.sqlstate("SELECT * FROM harca.query_log", DB, role), "42501", f"{role} may not read it")
    is_(server.sqlstate("SELECT harca.logged_queries()", DB, role), "42501", f"{role} may not, by the function either")
server.psql("SELECT query_type('of another session')", DB)
is_(server.psql("SELECT count(*) FROM harca.query_log", DB), "7", "other sessions log nothing")

session.psql("SET pg_harca.query_log_sample = 0.2")
session.psql("SELECT count(query_type('report ' || i)) FROM generate_series(1, 5000) AS i")
sampled = int(server.psql("SELECT count(*) FROM harca.query_log WHERE query LIKE 'report %'", DB))
ok(850 < sampled < 1150, f"a sample of a fifth is about that ({sampled} of 5000)")

# Export: the labels of people before those of the model.
server.psql("INSERT INTO harca.labelled_query (query, label) VALUES ('harbour plan', 'hybrid'), ('never asked', 'keyword')", DB, "trainer")
lines = server.psql("SELECT harca.export_training_data()", DB, "trainer").split("\n")
cells = [line.split("\t") for line in lines]
is_((cells[0], {len(row) for row in cells}), (["query", "label", "language", "source"], {4}), "the export is a table with a header")
by_query = {row[0]: row[1:] for row in cells[1:]}
is_(len(by_query), len(cells) - 1, "each query stands there once")
is_(by_query["harbour plan"], ["hybrid", "en", "labelled_query"], "with the label that a person has given")
is_(by_query["never asked"], ["keyword", "und", "labelled_query"], "also one that was not logged")
is_(by_query["why are my searches slow"], ["semantic", "en", "query_log"], "or that of the model")
ok(" ".join(ODD.split()) in by_query, "tabs and line breaks are spaces")
ok("??" not in by_query, "what holds nothing is left out")
exported = server.folder / "queries.tsv"
exported.write_text("\n".join(lines) + "\n", encoding="utf-8")
read, counts = read_labelled(exported)
is_((counts["rows"], counts.get("without a label", 0)), (len(by_query), 0), "harca_train reads all that is exported")
ok({("harbour plan", "hybrid"), ("why are my searches slow", "semantic")} <= {(query.text, query.label) for query in read}, "and finds the labels")
is_(len(server.psql("SELECT harca.export_training_data(labelled_only => true)", DB, "trainer").split("\n")), 3, "labelled_only: people's labels alone")
ok(1 < len(server.psql("SELECT harca.export_training_data(min_confidence => 0.99)", DB, "trainer").split("\n")) < len(lines), "min_confidence leaves doubtful ones out")
is_(server.sqlstate("SELECT harca.export_training_data()", DB, "ml"), "42501", "for its role alone")
is_(server.psql("SELECT queries FROM harca.evaluate_model('builtin', 'SELECT query, label FROM harca.labelled_query')", DB), "2", "and models are evaluated on them")

# Another database, old days, a bound, damage.
server.psql("CREATE DATABASE other_log")
server.psql("CREATE EXTENSION pg_harca CASCADE; SET pg_harca.query_log_sample = 1; SELECT query_type('of the other database')", "other_log")
is_(server.psql("SELECT string_agg(query, ',') FROM harca.query_log", "other_log"), "of the other database", "each database has a log of its own")
oid = server.psql(f"SELECT oid FROM pg_database WHERE datname = '{DB}'")
(today,) = (folder / oid).glob("*.jsonl")
for day in ("2001-01-01", "2001-01-02"):
    (folder / oid / f"{day}.jsonl").write_text(today.read_text(encoding="utf-8").split("\n")[0] + "\n", encoding="utf-8")
    os.chown(folder / oid / f"{day}.jsonl", today.stat().st_uid, today.stat().st_gid)
server.psql("SELECT count(*) FROM harca.query_log", DB)
is_([path.name for path in (folder / oid).glob("*.jsonl")], [today.name], "days past the retention go when the log is looked at")
count = int(server.psql("SELECT count(*) FROM harca.query_log", DB))
with today.open("a", encoding="utf-8") as file:
    file.write('{"damaged": \n\0\0\0\n')
is_(int(server.psql("SELECT count(*) FROM harca.query_log", DB)), count, "damaged lines are passed over")
server.configure(pg_harca__query_log_size="1MB").reload()
time.sleep(0.5)
session.psql("SET pg_harca.query_log_sample = 1")
session.psql("SELECT count(query_type('a long one ' || i || repeat(' and so on', 90))) FROM generate_series(1, 3000) AS i")
ok(today.stat().st_size <= 1 << 20, f"a day has its bound ({today.stat().st_size:,} bytes)")
ok(int(session.psql("SELECT events FROM harca.health() WHERE component = 'query log'")) > 1000, "health() tells what was not logged")
is_(int(server.psql("SELECT harca.forget_queries(now() - interval '1 hour')", DB, "trainer")), 0, "forgetting what is older than an hour removes nothing")
ok(int(server.psql("SELECT harca.forget_queries()", DB, "trainer")) > 1000, "forgetting everything")
is_(server.psql("SELECT count(*) FROM harca.query_log", DB), "0", "leaves nothing")
is_(server.psql("SELECT count(*) FROM harca.query_log", "other_log"), "1", "in this database")
session.psql("SELECT query_type('logged again')")
is_(server.psql("SELECT string_agg(query, ',') FROM harca.query_log", DB), "logged again", "and goes on")
# What cannot be written costs no query its answer.
(folder / oid).rename(folder / "aside")
(folder / oid).write_text("in the way", encoding="utf-8")
like(session.psql("SELECT query_type('no room for this one')"), "^[a-z]+$", "a log that cannot be written is no error for a query")
is_(server.sqlstate("SELECT count(*) FROM harca.query_log", DB), "58030", "but for whoever reads it")
session.close()
done()
