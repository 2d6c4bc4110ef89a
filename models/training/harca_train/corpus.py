"""Labelled and unlabelled queries: reading, cleaning, de-duplication, and splits by source."""

import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from harca_train.errors import TrainingError

ENDINGS = " \t?!.。．？！…"


@dataclass(frozen=True)
class Query:
    """One query.

    `label` is a label's name, empty when nobody has judged it; `use` is "train", or "eval" for what shipped weights
    must not learn from; `weight` is its share in the loss.
    """

    text: str
    label: str
    language: str
    source: str
    use: str = "train"
    weight: float = 1.0

    def with_text(self, text, share):
        """The same query in other words, at `share` of its weight."""
        return replace(self, text=text, weight=self.weight * share)


def plain(text):
    """The text in lower case without final punctuation: what is left of it when people type carelessly."""
    return text.lower().rstrip(ENDINGS) or text.lower()


def clean(text):
    """The text in one line, composed (NFC), without control characters and without space at its ends."""
    text = unicodedata.normalize("NFC", text)
    text = "".join(" " if char.isspace() else char for char in text if char.isspace() or char.isprintable())
    return text.strip()


def read_tsv(path):
    """Rows of a tab-separated file with a header line, as dictionaries by column name."""
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error
    header = lines[0].rstrip("\r").split("\t")
    if "query" not in header:
        raise TrainingError(f"{path} has no column named query: its first line must name the columns, tabs between")
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        cells = line.rstrip("\r").split("\t")
        if cells == [""]:
            continue
        if len(cells) != len(header):
            raise TrainingError(f"{path}, line {number}: {len(cells)} columns, the first line names {len(header)}")
        rows.append(dict(zip(header, cells)))
    return rows


def read_labelled(path):
    """Queries of a file with the columns query and label, and if it has them language, source and use.

    Returns the queries and what cleaning did: a dictionary of counts. Of texts that are equal but for case and final
    punctuation the first is kept; one that appears under two labels is dropped, because nobody knows which is right.
    """
    rows = read_tsv(path)
    if rows and "label" not in rows[0]:
        raise TrainingError(f"{path} has no column named label")
    labels = {}
    for row in rows:
        labels.setdefault(plain(clean(row["query"])), set()).add(row["label"])
    seen, queries, counts = set(), [], Counter(rows=len(rows))
    for row in rows:
        text = clean(row["query"])
        key = plain(text)
        if not row["label"].strip():
            counts["without a label"] += 1
        elif len(labels[key]) > 1:
            counts["under two labels"] += 1
        elif key in seen:
            counts["repeated"] += 1
        else:
            seen.add(key)
            language, source = row.get("language") or "und", row.get("source") or "all"
            queries.append(Query(text, row["label"].strip(), language, source, row.get("use") or "train"))
    counts["kept"] = len(queries)
    if not queries:
        raise TrainingError(f"{path} holds no labelled query")
    return queries, dict(counts)


def read_unlabelled(path, exclude, per_source):
    """Up to `per_source` distinct queries of each source of `path`, in file order.

    `exclude` holds the plain texts that must not come back, those of the labelled queries.
    """
    taken, counts, queries = set(exclude), Counter(), []
    for row in read_tsv(path):
        text, source = clean(row["query"]), row.get("source") or "all"
        key = plain(text)
        if not text or key in taken or counts[source] >= per_source:
            continue
        taken.add(key)
        counts[source] += 1
        queries.append(Query(text, "", row.get("language") or "und", source))
    return queries


def labels_of(queries):
    """Label names in order of first appearance."""
    return list(dict.fromkeys(query.label for query in queries))


class Splits:
    """Which sources are held out together.

    Sources that stem from one site, log or task form a group (`groups`: name → patterns of source names); a fold holds
    out whole groups (`folds`: lists of group names). Without folds, every group goes to one of `count` folds of about
    equal size. With a single group the rows themselves are dealt out, and the figures say nothing of other sources.
    """

    def __init__(self, queries, groups=None, folds=None, count=8):
        self.groups = groups or {}
        self._group_of = {}
        names = [self.group(query.source) for query in queries]
        sizes = Counter(names)
        if not folds:
            folds = [[] for _ in range(min(count, len(sizes)))]
            weights = [0] * len(folds)
            for name, size in sizes.most_common():
                lightest = weights.index(min(weights))
                folds[lightest].append(name)
                weights[lightest] += size
        missing = set(sizes) - {name for fold in folds for name in fold}
        if missing:
            raise TrainingError(f"no fold holds the sources {', '.join(sorted(missing))}: name them in the settings")
        self.by_source = len(sizes) > 1
        place = {name: number for number, fold in enumerate(folds) for name in fold}
        self.fold_of_group = place
        if self.by_source:
            self.fold = [place[name] for name in names]
        else:
            folds = [[f"rows {number}"] for number in range(5)]
            self.fold = [number % 5 for number in range(len(queries))]
        self.folds = folds

    def group(self, source):
        """Name of the group that `source` belongs to; a source on no list is a group of its own."""
        if source not in self._group_of:
            names = (name for name, patterns in self.groups.items() if any(fnmatch(source, one) for one in patterns))
            self._group_of[source] = next(names, source)
        return self._group_of[source]

    def held_out(self, number, source):
        """Whether fold `number` holds out every query of `source`."""
        return self.by_source and self.fold_of_group.get(self.group(source)) == number
