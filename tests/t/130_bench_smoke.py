#!/usr/bin/env python3
"""The benchmark runs, finds every answer right and writes its report; the policies it simulates are what they are called."""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from bench.zipf import lru_hits, sieve_hits  # noqa: E402
from harness import Server, done, is_, ok, skip  # noqa: E402

server = Server.attach()


def naive_lru(trace, entries):
    """As lru_hits, over a plain list."""
    cache, hits = [], 0
    for key in trace:
        if key in cache:
            hits += 1
            cache.remove(key)
        cache.append(key)
        cache = cache[-entries:]
    return hits


def naive_sieve(trace, entries):
    """As sieve_hits, over a plain list with the oldest entry first."""
    queue, visited, hand, hits = [], set(), 0, 0
    for key in trace:
        if key in queue:
            visited.add(key)
            hits += 1
            continue
        if len(queue) == entries:
            hand %= entries
            while queue[hand] in visited:
                visited.remove(queue[hand])
                hand = (hand + 1) % entries
            # The hand stays: the next entry moves to its place. Past the newest it starts over, even if one comes meanwhile.
            del queue[hand]
            hand = hand if hand < len(queue) else 0
        queue.append(key)
    return hits


numbers = random.Random(4)
for simulated, naive in ((lru_hits, naive_lru), (sieve_hits, naive_sieve)):
    pairs = []
    for _ in range(200):
        entries, keys = numbers.randint(1, 9), numbers.randint(1, 20)
        trace = [min(numbers.randrange(keys), numbers.randrange(keys)) for _ in range(300)]
        pairs.append((simulated(trace, entries), naive(trace, entries)))
    is_([pair for pair in pairs if pair[0] != pair[1]], [], f"{simulated.__name__} counts what a plain list counts")

if server.major != 18:
    skip("the benchmark", "one server is enough, and 18 comes with every checkout")
    done()

ALWAYS = ["miss", "batch", "first_call_preload", "first_call_plain", "memory_preload", "memory_plain", "scaling", "misses_per_second"]
ALWAYS += ["search_exact_term", "search_share"]
with tempfile.TemporaryDirectory() as folder:
    command = [Path(__file__).parents[1] / "bench/run", "--quick", "--skip", "plpython,plots"]
    command += ["--pg-config", server.pg_config, "--out", folder]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    is_((run.returncode, run.stdout if run.returncode else ""), (0, ""), "a quick run with every answer right")
    data = json.loads((Path(folder) / "benchmarks.json").read_text(encoding="utf-8"))
    page = (Path(folder) / "BENCHMARKS.md").read_text(encoding="utf-8")
found = {requirement["key"]: requirement for requirement in data["requirements"]}
is_([key for key in ALWAYS if not found[key]["value"]], [], "it measures what every build has")
is_([key for key, each in found.items() if each["verdict"] == "not run" and "plpython" not in key], [], "and says of the rest why not")
ok(all(f"| {each['what']} |" in page for each in found.values()), "the page has a line for every requirement")
ok(not any(place in page for place in (folder, str(Path.home()), str(Path(__file__).parents[2]))), "and names no folder of this machine")
done()
