"""A made collection of any size, the same one in every run: documents, their embeddings, and facts to search for.

The words are syllables, so that no data file is needed; how often each comes follows Zipf's law. A document has a topic,
which gives it a quarter of its words and most of its embedding. Every fifth has a code that at most four documents share. A
fact is a query and the document into which its words have been put; the documents with a code are those that its query has
to find.
"""

import itertools
import math
import random
from dataclasses import dataclass, field

from .brute_force import BruteForce

DIMENSIONS = 384
WORDS = 50_000
# No e and no i, whose endings English stems: every word is a lexeme, and none is a stop word.
CONSONANTS = "bdfghklmnprstvz"
SYLLABLES = [consonant + vowel for consonant in CONSONANTS for vowel in "aou"]
# The one English word that queries have beside stop words is in documents as well.
VERB, VERB_RANK = "fix", 400
LENGTHS = 60, 200
# A topic is not so large a part of a small collection that its words are common.
DOCUMENTS_OF_A_TOPIC, LEAST_TOPICS, WORDS_OF_A_TOPIC = 100, 100, 30
# Every fourth word of a document is of its topic.
TOPICAL = 4
CODED, MOST_CODED = 5, 4
# Two of these are added to the topic of a document, and one to the embedding of a document for a query.
NOISES, NOISE = 2_000, 0.5
# A word of a query is in 20 documents to 5 % of them; of two or three that come together rarely, each is in 0.5 % at least.
LEAST_COMMON, OFTEN, MOST_COMMON = 20, 0.005, 0.05
# So often the document of a fact has each of its words.
PLANTED = 3
KINDS = ["code alone", "exact term", "two or three words", "question", "related words"]


@dataclass
class Fact:
    """A query of one of KINDS and the document that answers it.

    topic is that of the document, words are what it has for the query, coded are the documents with the query's code.
    """

    kind: str
    text: str
    document: int
    topic: int
    words: list
    coded: list = field(default_factory=list)


class Corpus:
    """A collection of so many documents, with so many facts of each kind.

    facts has them, in the order of KINDS; brute_force ranks the documents for them, after all have been made.
    """

    def __init__(self, rows, facts):
        self.rows = rows
        self.topics = max(LEAST_TOPICS, rows // DOCUMENTS_OF_A_TOPIC)
        self._draw = draw = random.Random(f"corpus of {rows}")
        self._words = vocabulary(draw)
        # What documents draw their words from: a draw with weights takes three times as long.
        self._pool = [word for rank, word in enumerate(self._words, 1) for _ in range(round(WORDS / rank))]
        self._of_topics = [draw.choices(self._pool, k=WORDS_OF_A_TOPIC) for _ in range(self.topics)]
        coded = math.ceil(rows / CODED)
        codes = [code(n) for n in range(coded) for _ in range(1 + n % MOST_CODED)][:coded]
        draw.shuffle(codes)
        self._codes = codes
        self.facts = self._make_facts(facts)
        self._planted = {fact.document: fact for fact in self.facts}
        self.brute_force = BruteForce(term for fact in self.facts for term in terms(fact))

    def documents(self):
        """(id, content, topic, noise, noise) of each, ids from 0."""
        draw, pool = self._draw, self._pool
        for place in range(self.rows):
            fact = self._planted.get(place)
            topic = fact.topic if fact else draw.randrange(self.topics)
            text = draw.choices(pool, k=draw.randint(*LENGTHS))
            text[::TOPICAL] = draw.choices(self._of_topics[topic], k=len(text[::TOPICAL]))
            if fact:
                planted = fact.words * PLANTED
                for at, word in zip(draw.sample(range(len(text)), len(planted)), planted):
                    text[at] = word
            tokens = text
            if place % CODED == 0:
                term = self._codes[place // CODED]
                tokens = text + code_lexemes(term)
                text.insert(draw.randrange(len(text)), term)
            self.brute_force.add(place, tokens)
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
            yield number, "[" + ",".join([f"{draw.gauss(0, deviation):.4f}" for _ in range(DIMENSIONS)]) + "]"

    def different(self, count):
        """So many queries, no two alike, of the kinds in turn and of words that facts could have; no fact answers them."""
        draw = random.Random(f"different queries of {self.rows}")
        given = set()
        for kind in itertools.cycle(KINDS):
            if len(given) == count:
                return
            text, _ = self._wording(draw, kind, draw.choice(self._codes), draw.randrange(self.topics))
            if text not in given:
                given.add(text)
                yield text

    def _make_facts(self, count):
        draw = self._draw
        with_code = draw.sample(range(0, self.rows, CODED), 2 * count)
        without = draw.sample([place for place in range(self.rows) if place % CODED], (len(KINDS) - 2) * count)
        places = with_code + without
        holders = {self._codes[place // CODED]: [] for place in with_code}
        for at, term in enumerate(self._codes):
            if term in holders:
                holders[term].append(CODED * at)
        facts = []
        # The first two kinds have a code.
        for kind, place in zip((kind for kind in KINDS for _ in range(count)), places):
            topic = draw.randrange(self.topics)
            term = self._codes[place // CODED]
            text, words = self._wording(draw, kind, term, topic)
            facts.append(Fact(kind, text, place, topic, words, holders[term] if term in text else []))
        return facts

    def _wording(self, draw, kind, term, topic):
        """The text of a query, and the words that a document has for it beside a code."""
        if kind == "code alone":
            return term, []
        if kind == "exact term":
            words = self._common(draw, 1)
            return " ".join(draw.sample([term, *words], 2)), words
        if kind == "two or three words":
            words = self._common(draw, draw.choice((2, 3)), OFTEN)
            return " ".join(words), words
        if kind == "question":
            words = self._common(draw, 2)
            return f"how do I {VERB} the {words[0]} of the {words[1]}?", [VERB, *words]
        first, last = self._ranks()
        known = set(self._words[first:last]).intersection(self._of_topics[topic]) - {VERB}
        words = draw.sample(sorted(known), min(3, len(known)))
        while len(words) < 3:
            words += set(self._common(draw, 1)) - set(words)
        return f"{words[0]} {words[1]} for {words[2]}", words

    def _common(self, draw, count, least=0):
        """Words of a query, rare ones as likely as common ones; of so large a share of the documents at least."""
        first, last = self._ranks(least)
        words = []
        while len(words) < count:
            rank = int(first * (last / first) ** draw.random())
            if rank != VERB_RANK and self._words[rank] not in words:
                words.append(self._words[rank])
        return words

    def _ranks(self, least=0):
        """The first rank of the words of queries, and that behind the last one which such a share of the documents has."""
        least = max(least, LEAST_COMMON / self.rows)
        # Of a document's words a share of WORDS / rank / len(pool) is that of a rank: it has this word with the chance
        # 1 − exp(−share · words of the document).
        scale = WORDS / len(self._pool) * sum(LENGTHS) / 2
        first, last = (round(scale / -math.log1p(-share)) for share in (MOST_COMMON, min(least, 0.9 * MOST_COMMON)))
        return first, min(last, WORDS)


def vocabulary(draw):
    """The words, the most frequent first, which are short."""
    short, long = ([*map("".join, itertools.product(SYLLABLES, repeat=length))] for length in (2, 3))
    draw.shuffle(short)
    words = short + draw.sample(long, WORDS - len(short))
    words[VERB_RANK] = VERB
    return words


def code(number):
    """The code with a number, two letters and four digits; neighbours look unlike, and the letters are no word."""
    letters = CONSONANTS.upper()
    pair, digits = divmod(number * 1_234_577 % (len(letters) ** 2 * 10**4), 10**4)
    return f"{letters[pair // len(letters)]}{letters[pair % len(letters)]}-{digits:04}"


def code_lexemes(term):
    """What the text search configuration makes of a code: itself and its parts."""
    return [term.lower(), *term.lower().split("-"), term.lower().replace("-", "")]


def terms(fact):
    """The lexemes of a fact's query."""
    return fact.words + (code_lexemes(next(word for word in fact.text.split() if "-" in word)) if fact.coded else [])
