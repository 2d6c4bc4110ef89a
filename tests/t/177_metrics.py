#!/usr/bin/env python3
"""Prometheus and both exporters on a live server: every metric comes, in the same names from either, and alerts fire and end with their situations.

Skipped where they are not installed, nor unpacked by scripts/setup_prometheus.sh. Rules and configuration are those of monitoring/, but that scrapes come every
second and an alert need not last for minutes.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, done, is_, ok, skip  # noqa: E402
from harness.monitoring import MONITORING, Watch, missing  # noqa: E402
from harness.places import ROOT  # noqa: E402

if why := missing():
    skip("Prometheus", why)
    done()
sys.path.insert(0, str(ROOT / "scripts"))
import write_sql_exporter  # noqa: E402

METRICS = write_sql_exporter.metrics(write_sql_exporter.queries((MONITORING / "postgres_exporter.yml").read_text(encoding="utf-8")))
# These have series only once something has been embedded, run in the engine, or compared.
LATER = {name for name in METRICS if name.startswith(("harca_embedding_", "harca_engine_model_"))}
DB = "harca_metrics"
server = Server(f"test-metrics-{os.getpid()}", settings={"shared_preload_libraries": "pg_harca", "pg_harca.cache_size": "4000"})
server.start()
server.psql(f"CREATE DATABASE {DB}; CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
server.psql(
    """
    CREATE EXTENSION pg_harca CASCADE;
    CREATE TABLE memory (id bigint PRIMARY KEY, content text, tsv tsvector, embedding vector(3));
    INSERT INTO memory SELECT i, 'note ' || i, to_tsvector('harca', 'note ' || i), '[1,2,3]' FROM generate_series(1, 100) AS i;
    SELECT harca.register_search_target('memory', 'memory');
    """,
    DB,
)


def sql(statement):
    return server.psql(statement, DB, timeout=300)


def sweep():
    """Asks for more queries than the cache has room for, so often that a thousand look-ups are sampled."""
    for _ in range(6):
        sql("SELECT count(query_type('note ' || i)) FROM generate_series(1, 13000) AS i")


watch = Watch(server, DB)
ok(watch.until(lambda: watch.values("up") == [1.0, 1.0]), "Prometheus scrapes both exporters")
sweep()
CURVE = 'count(harca_hit_curve_hit_ratio{job="pg_harca"}) == 8 and count(harca_hit_curve_hit_ratio{job="pg_harca_sql"}) == 8'
ok(watch.until(lambda: watch.values(CURVE)), "the curve of the cache comes from both")
for job in ("pg_harca", "pg_harca_sql"):
    names = set(watch.api("label/__name__/values", **{"match[]": f'{{job="{job}",__name__=~"harca_.*"}}'}))
    is_(sorted(METRICS.keys() - LATER - names), [], f"{job}: every metric is there")
    is_(sorted(names - METRICS.keys()), [], f"{job}: and no other")
    # In Prometheus' language, so that the moment is the same for all.
    lost = [name for name in METRICS.keys() & names if not watch.values(f'count({name}{{job="{job}"}}) > 0')]
    is_(lost, [], f"{job}: with values")
labels = watch.api("series", **{"match[]": "harca_cache_hits"})
is_({frozenset(one) for one in labels}, {frozenset({"__name__", "instance", "job", "level"})}, "with the labels of the query alone")
hits = sql("SELECT hits FROM harca.stat_cache WHERE level = 'shared'")
ok(watch.until(lambda: watch.values('harca_cache_hits{level="shared"}') == [float(hits)] * 2), "and the values that the server has")


def alert(name, begin, end, what):
    """An alert that does not fire, fires once its situation is made, and ends with it."""
    ok(name not in watch.firing(), f"{name}: does not fire before")
    begin()
    ok(watch.until(lambda: name in watch.firing()), f"{name}: fires when {what}")
    end()
    ok(watch.until(lambda: name not in watch.firing()), f"{name}: and ends with it")


def setting(name, value):
    """A setting of the server, by a reload."""

    def change():
        server.psql(f"ALTER SYSTEM SET {name} = {value}")
        server.reload()

    return change


alert("HarcaClassificationDegraded", setting("pg_harca.enabled", "off"), setting("pg_harca.enabled", "on"), "the model is switched off")
alert(
    "HarcaSearchStatisticsStale",
    lambda: sql("UPDATE memory SET content = content || ' more'"),
    lambda: sql("SELECT harca.refresh_stale_search_statistics()"),
    "rows change",
)


def needed_and_off():
    sql("UPDATE harca.search_target SET embedding_model = 'nothing 1'")
    setting("pg_harca.engine", "off")()


alert("HarcaCriticalAdvice", needed_and_off, setting("pg_harca.engine", "on"), "the engine is off and needed")
ok(watch.until(lambda: "HarcaCacheTooSmall" in watch.firing()), "HarcaCacheTooSmall: fires after sweeps over more queries than there is room for")
sql("SELECT harca.stat_reset()")
ok(watch.until(lambda: "HarcaCacheTooSmall" not in watch.firing()), "HarcaCacheTooSmall: and ends when the counts begin anew")
is_(sorted(watch.firing()), [], "no other alert fires")
# It would go on to give what it had last.
watch.end("prometheus-sql-exporter")
server.stop()
ok(watch.until(lambda: "HarcaNotScraped" in watch.firing()), "HarcaNotScraped: fires when the server is gone")
server.start()
ok(watch.until(lambda: "HarcaNotScraped" not in watch.firing()), "HarcaNotScraped: and ends when it is back")
if not watch.values("up"):
    print(f"# {watch.logs()}")
watch.stop()
done()
