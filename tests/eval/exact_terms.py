"""Queries for an exact term: one that 4 documents have at most, beside one that 20 documents to 5 % of them have.

Made from the documents of a collection, the same ones each time. Relevant are the documents that hold the rare term.
"""

import random
import re

from .collection import Collection

QUERIES = 150
# A word that no collection has, and that is its own lexeme.
OTHER = "zqzq"
MOST_RARE, LEAST_COMMON, MOST_COMMON = 4, 20, 0.05

# Words of Latin letters and codes; runs of katakana or of kanji.
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{2,}|[ァ-ヶー]{2,}|[一-龠々]{2,}")


def make(collection, engine):
    """A collection with the same documents and such queries."""
    words = [sorted(set(WORD.findall(text))) for _, text in collection.documents]
    known = sorted({word for some in words for word in some})
    # Beside another word, as in the queries: a stop word by itself counts as a word.
    beside = zip(known, engine.words([f"{word} {OTHER}" for word in known]))
    lexemes = {word: frozenset(found) - {OTHER} for word, found in beside}
    holders = {}
    for place, document in enumerate(engine.words([text for _, text in collection.documents])):
        for lexeme in document:
            holders.setdefault(lexeme, set()).add(place)

    def documents_with(word):
        """As the keyword leg sees them: those with every lexeme of the word."""
        return set.intersection(*(holders.get(lexeme, set()) for lexeme in lexemes[word])) if lexemes[word] else set()

    counts = {word: len(documents_with(word)) for word in known}
    draw = random.Random(f"exact terms of {collection.name}")
    queries, judgements = [], {}
    places = list(range(len(words)))
    draw.shuffle(places)
    for place in places * 20:
        if len(queries) == QUERIES:
            break
        rare = [word for word in words[place] if 1 <= counts[word] <= MOST_RARE]
        common = [word for word in words[place] if LEAST_COMMON <= counts[word] <= MOST_COMMON * len(words)]
        if not rare or not common:
            continue
        term = draw.choice(rare)
        pair = [term, draw.choice(common)]
        draw.shuffle(pair)
        id_ = f"exact{len(queries)}"
        queries.append((id_, " ".join(pair)))
        judgements[id_] = {collection.documents[holder][0]: 1 for holder in documents_with(term)}
    return Collection(collection.name, collection.documents, queries, judgements)
