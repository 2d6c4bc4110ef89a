#!/usr/bin/env python3
"""Puts four minutes of load on a private server that Prometheus watches, and writes what the panels of the dashboard show: load.py FILE.

FILE is JSON: of each panel its title, kind, unit, place and series, as tests/dashboard/plot.py draws them.
"""

import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import Server  # noqa: E402
from harness.monitoring import MONITORING, Watch, missing  # noqa: E402
from harness.places import fail  # noqa: E402
from harness.transformer import EXPECTED, embedding, manifest, registration  # noqa: E402

DB = "harca_dashboard"
SECONDS, STEP, RATE = 240, 4, "20s"
WIDTH = len(EXPECTED[0]["vector"])


def play(server, ends):
    """Queries by Zipf's law, in batches of some hundred, and a few for the engine, until the end."""
    draw = random.Random(7)
    while time.monotonic() < ends:
        words = ",".join(f"('note {int(20000 ** draw.random())}')" for _ in range(400))
        server.run(f"SELECT count(query_type(q)) FROM (VALUES {words}) AS v (q); SELECT count(*) FROM harca.classify('note {draw.random()}', 'tiny')", DB)
        time.sleep(0.2)


def happen(server, began):
    """What happens meanwhile, at its second."""

    def at(second):
        time.sleep(max(0, began + second - time.monotonic()))

    at(40)
    server.run("SELECT harca.embed_table('memory', 'tiny embedding', rows_per_second => 60)", DB)
    at(70)
    server.run("SELECT count(query_type('sweep ' || i)) FROM generate_series(1, 40000) AS i", DB)
    at(110)
    server.run("UPDATE memory SET kind = 'read' WHERE id % 3 = 0", DB)
    at(130)
    server.run("ALTER SYSTEM SET pg_harca.enabled = off")
    server.reload()
    at(170)
    server.run("ALTER SYSTEM SET pg_harca.enabled = on")
    server.reload()
    at(200)
    server.run("SELECT harca.refresh_search_statistics('memory')", DB)


def series(watch, target, began, ended):
    """The lines of a target: what the legend says of each, and its points, in seconds from the beginning."""
    expression = target["expr"].replace("$instance", ".*").replace("$__rate_interval", RATE)
    data = watch.api("query_range", query=expression, start=began, end=ended, step=STEP)
    if data is None:
        fail(f"Prometheus cannot answer {expression}")
    lines = {}
    for one in data["result"]:
        legend = target["legendFormat"]
        for label, value in one["metric"].items():
            legend = legend.replace("{{" + label + "}}", value)
        lines[legend] = [(round(at - began, 1), float(value)) for at, value in one["values"]]
    return lines


def main():
    """Runs it all."""
    if why := missing():
        fail(why)
    server = Server("dashboard", settings={"shared_preload_libraries": "pg_harca", "pg_harca.cache_size": "4000"})
    server.start()
    server.psql(f"CREATE DATABASE {DB}; CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
    server.psql(
        f"""
        CREATE EXTENSION pg_harca CASCADE;
        CREATE TABLE memory (id bigint PRIMARY KEY, content text, kind text, embedding vector({WIDTH}),
                             tsv tsvector GENERATED ALWAYS AS (to_tsvector('harca', content)) STORED);
        INSERT INTO memory (id, content) SELECT i, 'a note about the harbour and ' || i FROM generate_series(1, 6000) AS i;
        {registration(manifest())};
        {registration(embedding())};
        """,
        DB,
    )
    watch = Watch(server, DB)
    if not watch.until(lambda: watch.values('up{job="pg_harca"}') == [1.0]):
        fail(f"Prometheus does not scrape: {watch.logs()}")
    began, clock = time.time(), time.monotonic()
    work = [threading.Thread(target=play, args=(server, clock + SECONDS)), threading.Thread(target=happen, args=(server, clock))]
    for one in work:
        one.start()
    for one in work:
        one.join()
    ended = time.time()
    panels = []
    for panel in json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))["panels"]:
        if panel["type"] == "row":
            continue
        lines = {}
        for target in panel["targets"]:
            # One exporter is enough for a picture.
            target["expr"] = target["expr"].replace('instance=~"$instance"', 'job="pg_harca"')
            lines.update(series(watch, target, began, ended))
        unit = panel["fieldConfig"]["defaults"]["unit"]
        panels.append({"title": panel["title"], "kind": panel["type"], "unit": unit, "place": panel["gridPos"], "series": lines})
    firing = series(watch, {"expr": 'ALERTS{alertstate="firing",alertname=~"Harca.*",job="pg_harca"}', "legendFormat": "{{alertname}}"}, began, ended)
    Path(sys.argv[1]).write_text(json.dumps({"panels": panels, "alerts": firing}), encoding="utf-8")
    watch.stop()
    server.stop()


if __name__ == "__main__":
    try:
        main()
    except subprocess.TimeoutExpired as late:
        fail(f"the server did not answer in time: {late}")
