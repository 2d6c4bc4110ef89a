"""A database that a release has filled, and what is to be seen of it before and after its upgrade.

What fills it is SQL of 0.1.0, the oldest release, which all later ones take.
"""

from .registry import literal, load_labelled, registration, trained

VECTORS = "ARRAY[sin(n), cos(n), sin(n * n % 7)]::vector(3)"
TABLES = f"""
    CREATE TABLE memory (id bigint PRIMARY KEY, content text, kind text, embedding vector(3),
                         tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED);
    INSERT INTO memory (id, content, kind, embedding)
    SELECT n, CASE n % 5 WHEN 0 THEN 'harbour plan ' || n WHEN 1 THEN '東京の港の計画 ' || n WHEN 2 THEN 'error E0308 in build ' || n
                         WHEN 3 THEN 'we moved the meeting to Friday' ELSE 'lunch near the station ' || n END,
           CASE n % 2 WHEN 0 THEN 'fact' ELSE 'decision' END, {VECTORS} FROM generate_series(1, 120) AS n;
    CREATE INDEX ON memory USING gin (tsv);
    CREATE INDEX ON memory USING hnsw (embedding vector_cosine_ops);
    CREATE SCHEMA "of others";
    CREATE TABLE "of others"."the note" ("Key" text PRIMARY KEY, body text, doc tsvector, vec vector(3));
    INSERT INTO "of others"."the note"
    SELECT 'n' || n, 'note ' || n, to_tsvector('simple', 'note ' || n), {VECTORS} FROM generate_series(1, 30) AS n;
    CREATE VIEW sorted AS SELECT m.id, query_type(m.content) AS type FROM memory AS m;
    CREATE VIEW weights AS SELECT p.target, p.query_type, p.vector_weight FROM harca.search_profile AS p;
"""
TARGETS = """
    SELECT harca.register_search_target('memory', 'memory', vector_weight => 0.6);
    SELECT harca.register_search_target('note', '"of others"."the note"', 'Key', 'body', 'doc', 'vec', config => 'simple',
                                        distance => 'l2', vector_weight => 0.25);
    UPDATE harca.search_profile SET vector_weight = 0.125 WHERE query_type = 'keyword';
    UPDATE harca.search_target SET k1 = 1.3, b = 0.6 WHERE name = 'memory';
"""
JUDGED = f"""
    SELECT harca.record_feedback('memory', 'harbour plan ' || n, (5 * n)::text, 1 + n % 2, {VECTORS}) FROM generate_series(1, 12) AS n;
    INSERT INTO harca.search_tuning (target, tuned_at, queries, ndcg_before, ndcg_after, former)
    VALUES ('memory', '2026-01-02', 12, 0.5, 0.6, '{{"vector_weight": 0.5, "k1": 0.9, "b": 0.4, "profile": {{"keyword": 0.3}}}}');
"""
# Only for the first time: what a server counts comes to nothing else in a second database.
REFERENCE = """
    SELECT count(query_type('how is report ' || n || ' made')) FROM generate_series(1, 1000) AS n;
    SELECT harca.set_drift_reference();
"""


def fill(server, database, version=None, reference=True):
    """Gives a new database the extension, by default its latest version, and a row or more in every table of 0.1.0."""
    version = f"VERSION '{version}'" if version else ""
    server.psql(f"CREATE EXTENSION vector; CREATE EXTENSION pg_harca {version}; {TABLES} {TARGETS} {JUDGED}", database)
    server.psql("INSERT INTO harca.labelled_query (query, label) VALUES ('harbour plan', 'keyword')", database)
    load_labelled(server, database)
    for number, share in (("1", 0.4), ("2", 1.0)):
        server.psql(registration(trained("kept", number, share)), database)
    server.psql("SELECT harca.activate_model('kept 1', force => true); SELECT harca.evaluate_model('kept 2', 'TABLE judged')", database)
    server.psql("SELECT harca.activate_model('kept 2', force => true); SELECT harca.compare_model('kept 1', 'shadow', 0.25)", database)
    if reference:
        server.psql(REFERENCE, database)


# Every table of 0.1.0 with the columns that it had; those of search_target are called otherwise since.
_TABLES = {
    "search_target": "name, relation::regclass, {id}, text_column, tsvector_column, embedding_column, config, query_config, distance,"
    " vector_weight, k1, b",
    "search_profile": "target, query_type, vector_weight",
    "search_statistics": "target, documents, average_length, similarity_deviation, documents_read, changes, refreshed_at",
    "search_term": "target, lexeme, documents",
    "search_feedback": "target, query, embedding, id, grade, recorded_by, recorded_at",
    "search_tuning": "target, tuned_at, queries, ndcg_before, ndcg_after, former",
    "model": "model, identity, manifest, md5(graph), name, version, sha256, labels, executor, metrics, registered_at, registered_by",
    "deployment": "d.*",
    "model_activation": "d.*",
    "model_evaluation": "d.*",
    "drift_reference": "d.*",
    "labelled_query": "d.*",
}


def rows(server, database, id_columns):
    """The rows of every table of 0.1.0, table by table, as text; id_columns is what an array of the id columns is in SQL."""
    return {
        table: server.psql(f"SELECT to_json(x) FROM (SELECT {columns.format(id=id_columns + ' AS id_columns')} FROM harca.{table} AS d) AS x ORDER BY to_json(x)::text", database).splitlines()
        for table, columns in _TABLES.items()
    }  # fmt: skip


QUERIES = ("harbour plan", "E0308", "東京の港", "when did we move the meeting?", "lunch near the station", "nothing of it")


def classifications(server, database):
    """What queries are taken for, by the models that are registered and the built-in one."""
    asked = ", ".join(f"({literal(query)})" for query in QUERIES)
    return server.psql(f"SELECT classify_query(q) FROM (VALUES {asked}) AS v (q)", database)


def searches(server, database):
    """What searches of both tables find."""
    statements = []
    for query in QUERIES:
        statements.append(f"SELECT * FROM hybrid_search('memory', {literal(query)}, '[0.6,0.8,0.1]', \"limit\" => 20);")
        statements.append(f"SELECT * FROM hybrid_search('memory', {literal(query)}, filter => '{{\"kind\": \"fact\"}}');")
        statements.append(f"SELECT * FROM hybrid_search('note', {literal(query)}, '[0.6,0.8,0.1]');")
    return server.psql("".join(statements), database)


def renew(server, database):
    """Makes the documents anew that the parser of a former release has cut, as harca.stat_search_target says; gives the
    statements."""
    statements = server.psql("SELECT renewal FROM harca.stat_search_target WHERE renewal IS NOT NULL ORDER BY target", database)
    for statement in statements.splitlines():
        server.psql(statement, database)
    return statements


def level(server, upgraded, fresh):
    """Gives a fresh database the weights of one that was upgraded, whose registrations were made with the defaults of their
    time, and lets both begin anew to learn from searches: what these find is then the same."""
    settings = "name, vector_weight, k1, b, calibration"
    for row in server.psql(f"SELECT to_json(x) FROM (SELECT {settings} FROM harca.search_target) AS x", upgraded).splitlines():
        server.psql(
            f"UPDATE harca.search_target AS t SET vector_weight = x.vector_weight, k1 = x.k1, b = x.b, calibration = x.calibration"
            f" FROM json_populate_record(NULL::harca.search_target, {literal(row)}) AS x WHERE t.name = x.name",
            fresh,
        )
    profile = server.psql("SELECT json_agg(p) FROM harca.search_profile AS p", upgraded)
    server.psql(
        "DELETE FROM harca.search_profile;"
        f" INSERT INTO harca.search_profile SELECT * FROM json_populate_recordset(NULL::harca.search_profile, {literal(profile)})",
        fresh,
    )
    for database in (fresh, upgraded):
        server.psql("SELECT harca.refresh_search_statistics(name), harca.reset_calibration(name) FROM harca.search_target", database)
