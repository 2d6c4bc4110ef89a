"""The private servers that the benchmark asks, one for each set of settings, all up at the same time so that they can take turns."""

import os

from harness import Server, copy
from harness.wire import Connection

DATABASE = "harca_bench"

# Nothing of the server's own may work beside a measurement, and no table may be larger than a quarter of the buffers: a
# scan of it would begin where the last one ended and read it again.
SETTINGS = {
    "shared_buffers": "512MB",
    "autovacuum": "off",
    "jit": "off",
    "checkpoint_timeout": "1h",
    "max_wal_size": "4GB",
    "synchronize_seqscans": "off",
    "max_parallel_workers_per_gather": "0",
}
PRELOAD = {"shared_preload_libraries": "pg_harca"}

# What all rounds of a measurement ask for together fills a tenth of it.
ROOM = 1_000_000

# The empty function: a function of the catalog that is looked up, called and strict as query_type is, and that reads the
# length in the head of its argument. A C function of our own would need a compiler on the machine.
PREPARE = """
CREATE EXTENSION pg_harca CASCADE;
CREATE SCHEMA bench;
CREATE FUNCTION bench.empty(text) RETURNS integer LANGUAGE internal STABLE STRICT PARALLEL SAFE COST 5 AS 'textoctetlen';
CREATE FUNCTION bench.busy(text, seconds double precision) RETURNS double precision LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
BEGIN
    WHILE clock_timestamp() < began + make_interval(secs => seconds) LOOP
    END LOOP;
    RETURN extract(epoch FROM clock_timestamp() - began);
END
$$;
"""


class Servers:
    """Starts a server when it is first asked for; all are removed when the process ends.

    Those of another installation at the same time need a label of their own.
    """

    def __init__(self, pg_config, label=""):
        self.pg_config = str(pg_config)
        self._label = label
        self._running = {}

    def get(self, name, **settings):
        """The server of that name, with the extension in DATABASE; settings count when it starts (`__` for a dot)."""
        if name not in self._running:
            own = {key.replace("__", "."): str(value) for key, value in settings.items()}
            # The test driver sweeps folders of this form when their process is gone.
            server = Server(f"test-{self._label}{name}-{os.getpid()}", self.pg_config, {**SETTINGS, **own})
            server.start()
            server.psql(f"CREATE DATABASE {DATABASE}")
            server.psql(PREPARE, DATABASE)
            self._running[name] = server
        return self._running[name]

    def preloaded(self):
        """The server as the README recommends it."""
        return self.get("preload", **PRELOAD)

    def roomy(self):
        """The same with so much room that no query of a measurement of hits is put out by another one of its sets."""
        return self.get("roomy", **PRELOAD, pg_harca__cache_size=ROOM)

    def own_caches(self):
        """The same with a cache in each backend instead of a shared one."""
        return self.get("own", **PRELOAD, pg_harca__cache_size=0)

    def plain(self):
        """The server without any preload."""
        return self.get("plain")

    def remove(self):
        """Stops and deletes all of them."""
        for server in self._running.values():
            server.remove()
        self._running.clear()


def connect(server, **settings):
    """A new connection to the benchmark's database; settings are pg_harca's, for the session."""
    connection = Connection(server, DATABASE)
    if settings:
        connection.query("LOAD 'pg_harca'")
    for name, value in settings.items():
        connection.query(f"SET pg_harca.{name} = '{value}'")
    return connection


class Features:
    """What this build of the extension can do, as its settings and views tell."""

    def __init__(self, server):
        with connect(server) as connection:
            connection.query("LOAD 'pg_harca'")
            rows = connection.query("SELECT name, setting, vartype FROM pg_settings WHERE name LIKE 'pg\\_harca.%'")
        self.settings = {name.partition(".")[2]: (value, kind) for name, value, kind in rows}
        self._server = server

    def cache_size(self):
        """Entries of the shared cache by default; 0 where this build has none."""
        value, _ = self.settings.get("cache_size", ("0", ""))
        return int(value)

    def statistics_switch(self):
        """The name of the switch of the statistics, or None."""
        names = [n for n, (_, kind) in self.settings.items() if kind == "bool" and ("stat" in n or "track" in n)]
        return names[0] if names else None

    def view(self, name):
        """The columns of a view of the schema harca; none when it does not exist."""
        with connect(self._server) as connection:
            return [
                row[0]
                for row in connection.query(
                    f"SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('harca.{name}') AND attnum > 0 ORDER BY attnum"
                )
            ]


def load(server, table, columns, rows):
    """Creates a table of the schema bench and fills it; columns as in CREATE TABLE, rows of texts."""
    server.psql(
        f"DROP TABLE IF EXISTS bench.{table};\nCREATE TABLE bench.{table} ({columns});\n{copy(f'bench.{table}', rows)}"
        f"VACUUM (FREEZE, ANALYZE) bench.{table};\nSELECT count(*) FROM bench.{table}",
        DATABASE,
    )


def inferences(connection):
    """Queries that this backend has run through its model: those that no cache has answered."""
    return int(connection.value("SELECT inferences FROM harca.backend_status()"))
