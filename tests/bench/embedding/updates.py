"""What a table that is kept in step costs those who write its other columns.

Beside it is a table with a trigger of PostgreSQL's own that is for the column of the texts alone, and never called. What that
costs, any trigger for rows does: PostgreSQL fetches the row before the update first, and looks at columns and conditions then
(`ExecARUpdateTriggers` in `src/backend/commands/trigger.c`).
"""

from ..batch import literal
from ..clock import interleaved, medians
from ..servers import DATABASE, connect

KEPT, IDLE, PLAIN = "a table that is kept in step", "the same with a trigger that is never called", "the same without"
TABLES = {KEPT: "bench.kept", IDLE: "bench.idle", PLAIN: "bench.plain"}


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
        "CREATE TRIGGER never AFTER UPDATE OF content ON bench.idle FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()", DATABASE
    )  # fmt: skip
    server.psql(f"SELECT harca.register_search_target('kept', 'bench.kept'); SELECT harca.embed_table('kept', {literal(model.name)})", DATABASE)
    with connect(server) as session:
        def update(table):
            session.query(f"VACUUM {table}")
            session.query("CHECKPOINT")
            return session.time(f"UPDATE {table} SET importance = importance + 1")[0]

        ways = {way: (lambda table=table: update(table)) for way, table in TABLES.items()}
        interleaved(1, ways)
        seconds = interleaved(bench.sizes.embedding_update_rounds, ways)
        queued = session.value("SELECT pending FROM harca.embedding_progress WHERE target = 'kept'")
    bench.check("rows that updates of other columns have queued", int(queued), 0)
    typical = medians(seconds)
    bench.report.measured("embedding_updates", typical[KEPT] / typical[PLAIN])
    bench.report.timings(
        f"Embedding: {rows:,} updates of other columns in a statement", seconds, dict.fromkeys(seconds, rows),
        "The tables take turns, each vacuumed before.",
    )  # fmt: skip
    server.psql(f"SELECT harca.drop_search_target('kept'); DROP TABLE {', '.join(TABLES.values())}", DATABASE)
