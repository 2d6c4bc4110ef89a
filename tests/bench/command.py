"""The benchmark of pg_harca: one run, one machine, answers checked.

    tests/bench/run [--quick] [--only rows,miss,...] [--skip plpython,...] [--most-rows N]
                    [--embedding-rows N] [--pg-config PATH] [--search-pg-config PATH] [--out FOLDER]

rows        hits: scans beside md5() and an empty function
miss        new queries: the extension, the plain Rust loop, PL/Python
batch       classify_queries beside single calls
first_call  the first call of a connection
memory      the memory that it adds
clients     pgbench, one client and two, the shared cache full and off
zipf        hit ratios on a Zipf trace
overhead    what the statistics cost
engine      a transformer in the engine: beside a plain run, the same run in process, and PL/Python
embedding   queries and tables that are embedded in the database, beside the run of the model alone
search      hybrid_search over growing tables, beside SQL written by hand and pg_textsearch: warm, first calls, memory, clients

It writes BENCHMARKS.md, benchmarks.json and plots/ into the folder, docs/ by default. The server is Debian's PostgreSQL 15,
which has PL/Python, else the embedded 18; --search-pg-config names another one for the searches, such as one that has
pg_textsearch, which 15 cannot have. A missed bound is no failure: the exit code tells whether all could be measured and every
answer was right. --skip plpython leaves PL/Python out, --skip plots the plots, --most-rows larger tables of the searches.
--embedding-rows fills a larger table, in one round, which takes a minute for each 600 rows.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from harness.places import BUILD, ROOT, fail

from . import batch, clients, clock, embedding, engine, first_call, machine, miss, overhead, queries, rows, search, zipf
from .loop import Loop
from .plpython import PlPython
from .report import Report
from .servers import Features, Servers, connect

SUBJECTS = {
    "rows": (rows.measure, "hits in scans of a table"),
    "miss": (miss.measure, "new queries, in the extension, in Rust alone and in PL/Python"),
    "batch": (batch.measure, "new queries in one call and in single ones"),
    "first_call": (first_call.measure_time, "the first call of new connections"),
    "memory": (first_call.measure_memory, "the memory that the first call adds"),
    "clients": (clients.measure, "pgbench with one client and with two"),
    "zipf": (zipf.measure, "hit ratios on a Zipf trace"),
    "overhead": (overhead.measure, "what the statistics cost"),
    "engine": (engine.measure, "a transformer in the engine"),
    "embedding": (embedding.measure, "embedding inside the database"),
    "search": (search.measure, "hybrid_search over tables of 1,000 to 1,000,000 rows"),
}
DEBIAN15 = Path("/usr/lib/postgresql/15/bin/pg_config")


@dataclass
class Sizes:
    """How much of everything; the defaults are those of a full run."""

    rounds: int = 15
    rows: int = 200_000
    distinct: int = 20_000
    misses: int = 5_000
    batch: int = 1_000
    first_calls: int = 100
    backends: int = 15
    seconds: int = 5
    repeats: int = 5
    population: int = 100_000
    requests: int = 1_000_000
    entries: int = 10_000
    # The tables of searches, and up to how many rows they count as small and have embeddings.
    tables: tuple = (1_000, 10_000, 100_000, 1_000_000)
    small: int = 10_000
    embedded: int = 100_000
    searches: int = 50
    search_rounds: int = 3
    different: int = 10_000
    # The engine: its model, queries of the clients, queries that go all ways one by one, requests beside bulk work.
    transformer: str = "minilm"
    transformer_texts: int = 4_000
    transformer_pairs: int = 1_000
    transformer_requests: int = 300
    transformer_rounds: int = 3
    # Embedding: queries that the cache has, searches by text, rows of a table that is filled, and of one that is updated.
    embedding_cached: int = 300
    embedding_searches: int = 100
    embedding_rows: int = 1_500
    embedding_rounds: int = 2
    embedding_updates: int = 1_000_000
    embedding_update_rounds: int = 9


QUICK = Sizes(
    rounds=2, rows=5_000, distinct=500, misses=200, batch=200, first_calls=3, backends=2, seconds=1, repeats=1,
    population=2_000, requests=10_000, entries=500, tables=(1_000, 2_000), small=1_000, embedded=1_000, searches=4,
    search_rounds=1, different=100, transformer="tiny", transformer_texts=200, transformer_pairs=20, transformer_requests=50,
    transformer_rounds=1, embedding_cached=100, embedding_searches=5, embedding_rows=100, embedding_rounds=1,
    embedding_updates=2_000, embedding_update_rounds=1,
)  # fmt: skip


class WrongAnswer(Exception):
    """A way of classifying that gives other answers than the plain loop, or did not do what it was timed for."""


class Bench:
    """What every subject works with."""

    def __init__(self, pg_config, search_pg_config, sizes, report, with_plpython):
        self.sizes = sizes
        self.report = report
        self.queries = queries.Queries()
        self.loop = Loop()
        self.servers = Servers(pg_config)
        self.search_servers = Servers(search_pg_config, "other-") if search_pg_config != pg_config else self.servers
        self.features = Features(self.servers.preloaded())
        self.costs = {}
        self.plpython, self.why_no_plpython = None, "not run"
        if with_plpython:
            try:
                self.plpython = PlPython(pg_config, self.loop.encoder)
            except OSError as reason:
                self.why_no_plpython = f"not available: {reason}"
                report.notice(f"PL/Python: not available, as {reason}.")

    def remove_servers(self):
        """Stops and deletes all of them."""
        for servers in {self.servers, self.search_servers}:
            servers.remove()

    describe = staticmethod(queries.describe)

    @staticmethod
    def spread(values):
        """The spread of the rounds as the tables show it."""
        return f"{100 * clock.spread(values):.0f} %"

    @staticmethod
    def check(what, found, expected):
        """Raises WrongAnswer unless both are equal."""
        if found != expected:
            raise WrongAnswer(f"{what}: {str(found)[:500]} instead of {str(expected)[:500]}")


def main():
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that everything works, its figures say nothing")
    parser.add_argument("--only", help="subjects to run, comma-separated")
    parser.add_argument("--skip", default="", help="subjects, plpython or plots to leave out, comma-separated")
    parser.add_argument("--most-rows", type=int, help="leaves out larger tables of the searches")
    parser.add_argument("--embedding-rows", type=int, help="rows of the table that is filled with embeddings, once")
    parser.add_argument("--pg-config", help="the server to measure")
    parser.add_argument("--search-pg-config", help="the server to measure searches on, where that is another one")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="where the report goes")
    chosen = parser.parse_args()
    skip = set(filter(None, chosen.skip.split(",")))
    only = list(filter(None, (chosen.only or ",".join(SUBJECTS)).split(",")))
    unknown = (set(only) - set(SUBJECTS)) | (skip - set(SUBJECTS) - {"plpython", "plots"})
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(SUBJECTS)}")

    # A run that is told to end takes its servers with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sizes = QUICK if chosen.quick else Sizes()
    if chosen.most_rows:
        sizes.tables = tuple(rows for rows in sizes.tables if rows <= chosen.most_rows) or sizes.tables[:1]
    if chosen.embedding_rows:
        sizes.embedding_rows, sizes.embedding_rounds = max(1, chosen.embedding_rows), 1
    started = time.monotonic()
    pg_config = str(Path(chosen.pg_config).resolve()) if chosen.pg_config else _server()
    search_pg_config = str(Path(chosen.search_pg_config).resolve()) if chosen.search_pg_config else pg_config
    for each in dict.fromkeys([pg_config, search_pg_config]):
        subprocess.run([ROOT / "scripts/install.sh", each], stdin=subprocess.DEVNULL, check=True)
    report = Report(about={})
    bench = Bench(pg_config, search_pg_config, sizes, report, "plpython" not in skip)
    with connect(bench.servers.preloaded()) as connection:
        report.about |= machine.describe(connection)
    if bench.search_servers is not bench.servers:
        with connect(bench.search_servers.preloaded()) as connection:
            report.about["Searches"] = f"on {machine.server(connection)}"
    report.about["Command"] = "`make bench`" + (f" with {_arguments(chosen)}" if _arguments(chosen) else "")
    if chosen.quick:
        report.notice("A quick run: it shows that everything works, and its figures say nothing.")
    try:
        for name in only:
            if name not in skip:
                measure, what = SUBJECTS[name]
                _say(f"{name}: {what}")
                began = time.monotonic()
                measure(bench)
                print(f"    done in {time.monotonic() - began:.0f} s", flush=True)
    except WrongAnswer as wrong:
        fail(f"a wrong answer, so no figures: {wrong}")
    finally:
        bench.remove_servers()
    if bench.costs:
        costs = {name: cost for name, cost in sorted(bench.costs.items(), key=lambda item: item[1]) if cost > 0}
        report.plot("calls", "One call, net of the scan", "log", "µs", costs)
    report.about["Took"] = f"{(time.monotonic() - started) / 60:.1f} minutes"
    _write(report, chosen.out, "plots" not in skip)
    return 0


def _arguments(chosen):
    """The arguments that change what is measured; a server is named by its version, not by its place."""
    shown = ["--quick"] * chosen.quick + [f"--only {chosen.only}"] * bool(chosen.only) + [f"--skip {chosen.skip}"] * bool(chosen.skip)
    shown += [f"--most-rows {chosen.most_rows}"] * bool(chosen.most_rows)
    shown += [f"--embedding-rows {chosen.embedding_rows}"] * bool(chosen.embedding_rows)
    shown += ["--pg-config"] * bool(chosen.pg_config) + ["--search-pg-config"] * bool(chosen.search_pg_config)
    return " ".join(f"`{argument}`" for argument in shown)


def _server():
    """The pg_config of Debian's 15, which is installed if it can be, else of the embedded 18."""
    if subprocess.run([ROOT / "scripts/setup_debian15.sh"], stdin=subprocess.DEVNULL, check=False).returncode == 0:
        if os.access(subprocess.run([DEBIAN15, "--pkglibdir"], capture_output=True, text=True, check=True).stdout.strip(), os.W_OK):
            return str(DEBIAN15)
        print(f"    only root may install into {DEBIAN15.parents[1]}: going on with the embedded PostgreSQL 18", flush=True)
    subprocess.run([ROOT / "scripts/setup_postgres.sh", "18"], check=True)
    return str(BUILD / "pg18/bin/pg_config")


def _write(report, folder, with_plots):
    """The three outputs; plots only where matplotlib is."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "benchmarks.json"
    data.write_text(report.json(), encoding="utf-8")
    drawn = {}
    if with_plots and report.plots:
        if subprocess.run([ROOT / "scripts/setup_bench.sh"], stdin=subprocess.DEVNULL, check=False).returncode == 0:
            python = BUILD / "bench-venv/bin/python"
            subprocess.run([python, Path(__file__).with_name("plots.py"), data, folder / "plots"], check=True)
            drawn = {name: f"plots/{name}.svg" for name in report.plots}
        else:
            report.notice("Plots: not available, as matplotlib could not be installed.")
    (folder / "BENCHMARKS.md").write_text(report.markdown(drawn), encoding="utf-8")
    missed = [key for key in report.values if "missed" in report.verdict(key)]
    _say(f"{len(report.values)} figures, {len(missed)} outside their bounds, in {folder / 'BENCHMARKS.md'}")
    for key in missed:
        print(f"    missed: {key}: {report.values[key]:.3g}", flush=True)


def _say(text):
    print(f"==> {text}", flush=True)
