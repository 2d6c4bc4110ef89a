"""How many queries a second pgbench gets answered: hits and new queries, one client and two, the shared cache full and off."""

import re
import statistics
import subprocess
import tempfile
from pathlib import Path

from .clock import interleaved
from .servers import DATABASE, PRELOAD, connect, inferences

MANY = 10_000  # calls a statement where the way to the server is not to count
KNOWN = 250  # numbers, so that the two texts of the hits are half of what a session keeps by default
NEW = 1_000_000_000
# name: (function, how many numbers n there are, texts); pgbench takes the texts in turn.
LOADS = {
    "empty": ("bench.empty", KNOWN, ["why is order {n} late", "注文 {n} 到着予定日"]),
    "hits": ("query_type", KNOWN, ["why is order {n} late", "注文 {n} 到着予定日"]),
    "misses": (
        "query_type", NEW, ["why is order {n} of client {c} late", "invoice {n} customer {c}", "注文 {n} の到着が遅れた理由 {c}"]
    ),
}  # fmt: skip
MANY_SUFFIX = f", {MANY:,} a statement"


def _expression(text, number, client):
    """A text as an SQL expression over that for its number and that for its client."""
    return "'" + text.replace("{n}", f"' || {number} || '").replace("{c}", f"' || {client} || '") + "'"


def _script(function, numbers, text, many):
    """A pgbench script that calls the function on a text once, or MANY times in one statement."""
    choose = f"\\set n random(1, {numbers})\n"
    if many:
        # The same numbers as above, 1 and up.
        call = f"{function}({_expression(text, f'(1 + (:n + i) % {numbers})', ':client_id')})"
        return f"{choose}SELECT count({call}) FROM generate_series(1, {MANY}) AS i;\n"
    return f"{choose}SELECT {function}({_expression(text, ':n', ':client_id')});\n"


SCRIPTS = {
    name + (MANY_SUFFIX if many else ""): [_script(function, numbers, text, many) for text in texts]
    for many in (False, True)
    for name, (function, numbers, texts) in LOADS.items()
}
NO_PGBENCH = "not available: this server has no pgbench"
KEYS = ["scaling", "scaling_many", "hits_per_second", "hits_per_second_many", "misses_per_second", "misses_per_second_many"]
FULL = ["full_cache", "full_cache_many"]


def measure(bench):
    """Fills in the requirements on throughput."""
    size = bench.sizes
    server = bench.servers.preloaded()
    if not has_pgbench(server):
        bench.report.unavailable(KEYS + FULL, NO_PGBENCH)
        return
    _check_answers(bench, server)
    with tempfile.TemporaryDirectory() as folder:
        variants = {
            f"{name}, {clients} client{'s' * (clients > 1)}": _load(server, folder, name, clients, size.seconds)
            for name in SCRIPTS
            for clients in (1, 2)
        }
        rates = interleaved(size.repeats, variants)
        _shared_cache(bench, folder)
    typical = {name: statistics.median(values) for name, values in rates.items()}
    for suffix, key in (("", ""), (MANY_SUFFIX, "_many")):
        hits, misses = f"hits{suffix}", f"misses{suffix}"
        bench.report.measured(f"scaling{key}", typical[f"{hits}, 2 clients"] / typical[f"{hits}, 1 client"])
        bench.report.measured(f"hits_per_second{key}", typical[f"{hits}, 2 clients"])
        bench.report.measured(f"misses_per_second{key}", typical[f"{misses}, 2 clients"])
    rows = []
    for name in SCRIPTS:
        one, two = typical[f"{name}, 1 client"], typical[f"{name}, 2 clients"]
        rows.append([name, one, two, two / one])
    bench.report.table(
        "Clients (pgbench)", ["", "calls a second, 1 client", "2 clients", "÷"], rows,
        f"`pgbench -M prepared`, {size.seconds} s a run, medians of {size.repeats} runs. pgbench itself works on the same cores: "
        "`empty` is what it gets out of an empty function. A lone client and its backend wait for each other, and the processor "
        "sleeps meanwhile: where waking takes long, as in a virtual machine, two clients do more than twice as much with one "
        f"call a statement. With {MANY:,} a statement neither that nor the way to the server counts.",
    )  # fmt: skip
    bench.report.plot(
        "clients", "Calls a second", "bars", "/s", {name: [typical[f"{name}, 1 client"], typical[f"{name}, 2 clients"]] for name in LOADS}
    )


def has_pgbench(server):
    """Whether pgbench is among the server's programs."""
    return (Path(server.bindir) / "pgbench").exists()


def _load(server, folder, name, clients, seconds):
    """The run of one of SCRIPTS."""
    return Load(server, folder, name, SCRIPTS[name], clients, seconds, MANY if name.endswith(MANY_SUFFIX) else 1)


def _check_answers(bench, server):
    """pgbench does not look at answers: a sample of its texts, each through the server and the plain loop."""
    with connect(server) as connection:
        for text in {text for _, _, texts in LOADS.values() for text in texts}:
            found = connection.query(f"SELECT query_type({_expression(text, 'n', '1')}) FROM generate_series(1, {KNOWN}) AS n")
            expected = bench.loop.labels([text.format(n=n, c=1) for n in range(1, KNOWN + 1)])
            bench.check(f"labels of pgbench's {text}", [row[0] for row in found], expected)


class Load:
    """One pgbench run, which draws from scripts: called, it gives calls a second, where each script has so many."""

    def __init__(self, server, folder, name, scripts, clients, seconds, calls=1, protocol="prepared"):
        self._environment = {**server.environment(), "PGDATABASE": DATABASE}
        self._calls = calls
        self._command = [str(Path(server.bindir) / "pgbench"), "--no-vacuum", f"--protocol={protocol}", f"--time={seconds}"]
        self._command += [f"--client={clients}", f"--jobs={clients}"]
        for number, script in enumerate(scripts):
            file = Path(folder) / f"{re.sub('[^a-z0-9]+', '_', name)}_{number}.sql"
            file.write_text(script, encoding="utf-8")
            self._command.append(f"--file={file}")

    def __call__(self):
        """Calls a second of this run."""
        output = subprocess.run(self._command, env=self._environment, capture_output=True, text=True, check=False)
        rate = re.search(r"^tps = ([0-9.]+) \(without", output.stdout, re.M)
        failed = re.search(r"number of failed transactions: ([1-9]\d*)", output.stdout)
        if output.returncode != 0 or not rate or failed:
            raise RuntimeError(f"pgbench failed:\n{output.stdout[-2000:]}\n{output.stderr[-2000:]}")
        return float(rate.group(1)) * self._calls


def _shared_cache(bench, folder):
    """New queries only, on a server whose shared cache is full, beside one that has it off."""
    size = bench.sizes
    if not bench.features.cache_size():
        bench.report.unavailable(FULL, "not available: this build has no shared cache")
        return
    full = bench.servers.get("full", **PRELOAD, pg_harca__cache_size=size.entries)
    off = bench.servers.get("off", **PRELOAD, pg_harca__cache_size=0)
    with connect(full) as connection:
        # Three times as many as fit leave no set with room.
        connection.query(f"SELECT count(query_type('filler ' || i)) FROM generate_series(1, {3 * size.entries}) AS i")
    with connect(full) as connection:
        before = inferences(connection)
        connection.query(f"SELECT query_type('filler {3 * size.entries}')")
        bench.check("queries run again that the shared cache got last", inferences(connection) - before, 0)
    rows = []
    for suffix, key in (("", ""), (MANY_SUFFIX, "_many")):
        name = f"misses{suffix}"
        variants = {place: _load(server, folder, name, 2, size.seconds) for place, server in (("full", full), ("off", off))}
        rates = {place: statistics.median(values) for place, values in interleaved(size.repeats, variants).items()}
        bench.report.measured(f"full_cache{key}", rates["full"] / rates["off"])
        rows.append([name, rates["off"], rates["full"], rates["full"] / rates["off"]])
    bench.report.table(
        f"New queries and a full shared cache ({size.entries:,} entries)",
        ["", "calls a second, cache off", "cache full", "÷"], rows, "Two clients.",
    )  # fmt: skip
