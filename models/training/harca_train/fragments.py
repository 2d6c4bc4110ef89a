"""Sentences and phrases cut out of running text and out of queries, for a teacher to label.

A search box sees every stage between a bare word and a sentence. Collections of queries hold a few of them; text cut at
random places holds all.
"""

import json
import random
import re
from pathlib import Path

from harca_train.corpus import Query, clean
from harca_train.errors import TrainingError

SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
# A Japanese phrase begins where kana give way to a content word; that is near enough to bunsetsu.
PHRASE = re.compile(r"(?<=[ぁ-ん])(?=[一-鿿々ァ-ヶA-Za-z0-9])|(?<=[、・　 「」（）])")
PARTICLES = re.compile(r"(?:は|が|を|に|で|と|も|の|へ|や|から|まで|より|では|には)$")
EDGES = " \t,.;:!?()[]{}\"'`、。，．「」『』（）・"


def cut(text, language, chance):
    """A sentence of `text`, or a run of its words; empty when nothing is left of it."""
    sentences = [part for part in SENTENCE.split(text[:4000]) if part.strip()]
    if not sentences:
        return ""
    sentence = clean(chance.choice(sentences))
    if language == "ja":
        return _japanese(sentence, chance)
    words = sentence.split()
    if len(words) <= 14 and chance.random() < 0.3:
        piece = sentence
    else:
        length = chance.randint(1, 9)
        start = chance.randint(0, max(0, len(words) - length)) if chance.random() < 0.8 else 0
        piece = " ".join(words[start:start + length])
    piece = piece.strip(EDGES)
    return piece.lower() if chance.random() < 0.4 else piece


def _japanese(sentence, chance):
    phrases = [part for part in PHRASE.split(sentence) if part]
    if len(sentence) <= 40 and chance.random() < 0.25:
        return sentence.strip(EDGES)
    length = chance.randint(1, 5)
    start = chance.randint(0, max(0, len(phrases) - length)) if chance.random() < 0.8 else 0
    piece = "".join(phrases[start:start + length]).strip(EDGES)
    return PARTICLES.sub("", piece) if chance.random() < 0.7 else piece


def of_collection(path, group, count, seed):
    """`count` unlabelled queries cut out of a collection in BEIR layout (JSON lines with `text`), of source `group`."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        texts = [json.loads(line)["text"] for line in lines if line]
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"{path} is no collection in BEIR layout: {error}") from error
    chance = random.Random(f"{seed}:{group}:{len(texts)}")
    found = []
    for _ in range(count):
        text = chance.choice(texts)
        language = "ja" if re.search("[ぁ-ん]", text) else "en"
        piece = cut(text, language, chance)
        if piece:
            found.append(Query(piece, "", language, group))
    return found


def of_queries(queries, share, seed):
    """Phrases cut out of a `share` of the queries that have at least four words or ten Japanese characters."""
    chance = random.Random(seed)
    found = []
    for query in queries:
        if query.language in ("ja", "zh"):
            long_enough = len(query.text) >= 10
        else:
            long_enough = len(query.text.split()) >= 4
        if long_enough and chance.random() < share:
            piece = cut(query.text, query.language, chance)
            if piece and piece != query.text:
                found.append(Query(piece, "", query.language, query.source))
    return found
