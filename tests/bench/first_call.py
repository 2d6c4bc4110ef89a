"""What the first call costs a new connection: time and private memory, with preload and without, PL/Python beside both."""

import re
from pathlib import Path

from .clock import interleaved, medians
from .servers import connect


def _empty(text):
    return f"SELECT bench.empty({_literal(text)})"


def _query_type(text):
    return f"SELECT query_type({_literal(text)})"


def _plpython(text):
    return f"SELECT bench.plpython({_literal(text)})"


def _literal(text):
    return "'" + text.replace("'", "''") + "'"


def private_kb(pid):
    """What a process has written for itself alone, in kB.

    Of shared memory and of files that are mapped unchanged there is one copy, however many processes use it; the kernel
    calls a page of them private as long as one process alone has looked at it.
    """
    text = Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8")
    own = re.findall(r"^[0-9a-f]+-[0-9a-f]+ ...p [^\n]*\n(?:[A-Z][^\n]*\n)*?Private_Dirty:\s+(\d+)", text, re.M)
    return sum(map(int, own))


def _ways(bench):
    """name → (server, function that gives the statement for a text)."""
    servers = {"with preload": bench.servers.preloaded(), "without preload": bench.servers.plain()}
    ways = {}
    for name, server in servers.items():
        ways[f"empty function, {name}"] = (server, _empty)
        ways[f"query_type, {name}"] = (server, _query_type)
        if bench.plpython:
            bench.plpython.prepare(server)
            ways[f"PL/Python, {name}"] = (server, _plpython)
    return ways


def _text(bench):
    return bench.queries.take(1)[0]


def measure_time(bench):
    """Fills in the requirements on the time of the first call."""
    ways = _ways(bench)

    def first(server, statement):
        def run():
            text = _text(bench)
            sql = statement(text)
            with connect(server) as connection:
                seconds, ((answer,),) = connection.time(sql)
                if statement != _empty:
                    bench.check(f"first answer to {text}", answer, bench.loop.labels([text])[0])
            return seconds

        return run

    slow = {name for name in ways if "PL/Python" in name}
    seconds = interleaved(bench.sizes.first_calls, {n: first(*way) for n, way in ways.items() if n not in slow})
    if slow:
        seconds |= interleaved(max(3, bench.sizes.first_calls // 10), {n: first(*ways[n]) for n in ways if n in slow})
    typical = {name: 1000 * value for name, value in medians(seconds).items()}
    above = {}
    for place, key in (("with preload", "preload"), ("without preload", "plain")):
        for function in ("query_type", "PL/Python"):
            if f"{function}, {place}" in typical:
                above[f"{function}, {place}"] = typical[f"{function}, {place}"] - typical[f"empty function, {place}"]
        bench.report.measured(f"first_call_{key}", above[f"query_type, {place}"])
    rows = [[name, typical[name], above.get(name, ""), 1000 * max(seconds[name]), len(seconds[name])] for name in typical]
    bench.report.table(
        "First call in a new connection", ["", "ms", "above the empty function", "slowest", "connections"], rows,
        "From sending the connection's first statement to the last byte of its answer; a new query each time, which no cache knows."
        + _without_session(bench),
    )  # fmt: skip
    bench.report.plot("first_call", "First call in a new connection", "log", "ms", typical)


def measure_memory(bench):
    """Fills in the requirements on memory."""
    added = {}
    for name, (server, statement) in _ways(bench).items():
        values = added.setdefault(name, [])
        for _ in range(3 if "PL/Python" in name else bench.sizes.backends):
            with connect(server) as connection:
                connection.query(_empty(_text(bench)))
                before = private_kb(connection.pid)
                connection.query(statement(_text(bench)))
                values.append((private_kb(connection.pid) - before) / 1024)
    typical = medians(added)
    bench.report.measured("memory_preload", typical["query_type, with preload"])
    bench.report.measured("memory_plain", typical["query_type, without preload"])
    bench.report.table(
        "Memory of a backend", ["", "MB added by the first call", "least", "most", "backends"],
        [[name, typical[name], min(values), max(values), len(values)] for name, values in added.items()],
        "Private_Dirty of the mappings in its `smaps` that are not shared, before and after, an empty function called once before both."
        + _without_session(bench),
    )  # fmt: skip
    bench.report.plot("memory", "Private memory that the first call adds", "bars", "MB", typical)


def _without_session(bench):
    return "" if "preload_session" in bench.features.settings else " This build preloads its library and no session."
