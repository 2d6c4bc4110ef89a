"""Made-up Japanese queries: words of one walk of life in patterns, spaced and ended the ways people type them."""

import re
from functools import cache

from harca_train.synthetic.grammar import Grammar, items, lines, tables, without

VERB_FORMS = ("vu", "vte", "vta", "vnai", "vi", "vcan")
# Between Latin and Japanese script some writers leave a space, others none.
BORDER = re.compile(r"(?<=[0-9A-Za-z)])(?=[ぁ-んァ-ヶ一-龯])|(?<=[ぁ-んァ-ヶー一-龯])(?=[0-9A-Za-z])")
TIGHT_BORDER = re.compile(r"(?<=[0-9A-Za-z)]) (?=[ぁ-んァ-ヶ一-龯])|(?<=[ぁ-んァ-ヶー一-龯]) (?=[0-9A-Za-z])")
# Ends the words for a way to do something, which state an intent.
WAY = "方"
QUESTION_ENDINGS = ("？", "?", "。", "")
STATEMENT_ENDINGS = ("。", "", "", "", "")


@cache
def grammar():
    """The Japanese grammar, read from its files once."""
    words, patterns = tables("japanese_words.toml"), tables("japanese_patterns.toml")
    common = {slot: items(text) for slot, text in words.pop("common").items()}
    common["fixed_name"] = lines("japanese_names.txt")
    domains = []
    for texts in words.values():
        domain = {slot: items(text) for slot, text in texts.items()}
        domain["topic"] = without(domain["facet"], (*common["intent"], WAY))
        domain |= zip(VERB_FORMS, zip(*(verb.split("/") for verb in domain["verb"])))
        domains.append(domain)
    return Grammar(common, domains, patterns["phrase"], patterns["kind"])


def query(chance):
    """One query by the random generator `chance`: its text and its label."""
    text, kind = grammar().draw(chance)
    spacing = chance.random()
    # In a list of terms the spaces say how many terms there are.
    if kind["label"] == "keyword" or kind.get("list"):
        if spacing < 0.25:
            text = text.replace(" ", "\u3000")
    elif spacing < 0.4:
        text = TIGHT_BORDER.sub("", text)
    elif spacing < 0.7:
        text = BORDER.sub(" ", text)
    if kind.get("ending") == "question" and chance.random() < 0.5:
        text += chance.choice(QUESTION_ENDINGS)
    elif kind.get("ending") == "statement":
        text += chance.choice(STATEMENT_ENDINGS)
    return text, kind["label"]
