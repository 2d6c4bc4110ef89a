"""What a table that is kept in step costs those who write its other columns.

Beside it is a table with a trigger of PostgreSQL's own that is for the column of the texts alone, and never called. What that
costs, any trigger for rows does: PostgreSQL fetches the row before the update first, and looks at columns and conditions then
(`ExecARUpdateTriggers` in `src/backend/commands/trigger.c`).
"""

import statistics

from ..batch import literal
from ..clock import interleaved
from ..servers import DATABASE, connect

KEPT, IDLE, PLAIN = "a table that is kept in step", "the same with a trigger that is never called", "the same without"
TABLES = {KEPT: "bench.kept", IDLE: "bench.idle", PLAIN: "bench.plain"}
# The tables take turns by so many statements, each for its share of the rows: the machine changes its pace within seconds.
STATEMENTS = 20


def measure(bench, server, model):
    """Fills in the requirement on updates of other columns."""
    rows = bench.sizes.embedding_updates
    for table in TABLES.values():
        server.psql(
            f"DROP TABLE IF EXISTS {table};"
            f"CREATE TABLE {table} (id integer PRIMARY KEY, content text, importance integer, tsv tsvector, embedding vector({model.width}))"
            " WITH (fillfactor = 45, autovacuum_enabled = off);"
            # A row that comes with an embedding keeps it: there is nothing to embed.
            f"INSERT INTO {table} SELECT i, 'what was noted down as number ' || i, 0, NULL, v.v"
            f" FROM generate_series(1, {rows}) AS i, (SELECT harca.embed('a note', {literal(model.name)}) AS v) AS v;"
            f"VACUUM (FREEZE, ANALYZE) {table}", DATABASE, timeout=3600
        )  # fmt: skip
    server.psql(
        f"CREATE TRIGGER never AFTER UPDATE OF content ON {TABLES[IDLE]} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        DATABASE,
    )
    server.psql(f"SELECT harca.register_search_target('kept', 'bench.kept'); SELECT harca.embed_table('kept', {literal(model.name)})", DATABASE)
    share = rows // STATEMENTS
    with connect(server) as session:
        def turns():
            """The updates of all rows: seconds of each statement by way."""
            for table in TABLES.values():
                session.query(f"VACUUM {table}")
            session.query("CHECKPOINT")
            begins = {way: iter(range(1, rows + 1, share)) for way in TABLES}

            def update(way):
                begin = next(begins[way])
                return session.time(f"UPDATE {TABLES[way]} SET importance = importance + 1 WHERE id BETWEEN {begin} AND {begin + share - 1}")[0]

            return interleaved(STATEMENTS, {way: (lambda way=way: update(way)) for way in TABLES})

        turns()
        rounds = [turns() for _ in range(bench.sizes.embedding_update_rounds)]
        queued = session.value("SELECT pending FROM harca.embedding_progress WHERE target = 'kept'")
        updated = {table: int(session.value(f"SELECT min(importance) FROM {table}")) for table in TABLES.values()}
    bench.check("rows that updates of other columns have queued", int(queued), 0)
    bench.check("updates of each row", updated, dict.fromkeys(updated, 1 + len(rounds)))
    seconds = {way: [second for turn in rounds for second in turn[way]] for way in TABLES}
    bench.report.measured("embedding_updates", statistics.median(a / b for a, b in zip(seconds[KEPT], seconds[PLAIN])))
    bench.report.timings(
        f"Embedding: updates of other columns, {share:,} rows in a statement", seconds, dict.fromkeys(seconds, share),
        f"The tables have {rows:,} rows and take turns by statements; they are vacuumed when all rows were updated.",
    )  # fmt: skip
    server.psql(f"SELECT harca.drop_search_target('kept'); DROP TABLE {', '.join(TABLES.values())}", DATABASE)
