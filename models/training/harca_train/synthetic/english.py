"""Made-up English queries: what to look for is drawn from one walk of life, how it is asked from the patterns."""

import random
import re
from functools import cache

from harca_train.synthetic.grammar import Grammar, items, lines, tables, without

VOWELS = "aeiou"
ONSETS = "b br c ch d f g gr h j k kl l m n p pr qu r s sh st t tr v w y z".split()
COINED = 800
ARTICLE = re.compile(r"\b([aA])n? (?=([a-zA-Z]))")
# Words that a title leaves in lower case.
SMALL = {"a", "an", "and", "as", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "vs", "with"}


def forms(verb):
    """Base, -ing form, past participle and third person of a verb.

    They are written out with slashes between, or follow the rules; of a verb with a particle the first word changes.
    """
    if "/" in verb:
        return tuple(verb.split("/"))
    word, space, rest = verb.partition(" ")
    rest = space + rest
    if word.endswith("e"):
        return verb, word[:-1] + "ing" + rest, word + "d" + rest, word + "s" + rest
    if word.endswith("y") and word[-2] not in VOWELS:
        return verb, word + "ing" + rest, word[:-1] + "ied" + rest, word[:-1] + "ies" + rest
    third = "es" if word.endswith(("s", "sh", "ch", "x", "z")) else "s"
    return verb, word + "ing" + rest, word + "ed" + rest, word + third + rest


def titled(text):
    """The text in title case; words that hold a capital or a digit stay as they are."""
    words = text.split(" ")
    kept = [not word.islower() or (i > 0 and word in SMALL) for i, word in enumerate(words)]
    return " ".join(word if keep else word[:1].upper() + word[1:] for word, keep in zip(words, kept))


@cache
def grammar():
    """The English grammar, read from its files once."""
    words, patterns = tables("english_words.toml"), tables("english_patterns.toml")
    common = {slot: items(text) for slot, text in words.pop("common").items()}
    common |= {"code": lines("english_code.txt"), "fixed_name": lines("english_names.txt")}
    chance = random.Random("coined names")
    common["coined"] = [_coined(chance) for _ in range(COINED)]
    domains = []
    for texts in words.values():
        domain = {slot: items(text) for slot, text in texts.items()}
        domain["topic"] = without(domain["facet"], common["intent"])
        domain |= zip(("verb", "verbing", "verbed", "verbs"), zip(*map(forms, domain["verb"])))
        domains.append(domain)
    return Grammar(common, domains, patterns["phrase"], patterns["kind"])


def _coined(chance):
    """A name nobody has heard of: syllables, or the initials of something."""
    if chance.random() < 0.3:
        return "".join(chance.choice("abcdefghilmnoprstuw") for _ in range(chance.randint(3, 4)))
    syllables = chance.randint(2, 4)
    name = "".join(chance.choice(ONSETS) + chance.choice("aeiou") for _ in range(syllables))
    return name + chance.choice(["", "", "n", "s", "x", "rd", "co"])


def _styled(text, style, chance):
    if style == "mixed":
        style = chance.choices(["lower", "title", "capital", "lower case"], [5, 3, 1, 3])[0]
    if style == "lower case":
        return text.lower()
    if style == "capital":
        return text[:1].upper() + text[1:]
    if style == "title":
        return titled(text) if chance.random() < 0.75 else text.lower()
    if style == "sentence" and chance.random() < 0.5:
        return text[:1].upper() + text[1:] + ("." if chance.random() < 0.3 and text[-1].isalnum() else "")
    if style == "question" and chance.random() < 0.5:
        return text[:1].upper() + text[1:] + ("" if text.endswith("?") or chance.random() < 0.4 else "?")
    return text


def query(chance):
    """One query by the random generator `chance`: its text and its label."""
    text, kind = grammar().draw(chance)
    if kind["style"] != "lower":
        text = ARTICLE.sub(lambda match: match[1] + ("n " if match[2].lower() in VOWELS else " "), text)
    return _styled(text, kind["style"], chance), kind["label"]
