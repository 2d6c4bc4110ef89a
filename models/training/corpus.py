"""Labelled and unlabelled queries, and how their sources are grouped for cross-validation."""

from dataclasses import dataclass, replace
from pathlib import Path

LABELS = ["keyword", "semantic", "hybrid", "unknown"]

# Sources that stem from the same log, site or task form one group, and a group is held out as a whole.
GROUPS = {
    "forum": ["cqa_*", "beir_cqadupstack*", "fiqa", "beir_fiqa", "quora", "beir_quora"],
    "trec": ["trec_mq07", "trec_mq08", "trec_title", "trec_desc", "trec_topics", "beir_robust04", "beir_trec-news"],
    "terabyte": ["terabyte05"],
    "bing": ["msmarco_dev", "dl21", "orcas_i"],
    "nq": ["nq_dev", "beir_nq"],
    "movie": ["movie"],
    "esci": ["esci_us", "esci"],
    "dbpedia": ["dbpedia_entity", "dbpedia", "qald9"],
    "trec_qc": ["trec_qc"],
    "assistant": ["clinc", "banking"],
    "climate": ["climate_fever", "beir_climate-fever"],
    "code": ["codesearchnet"],
    "medical": ["nfcorpus", "beir_nfcorpus", "beir_bioasq"],
    "papers": ["scidocs", "beir_scidocs"],
    "touche": ["beir_webis-touche2020"],
    "niilc": ["niilc_*"],
    "vue": ["vue_docs_ja"],
    "react": ["react_docs_ja"],
    "trends": ["google_trends_jp"],
    "wiki_questions": ["mrtydi_ja", "mrtydi_ja_dev", "miracl_*"],
    "commonsense": ["jcommonsense"],
    "squad_ja": ["jsquad_valid", "jaquad"],
    "quiz": ["aio_01", "aio", "jemhop"],
}

# Groups that share one fold: never two that train each other's kind (the two documentation sets, the two web logs).
FOLDS = [
    ["forum", "niilc"],
    ["trec", "touche", "trends"],
    ["bing", "commonsense"],
    ["vue", "terabyte", "assistant"],
    ["react", "esci", "climate"],
    ["dbpedia", "squad_ja", "code"],
    ["movie", "papers", "wiki_questions"],
    ["medical", "nq", "trec_qc", "quiz"],
]


@dataclass(frozen=True)
class Query:
    """One query; `label` is an index into LABELS or -1, `shippable` says whether shipped weights may learn from it."""

    text: str
    label: int
    language: str
    source: str
    shippable: bool
    weight: float = 1.0

    def with_text(self, text, share):
        """The same query in other words, at `share` of its weight."""
        return replace(self, text=text, weight=self.weight * share)


def group_of(source):
    """Name of the group that `source` belongs to; a source on no list is a group of its own."""
    for group, patterns in GROUPS.items():
        for pattern in patterns:
            if source == pattern or (pattern.endswith("*") and source.startswith(pattern[:-1])):
                return group
    return source


def read_rows(path):
    """Rows of a tab-separated file without its header line, as lists of strings."""
    lines = Path(path).read_text(encoding="utf-8").split("\n")
    return [line.split("\t") for line in lines[1:] if line]


def read_labelled(path):
    """Labelled queries of `path` (columns query, label, language, source, use)."""
    rows = read_rows(path)
    return [Query(text, LABELS.index(label), lang, source, use == "train") for text, label, lang, source, use in rows]


def read_unlabelled(path, exclude, per_source):
    """Up to `per_source` distinct queries of each source of `path` whose text is not in `exclude`, in file order."""
    taken, counts, queries = set(exclude), {}, []
    for text, language, source in read_rows(path):
        if text in taken or counts.get(source, 0) >= per_source:
            continue
        taken.add(text)
        counts[source] = counts.get(source, 0) + 1
        queries.append(Query(text, -1, language, source, True))
    return queries
