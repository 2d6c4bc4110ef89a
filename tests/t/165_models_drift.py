#!/usr/bin/env python3
"""Drift: a workload of questions alone is told from the ordinary mix, and the ordinary mix, twenty times over, is not taken for drift."""

import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, like, ok  # noqa: E402
from harness.registry import labelled  # noqa: E402
from harness.server import copy  # noqa: E402

DB = "harca_drift"
WINDOW = 2000
RUNS = 20
server = Server(f"test-drift-{os.getpid()}", settings={"shared_preload_libraries": "pg_harca", "pg_harca.drift_window": str(WINDOW)})
server.start()
server.psql(f"CREATE DATABASE {DB}")
server.psql("CREATE EXTENSION pg_harca CASCADE; CREATE TABLE asked (run integer, query text)", DB)
draw = random.Random(165)
ordinary = [query for query, _ in labelled()]
questions = [query for query, label in labelled() if label == "semantic"]
rows = [(run, draw.choice(ordinary)) for run in range(RUNS + 1) for _ in range(WINDOW)]
rows += [(1000, draw.choice(questions)) for _ in range(2 * WINDOW)]
server.psql(copy("asked", rows), DB)
session = server.session(DB)
VERDICTS = "SELECT string_agg(measure || ' ' || verdict, ', ' ORDER BY measure) FROM harca.drift"
INDEX = "SELECT max(psi) FROM harca.drift"


def ask(run):
    session.psql(f"SELECT count(query_type(query)) FROM asked WHERE run = {run}")


is_(session.psql(VERDICTS), "class mix too few answers, confidence too few answers", "without traffic there is nothing to say")
ask(0)
is_(session.psql(VERDICTS), "class mix too few answers, confidence too few answers", "nor when the reference has just been filled")
is_(session.psql("SELECT DISTINCT reference_answers >= 2000 FROM harca.drift"), "t", "the first window is the reference")
seen, verdicts = [], []
for run in range(1, RUNS + 1):
    ask(run)
    verdicts.append(session.psql(VERDICTS))
    seen.append(float(session.psql(INDEX)))
is_(set(verdicts), {"class mix stable, confidence stable"}, f"{RUNS} times the ordinary mix is stable (the index is {max(seen):.4f} at most)")
is_(session.psql("SELECT string_agg(state, ' ') FROM harca.health() WHERE component LIKE 'drift%'"), "stable stable", "health() says so")
ask(1000)
drifted = session.psql("SELECT measure, round(psi::numeric, 3), verdict, recent_answers >= 2000 FROM harca.drift ORDER BY measure")
like(drifted, r"^class mix\|\d+\.\d+\|drifted\|t", f"questions alone are drift ({drifted})")
is_(server.psql("SELECT state FROM harca.health() WHERE component = 'drift: class mix'", DB), "drifted", "health() says so in any session")

# A reference of one's own, which outlives a restart.
ok(int(session.psql("SELECT harca.set_drift_reference()")) >= WINDOW, "what is asked now is made the reference")
is_(session.psql("SELECT verdict FROM harca.drift WHERE measure = 'class mix'"), "stable", "and is no drift from itself")
session.close()
server.restart()
session = server.session(DB)
is_(session.psql("SELECT count(*), min(reference_answers) >= 2000, bool_and(reference_taken_at IS NOT NULL) FROM harca.drift"), "2|t|t", "after a restart the reference is there")
ask(3)
ask(4)
is_(session.psql("SELECT verdict FROM harca.drift WHERE measure = 'class mix'"), "drifted", "and the ordinary mix has drifted from it")
is_(session.psql("SELECT harca.drop_drift_reference(); SELECT harca.drop_drift_reference()"), "t\nf", "it can be dropped")
is_(session.psql("SELECT bool_and(reference_taken_at IS NULL) FROM harca.drift"), "t", "then the first window is the reference again")
session.psql("SELECT harca.reset_drift_windows()")
is_(session.psql("SELECT max(reference_answers), max(recent_answers) FROM harca.drift"), "0|0", "the windows can be begun anew")
is_(server.sqlstate("SELECT harca.set_drift_reference()", DB), "55000", "too few answers are no reference")
# A shadow or a challenger is asked what its share is, and says nothing of drift; nor does another database.
server.psql("CREATE DATABASE other_drift")
server.psql("CREATE EXTENSION pg_harca CASCADE; SELECT count(query_type('how is report ' || i || ' made')) FROM generate_series(1, 3000) AS i", "other_drift")
is_(session.psql("SELECT max(reference_answers), max(recent_answers) FROM harca.drift"), "0|0", "each database has its own windows")
session.close()
done()
