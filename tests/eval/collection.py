"""Test collections in BEIR layout: corpus.jsonl, queries.jsonl and qrels.tsv in a folder."""

import json
import random
import re
from dataclasses import dataclass

# Queries that stand for a collection; of more, these many are drawn.
MOST_QUERIES = 300


@dataclass
class Collection:
    """Documents and queries as (id, text); judgements as query id → document id → grade above 0."""

    name: str
    documents: list
    queries: list
    judgements: dict

    @property
    def japanese(self):
        """Whether most of its first documents have hiragana, which no other language is written in."""
        texts = [text for _, text in self.documents[:100]]
        return 2 * sum(re.search("[ぁ-ん]", text) is not None for text in texts) > len(texts)


def read(folder):
    """The collection of a folder, with those of its queries that have a judgement, or a drawn part of them."""
    documents = [(line["_id"], f"{line.get('title', '')} {line['text']}".strip()) for line in _lines(folder / "corpus.jsonl")]
    known = {id_ for id_, _ in documents}
    judgements = {}
    for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        if int(grade) > 0 and document in known:
            judgements.setdefault(query, {})[document] = int(grade)
    queries = [(line["_id"], line["text"]) for line in _lines(folder / "queries.jsonl") if line["_id"] in judgements]
    if len(queries) > MOST_QUERIES:
        queries = random.Random(folder.name).sample(queries, MOST_QUERIES)
    return Collection(folder.name, documents, queries, judgements)


def _lines(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
