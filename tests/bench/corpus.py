"""A made collection of any size, the same one in every run: documents, their embeddings and codes, and queries drawn from them.

The words are syllables, so that no data file is needed; how often each comes follows Zipf's law. A document has a topic, which
gives it a quarter of its words and most of its embedding. Every fifth has a code that at most four documents share.
"""

import collections
import itertools
import random
from dataclasses import dataclass

DIMENSIONS = 64
WORDS = 50_000
# No e and no i, whose endings English stems: every word is a lexeme, and none is a stop word.
SYLLABLES = [consonant + vowel for consonant in "bdfghklmnprstvz" for vowel in "aou"]
# The one English word that queries have beside stop words is in documents as well.
VERB, VERB_RANK = "fix", 400
LENGTHS = 30, 60
DOCUMENTS_OF_A_TOPIC, WORDS_OF_A_TOPIC = 100, 30
CODED, MOST_CODED = 5, 4
# Two of these are added to the topic of a document, and one to the embedding of a document for a query.
NOISES, NOISE = 10_000, 0.5
# A word that goes along with a code, as in tests/eval/exact_terms.py; all other words of queries are like it.
LEAST_COMMON, MOST_COMMON = 20, 0.05


@dataclass
class Query:
    """A text, the document that it was drawn from, and the documents with its code, if it has one."""

    text: str
    document: int
    coded: list


class Corpus:
    """A collection of so many documents."""

    def __init__(self, rows):
        self.rows = rows
        self.topics = rows // DOCUMENTS_OF_A_TOPIC
        self._draw = random.Random(f"corpus of {rows}")
        self._counts = collections.Counter()
        self._drawn_from = {}
        self._coded = collections.defaultdict(list)

    def documents(self, drawn_from):
        """(id, content, topic, noise, noise) of each, ids from 0; so many are kept to draw queries from."""
        draw = self._draw
        words = vocabulary(draw)
        chances = list(itertools.accumulate(1 / rank for rank in range(1, WORDS + 1)))
        of_topics = [draw.choices(words, cum_weights=chances, k=WORDS_OF_A_TOPIC) for _ in range(self.topics)]
        coded = range(0, self.rows, CODED)
        codes = [code(n) for n in range(len(coded)) for _ in range(1 + n % MOST_CODED)][: len(coded)]
        draw.shuffle(codes)
        kept = set(draw.sample(coded, drawn_from))
        for place in range(self.rows):
            topic, length = draw.randrange(self.topics), draw.randint(*LENGTHS)
            text = draw.choices(words, cum_weights=chances, k=length - length // 4) + draw.choices(of_topics[topic], k=length // 4)
            draw.shuffle(text)
            self._counts.update(set(text))
            if place in coded:
                term = codes[place // CODED]
                self._coded[term].append(place)
                if place in kept:
                    self._drawn_from[place] = term, sorted(set(text) - {VERB})
                text.insert(draw.randrange(length), term)
            yield place, " ".join(text), topic, draw.randrange(NOISES), draw.randrange(NOISES)

    def topic_vectors(self):
        """(number, vector) of each topic; they are about as long as 1."""
        return self._vectors(self.topics, 1)

    def noise_vectors(self):
        """(number, vector) of each noise, about as long as NOISE."""
        return self._vectors(NOISES, NOISE)

    def _vectors(self, count, length):
        deviation = length / DIMENSIONS**0.5
        draw = random.Random(f"{count} vectors of {length}")
        for number in range(count):
            yield number, "[" + ",".join(f"{draw.gauss(0, deviation):.4f}" for _ in range(DIMENSIONS)) + "]"

    def queries(self, count):
        """kind → so many queries, after all documents have been made; each is drawn from a document of its own."""
        draw = self._draw
        wordings = {
            "exact term": lambda term, words: " ".join(draw.sample([term, words[0]], 2)),
            "code alone": lambda term, words: term,
            "keyword": lambda term, words: " ".join(words[: draw.choice((2, 3))]),
            "question": lambda term, words: f"how do I {VERB} the {words[0]} of the {words[1]}?",
            "hybrid": lambda term, words: f"{words[0]} {words[1]} for {words[2]}",
        }
        found = {kind: [] for kind in wordings}
        kinds = itertools.cycle(wordings)
        for place, (term, known) in self._drawn_from.items():
            words = [word for word in known if LEAST_COMMON <= self._counts[word] <= MOST_COMMON * self.rows]
            if len(words) >= 3:
                kind = next(kinds)
                text = wordings[kind](term, draw.sample(words, 3))
                found[kind].append(Query(text, place, self._coded[term] if term in text else []))
        return {kind: queries[:count] for kind, queries in found.items()}


def vocabulary(draw):
    """The words, the most frequent first, which are short."""
    short, long = ([*map("".join, itertools.product(SYLLABLES, repeat=length))] for length in (2, 3))
    draw.shuffle(short)
    words = short + draw.sample(long, WORDS - len(short))
    words[VERB_RANK] = VERB
    return words


def code(number):
    """The code with a number, two letters and four digits; neighbours look unlike."""
    letters, digits = divmod(number * 1_234_577 % (26**2 * 10**4), 10**4)
    return f"{chr(65 + letters // 26)}{chr(65 + letters % 26)}-{digits:04}"
