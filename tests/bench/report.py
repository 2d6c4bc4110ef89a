"""What was measured against what is required, written as docs/BENCHMARKS.md and docs/benchmarks.json."""

import json
import statistics
from dataclasses import dataclass, field

from .clock import spread

# key: (what, sense of the bound, bound, unit). The order is that of the report.
REQUIREMENTS = {
    "hit_query_type": ("`query_type()` on a hit ÷ `md5()`, net of the scan", "≤", 0.6, "×"),
    "hit_query_type_gross": ("the same, scan included", "≤", 0.6, "×"),
    "hit_classify_query": ("`classify_query()` on a hit ÷ `md5()`, net of the scan", "≤", 2, "×"),
    "hit_classify_query_gross": ("the same, scan included", "≤", 2, "×"),
    "own_hit_query_type": ("`query_type()` on a hit of the session's own cache ÷ `md5()`, net of the scan", "≤", 0.6, "×"),
    "own_hit_classify_query": ("`classify_query()` on a hit of the session's own cache ÷ `md5()`, net of the scan", "≤", 2, "×"),
    "miss": ("a miss ÷ the plain Rust loop of encode + run", "≤", 1.3, "×"),
    "plpython_miss": ("PL/Python ÷ a miss", "≥", 5, "×"),
    "plpython_hit": ("PL/Python ÷ a hit", "≥", 40, "×"),
    "batch": ("1,000 new queries through `classify_queries` ÷ single misses in one scan, per query", "≤", 0.35, "×"),
    "batch_statement": ("the same queries from a client, in one statement ÷ in a statement each", "≤", 0.35, "×"),
    "batch_runtime": ("`classify_queries` ÷ single misses when ONNX Runtime runs the model", "≤", 0.35, "×"),
    "first_call_preload": ("first call in a new connection above an empty function's, with preload", "≤", 1, "ms"),
    "first_call_plain": ("first call in a new connection above an empty function's, without preload", "≤", 15, "ms"),
    "memory_preload": ("private memory that the first call adds, with preload", "≤", 0.3, "MB"),
    "memory_plain": ("private memory that the first call adds, without preload", "≤", 3, "MB"),
    "scaling": ("hits of two clients ÷ those of one, one call a statement", "≥", 1.8, "×"),
    "scaling_many": ("hits of two clients ÷ those of one, 10,000 calls a statement", "≥", 1.8, "×"),
    "full_cache": ("only new queries: a full shared cache ÷ none, one call a statement", "≥", 0.9, "×"),
    "full_cache_many": ("only new queries: a full shared cache ÷ none, 10,000 calls a statement", "≥", 0.9, "×"),
    "zipf_lru": ("Zipf(1.0): an exact LRU's hit ratio above the shared cache's", "≤", 2, "points"),
    "zipf_sieve": ("Zipf(1.0): SIEVE's hit ratio above the shared cache's", "≤", 2, "points"),
    "scan_misses": ("misses of a warm cyclic scan over nine tenths of the shared cache's entries", "≤", 0.5, "%"),
    "hits_per_second": ("hits a second, two clients, one call a statement", "≥", 50_000, "/s"),
    "hits_per_second_many": ("hits a second, two clients, 10,000 calls a statement", "≥", 50_000, "/s"),
    "misses_per_second": ("misses a second, two clients, one call a statement", "≥", 10_000, "/s"),
    "misses_per_second_many": ("misses a second, two clients, 10,000 calls a statement", "≥", 10_000, "/s"),
    "engine_clients": ("a transformer in the engine: queries a second of four clients ÷ those of one", "≥", 1.8, "×"),
    "engine_above": ("a request through the engine above the same run in process, net of a statement that is at work as long", "≤", 0.3, "ms"),
    "engine_above_tiny": ("the same with a transformer that takes next to nothing", "≤", 0.3, "ms"),
    "engine_memory": ("private memory that asking the engine adds to a session, the most of eight", "≤", 0.5, "MB"),
    "engine_growth": ("what the engine grows by when nine sessions use a model instead of one", "≤", 5, "MB"),
    "engine_flood": ("95 % of requests under a flood of bulk work ÷ (twice those alone + one run of bulk work)", "≤", 1, "×"),
    "embedding_above": ("the embedding of a new query, net of an empty statement, above the same run in process", "≤", 1, "ms"),
    "embedding_cached": ("the same from the cache, net of the scan", "≤", 20, "µs"),
    "embedding_search": ("a search by text of the largest embedded table above its embedding and the search with it", "≤", 1, "ms"),
    "embedding_fill": ("rows a second that a table is embedded at ÷ a plain loop of ONNX Runtime in batches of 32", "≥", 0.9, "×"),
    "embedding_fill_beside": ("95 % of queries that are embedded meanwhile ÷ those alone", "≤", 3, "×"),
    "embedding_updates": ("updates of other columns of a table that is kept in step ÷ the same without", "≤", 1.05, "×"),
    "search_both": ("searches of 10,000 rows and fewer by both legs ÷ hand-written SQL, median over kinds", "≤", 1.15, "×"),
    "search_first": ("the first search of a connection ÷ that of the hand-written SQL", "≤", 1.3, "×"),
    "search_learning": ("searches that a target learns from and goes by ÷ those of one that is not calibrated", "≤", 1.03, "×"),
    "search_words_code": ("searches of the largest table by words alone, on GIN with frequencies ÷ pg_textsearch: a code", "≤", 3, "×"),
    "search_words_exact_term": ("the same: an exact term", "≤", 4, "×"),
    "search_words_keyword": ("the same: two or three words", "≤", 8, "×"),
    "search_words_question": ("the same: a question", "≤", 10, "×"),
    "search_words_hybrid": ("the same: words that are related", "≤", 8, "×"),
    "search_peer": ("the same on an index of pg_textsearch ÷ the plain statement, highest of the kinds", "≤", 1.25, "×"),
    "search_peer_above": ("what it takes longer than the plain statement, most of the kinds", "≤", 0.3, "ms"),
    "search_clients": ("searches of two clients ÷ those of one, the lower of both legs and words alone", "≥", 1.8, "×"),
    "search_memory": ("private memory that 10,000 different searches add to a session", "≤", 2, "MB"),
    "search_exact_term": ("searches of the largest embedded table with an exact term: `auto` ÷ `parallel`", "≤", 0.7, "×"),
    "search_code": ("the same with a code alone", "≤", 1.05, "×"),
    "search_keyword": ("the same with two or three words", "≤", 1.05, "×"),
    "search_question": ("the same with a question", "≤", 1.05, "×"),
    "search_hybrid": ("the same with words that are related", "≤", 1.05, "×"),
    "search_share": ("classification and fusion in a search of that table, highest of the kinds", "≤", 5, "%"),
}


@dataclass
class Table:
    """A table of details: cells are text, or numbers that are written with three digits."""

    title: str
    header: list
    rows: list
    remark: str = ""


@dataclass
class Report:
    """Collects figures; nothing here measures."""

    about: dict
    values: dict = field(default_factory=dict)
    reasons: dict = field(default_factory=dict)
    tables: list = field(default_factory=list)
    plots: dict = field(default_factory=dict)
    notices: list = field(default_factory=list)

    def measured(self, key, value):
        """Takes the value of a requirement, in the unit of its bound."""
        self.values[_known(key)] = value

    def ratio(self, key, above, below):
        """Takes a requirement that is a ratio of two times, each net of something else."""
        if above > 0 and below > 0:
            self.measured(key, above / below)
        else:
            self.unavailable([key], "below the noise of this run")

    def unavailable(self, keys, reason):
        """Says why requirements could not be measured."""
        self.reasons.update({_known(key): reason for key in keys})

    def table(self, title, header, rows, remark=""):
        """Adds a table of details."""
        self.tables.append(Table(title, header, rows, remark))

    def timings(self, title, seconds, counts, remark=""):
        """A table of interleaved timings: name → seconds of each round; counts has the rows or calls behind them."""
        rows = [
            [name, 1e6 * statistics.median(values) / counts[name], f"{100 * spread(values):.0f} %", len(values)]
            for name, values in seconds.items()
        ]
        self.table(title, ["", "µs each", "spread", "rounds"], rows, remark)

    def plot(self, name, title, kind, unit, series, ticks=None):
        """Adds a plot: kind is bars, log or lines; series maps a label to a number, or to one for each tick."""
        self.plots[name] = {"title": title, "kind": kind, "unit": unit, "series": series} | ({"ticks": ticks} if ticks else {})

    def notice(self, text):
        """Adds a sentence that belongs to the whole report, and says it at once."""
        print(f"    {text}", flush=True)
        self.notices.append(text)

    def verdict(self, key):
        """met, missed, or why there is no value."""
        if key not in self.values:
            return self.reasons.get(key, "not run")
        _, sense, bound, _ = REQUIREMENTS[key]
        value = self.values[key]
        return "met" if (value <= bound if sense == "≤" else value >= bound) else "**missed**"

    def json(self):
        """Everything, for programs."""
        requirements = [
            {"key": key, "what": what, "sense": sense, "bound": bound, "unit": unit, "value": self.values.get(key),
             "verdict": self.verdict(key).strip("*")}
            for key, (what, sense, bound, unit) in REQUIREMENTS.items()
        ]  # fmt: skip
        content = {
            "about": self.about, "notices": self.notices, "requirements": requirements,
            "tables": [vars(table) for table in self.tables], "plots": self.plots,
        }  # fmt: skip
        return json.dumps(content, ensure_ascii=False, indent=1) + "\n"

    def markdown(self, drawn):
        """The page; drawn maps the names of the plots that were drawn to their files."""
        lines = [
            "# Benchmarks",
            "",
            "Written by `make bench`: all figures are of one run on one machine. [CONTRIBUTING.md](../CONTRIBUTING.md)",
        ]
        lines += ["says how to read them.", ""]
        lines += [f"- {what}: {value}" for what, value in self.about.items()]
        lines += ["", *(f"{notice}\n" for notice in self.notices)]
        lines += ["## Required", "", "| | bound | measured | |", "|---|---|---|---|"]
        for key, (what, sense, bound, unit) in REQUIREMENTS.items():
            value = f"{number(self.values[key])} {unit}" if key in self.values else "–"
            lines.append(f"| {what} | {sense} {number(bound)} {unit} | {value} | {self.verdict(key)} |")
        for name, file in drawn.items():
            lines += ["", f"![{self.plots[name]['title']}]({file})"]
        for table in self.tables:
            lines += ["", f"## {table.title}", ""]
            if table.remark:
                lines += [table.remark, ""]
            lines += [f"| {' | '.join(table.header)} |", "|---" * len(table.header) + "|"]
            lines += [f"| {' | '.join(map(number, row))} |" for row in table.rows]
        return "\n".join(lines) + "\n"


def _known(key):
    if key not in REQUIREMENTS:
        raise KeyError(f"no requirement is called {key}")
    return key


def number(value):
    """A number with three significant digits, and thousands apart; None is a dash, and text stays as it is."""
    if value is None:
        return "–"
    if not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = 2 if value == 0 else max(0, 2 - len(str(int(abs(value)))) + 1)
    return f"{value:.{digits if abs(value) >= 0.1 or value == 0 else 3}f}"
