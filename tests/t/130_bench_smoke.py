#!/usr/bin/env python3
"""The benchmark runs, finds every answer right and writes its report; what it holds answers against is right itself."""

import collections
import json
import math
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from bench.search.brute_force import K1, B, BruteForce, agreement  # noqa: E402
from bench.search.corpus import KINDS, LEAST_COMMON, MOST_COMMON, Corpus  # noqa: E402
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


def naive_bm25(documents, query):
    """As BruteForce.scores, word by word, rounded."""
    average = sum(map(len, documents)) / len(documents)
    found = {}
    for place, words in enumerate(documents):
        norm = K1 * (1 - B + B * len(words) / average)
        for word in set(query) & set(words):
            holders = sum(word in other for other in documents)
            weight = math.log(1 + (len(documents) - holders + 0.5) / (holders + 0.5))
            found[place] = found.get(place, 0) + weight * words.count(word) / (words.count(word) + norm)
    return {place: round(score, 9) for place, score in found.items()}


documents = [numbers.choices("abcdefgh", weights=range(8, 0, -1), k=numbers.randint(1, 9)) for _ in range(60)]
brute_force = BruteForce("acegx")
for place, words in enumerate(documents):
    brute_force.add(place, words)
is_(
    [{place: round(score, 9) for place, score in brute_force.scores(query).items()} for query in ("a", "ceg", "gx")],
    [naive_bm25(documents, query) for query in ("a", "ceg", "gx")],
    "BM25 by brute force is that of the formula",
)
tied = {1: 3.0, 2: 2.0, 3: 2.0, 4: 1.0}
is_(
    [agreement(page, tied, 2) for page in ([1, 2], [3, 1], [2, 3], [1, 4], [4, 5], [], [5, 6, 1])],
    [1, 1, 1, 0.5, 0, 0, 0],
    "a page agrees with it as far as its rows score like the best",
)

corpus, again = (Corpus(1_000, 5) for _ in range(2))
texts = {place: content for place, content, *_ in corpus.documents()}
is_({place: content for place, content, *_ in again.documents()}, texts, "a corpus is the same one in every run")
is_(collections.Counter(fact.kind for fact in corpus.facts), dict.fromkeys(KINDS, 5), "it has facts of each kind")
unlike = []
for fact in corpus.facts:
    codes = [word for word in fact.text.split() if "-" in word]
    holders = [place for place, text in texts.items() if set(codes) & set(text.split())]
    has_words = set(fact.words) <= set(texts[fact.document].split())
    if fact.coded != holders or bool(codes) != (fact.document in holders) or not has_words:
        unlike.append(fact)
is_(unlike, [], "whose documents have the words and codes of their queries, as no others have the codes")
counts = {word: corpus.brute_force.documents(word) for fact in corpus.facts for word in fact.words}
is_(
    {word: count for word, count in counts.items() if not LEAST_COMMON / 2 <= count <= 2 * MOST_COMMON * len(texts)},
    {},
    "and whose words are neither rare nor common",
)

if server.major != 18:
    skip("the benchmark", "one server is enough, and 18 comes with every checkout")
    done()

ALWAYS = ["miss", "batch", "first_call_preload", "first_call_plain", "memory_preload", "memory_plain", "scaling", "misses_per_second"]
ALWAYS += ["engine_clients", "engine_above", "engine_above_tiny", "engine_flood"]
ALWAYS += ["search_both", "search_first", "search_learning", "search_clients", "search_exact_term", "search_share"]
with tempfile.TemporaryDirectory() as folder:
    command = [Path(__file__).parents[1] / "bench/run", "--quick", "--skip", "plpython,plots"]
    command += ["--pg-config", server.pg_config, "--out", folder]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    # Its end says what was wrong, and all of it would be cut off behind its beginning.
    is_((run.returncode, run.stdout[-400:] if run.returncode else ""), (0, ""), "a quick run with every answer right")
    data = json.loads((Path(folder) / "benchmarks.json").read_text(encoding="utf-8"))
    page = (Path(folder) / "BENCHMARKS.md").read_text(encoding="utf-8")
found = {requirement["key"]: requirement for requirement in data["requirements"]}
is_([key for key in ALWAYS if not found[key]["value"]], [], "it measures what every build has")
is_([key for key, each in found.items() if each["verdict"] == "not run" and "plpython" not in key], [], "and says of the rest why not")
ok(all(f"| {each['what']} |" in page for each in found.values()), "the page has a line for every requirement")
ok(not any(place in page for place in (folder, str(Path.home()), str(Path(__file__).parents[2]))), "and names no folder of this machine")
done()
