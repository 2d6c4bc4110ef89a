#!/usr/bin/env python3
"""A search target learns the weight of its legs from its searches, in all sessions at once: from questions that differ, not from
one that is asked again and again nor from codes; and not at all where it is not to."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, ok  # noqa: E402

server = Server.attach()
DB, OWNER, OTHER = "harca_calibration", "harca_calibration_owner", "harca_calibration_other"
server.psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE)")
for role in (OWNER, OTHER):
    server.psql(f"DROP ROLE IF EXISTS {role}")
server.psql(f"CREATE DATABASE {DB}")
# A row is about one of 40 things and near the direction of that thing; every row has the common words, one in ten a code.
server.psql(
    f"""CREATE EXTENSION pg_harca CASCADE;
    CREATE ROLE {OWNER} LOGIN; CREATE ROLE {OTHER} LOGIN; GRANT ALL ON SCHEMA public TO {OWNER};
    SET ROLE {OWNER};
    CREATE FUNCTION direction(thing integer, noise float8 DEFAULT 0) RETURNS vector LANGUAGE sql IMMUTABLE AS $$
        SELECT array_agg(sin(thing * n * 1.7) + noise * sin(thing + n * 31.0) ORDER BY n)::vector FROM generate_series(1, 16) AS n $$;
    CREATE TABLE memory (id integer PRIMARY KEY, content text, embedding vector(16),
                         tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED);
    INSERT INTO memory
    SELECT i, format('people talked about thing%s and what they felt%s', i % 40, CASE WHEN i % 10 = 0 THEN ' code' || i ELSE '' END),
           direction(i % 40, 0.1 + (i % 7) / 20.0)
    FROM generate_series(1, 400) AS i;
    CREATE INDEX ON memory USING gin (tsv);
    CREATE INDEX ON memory USING hnsw (embedding vector_cosine_ops);
    ANALYZE memory;
    SELECT harca.register_search_target('memory', 'memory')""",
    DB,
)
session, other = server.session(DB), server.session(DB)


def question(n, options="{}", page=""):
    """A search for what people feel about a thing, each in words of its own."""
    return (
        f"SELECT min(vector_weight)::text FROM hybrid_search('memory', 'why did the people feel so strongly about thing{n % 40}, asked {n} times?',"
        f" direction({n % 40}, 0.2){page}, options => '{options}')"
    )


def ask(asked, numbers, options="{}", page=""):
    """Asks several, and gives the weight of the last."""
    return [asked.psql(question(n, options, page)) for n in numbers][-1]


def state(columns="searches, calibrated_from, vector_weight, fixed_weight"):
    """What the view tells of the target."""
    return session.psql(f"SELECT concat_ws(' ', {columns}) FROM harca.stat_search_target WHERE target = 'memory'")


def explained(path):
    """A part of what is told of a question."""
    return session.psql(
        "SELECT hybrid_search_explain('memory', 'why do people feel as they do about thing7?', direction(7, 0.2),"
        f" options => '{{\"strategy\": \"parallel\"}}') #>> '{path}'"
    )


is_(state(), "0 0.55 0.55", "a new target has seen no search")
is_(explained("{weight_from}"), "the target and its profile", "and goes by what it was registered with")
session.psql("SELECT harca.reset_calibration('memory')")

# Too few, then enough, in two sessions together.
ask(session, range(10))
before = ask(other, range(10, 19))
is_(state("searches, coalesce(calibrated_weight::text, 'none')"), "19 none", "19 searches are too few")
ask(other, [19])
ok(state("calibrated_weight IS NOT NULL, calibrated_from, calibrated_since <= clock_timestamp()") == "t 20 t", "20 searches of two sessions are enough")
told = state("calibrated_weight")
ok(told != "0.55", "they tell another weight")
is_(state("vector_weight, fixed_weight"), f"{told} 0.55", "which searches go by")
after = ask(session, [19])
ok(abs(float(after) - float(told)) < 0.02 and abs(float(before) - 0.55) < 0.02, "a question had the weight of the target before, and has this one now")
is_(explained("{weight_from}"), "the searches of the table", "a search can tell where its weight comes from")
ok(float(explained("{calibration,spread}")) > 0, "and what its scores are measured in")
is_(session.psql(question(3, '{"vector_weight": 0.25}')), "0.25", "a weight that the search names goes before")

# What does not count.
counted = int(state("searches"))
ask(session, [3] * 100)
is_(state("searches"), str(counted), "a question that is asked again does not count")
ask(session, range(20, 30), page=", 10, 10")
is_(state("searches"), str(counted), "a second page does not")
session.psql("SELECT count(*) FROM generate_series(10, 400, 10) AS i, hybrid_search('memory', 'code' || i, direction(i % 40))")
is_(state("searches"), str(counted), "a code does not")
session.psql("SELECT count(*) FROM generate_series(1, 40) AS i, hybrid_search('memory', 'how do people feel about thing' || i, NULL)")
is_(state("searches"), str(counted), "nor does a search by words alone")
ask(session, range(20, 24))
is_(state("searches"), str(counted + 4), "other questions do")

# Where it is not to.
SET = "UPDATE harca.search_target SET calibration = '{}' WHERE name = 'memory'"
server.psql(SET.format("scales"), DB)
ok(abs(float(ask(session, [30])) - 0.55) < 0.02, "with scales alone the weight is that of the target")
is_(state("calibration, vector_weight, searches"), f"scales 0.55 {counted + 5}", "and searches count")
ok(explained("{calibration,spread}") is not None, "and scores are measured by them")
server.psql(SET.format("off"), DB)
ask(session, [31])
is_(state("calibration, vector_weight, searches"), f"off 0.55 {counted + 5}", "switched off, nothing counts")
is_(explained("{calibration}"), "", "and no search goes by it")
server.psql(SET.format("on"), DB)
ok(ask(session, [31]) == ask(other, [31]), "switched on, all sessions go by it again")
is_(server.sqlstate("SELECT harca.register_search_target('x', 'memory', calibration => 'perhaps')", DB), "22023", "there is no fourth way")

# Who may what.
is_(server.sqlstate("TABLE harca.search_background", DB, OTHER), "42501", "nobody reads the embeddings that are kept")
is_(server.sqlstate("SELECT harca.reset_calibration('memory')", DB, OTHER), "42501", "nobody but the owner makes a target forget")
is_(server.sqlstate("SELECT harca.reset_calibration('none')", DB, OWNER), "42704", "nor one that there is not")
is_(server.sqlstate("SELECT harca.reset_calibration('memory')", DB, OWNER), None, "the owner does")
is_(state("searches, coalesce(calibrated_weight::text, 'none'), vector_weight"), "0 none 0.55", "then it has seen none")

# Judgements go before.
ask(session, range(100, 130))
session.psql(
    f"""CREATE TABLE judged AS
    SELECT 'what do people feel about thing' || n AS query, direction(n, 0.2) AS embedding, i AS id, 1 AS grade
    FROM generate_series(0, 39) AS n, generate_series(1, 400) AS i WHERE i % 40 = n AND i % 7 = 0"""
)
calibrated = state("vector_weight")
applied = session.psql("SELECT applied FROM harca.tune_search('memory', 'judged', apply => true)")
expected = "scales" if applied == "t" else "on"
is_(state("calibration"), expected, "a tuned target keeps its scales, and the weight that judgements have found")
if applied == "t":
    session.psql("SELECT harca.undo_tuning('memory')")
is_(state("calibration, vector_weight"), f"on {calibrated}", "taken back, it goes by its searches again")

# A new registration.
session.psql("SELECT harca.register_search_target('memory', 'memory', replace => true)")
is_(state("searches"), "0", "registered anew it begins anew")
ask(session, range(200, 225))
ok(int(state("searches")) == 25, "and learns")
session.close()
other.close()
done()
