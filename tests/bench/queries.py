"""Query texts: those of tests/data with suffixes, never the same twice, and the same ones in every run."""

import csv
import random

from harness.places import ROOT

# What people add to a search; the number makes a text new.
SUFFIXES = {
    "en": (" in project {}", " since build {}", " order {}", " for ticket {}", " at site {}", " version {}"),
    "ja": (" 案件{}", " 注文{}", " 第{}版", " 管理番号{}", " {}号室", " チケット{}"),
}
FILES = ("quality_queries.tsv", "demo_queries.tsv", "search_relevance.tsv")


def _seeds():
    """(query, language) of every English and Japanese text that holds something to search for."""
    found = {}
    for name in FILES:
        with open(ROOT / "tests/data" / name, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                if row["language"] in SUFFIXES and row.get("label") != "unknown" and any(map(str.isalnum, row["query"])):
                    found[row["query"]] = row["language"]
    seeds = sorted(found.items())
    random.Random(1).shuffle(seeds)
    return seeds


class Queries:
    """Hands out texts."""

    def __init__(self):
        self._seeds = _seeds()
        self._given = 0

    def take(self, count):
        """Texts that were never handed out before, English and Japanese in the shares of the files."""
        texts = [self._text(serial) for serial in range(self._given, self._given + count)]
        self._given += count
        return texts

    def _text(self, serial):
        number, place = divmod(serial, len(self._seeds))
        query, language = self._seeds[place]
        suffixes = SUFFIXES[language]
        return query + suffixes[(place + number) % len(suffixes)].format(1000 + number)


def describe(texts):
    """One sentence on the lengths of texts."""
    lengths = sorted(map(len, texts))
    at = [lengths[round(share * (len(lengths) - 1))] for share in (0, 0.5, 1)]
    return f"{at[0]} to {at[2]} characters, median {at[1]}"
