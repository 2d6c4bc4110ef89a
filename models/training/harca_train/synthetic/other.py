"""Made-up queries in further languages: few, so that a bare noun there is not read as a question."""

from functools import cache

from harca_train.synthetic.grammar import Grammar, items, tables

SHARES = {"keyword": 3, "hybrid": 3, "semantic": 4}
QUESTION_MARK = {"zh": "？"}


@cache
def grammars():
    """Grammar by language code, read from their file once."""
    found = {}
    for language, parts in tables("other_languages.toml").items():
        words = {slot: items(text) for slot, text in parts["words"].items()}
        kinds = [
            {"name": label, "label": label, "share": SHARES[label], "patterns": patterns}
            for label, patterns in parts["patterns"].items()
        ]
        found[language] = Grammar(words, [{}], parts.get("phrases", {}), kinds)
    return found


def query(chance):
    """One query by the random generator `chance`: its text, its label and the code of its language."""
    language = chance.choice(list(grammars()))
    text, kind = grammars()[language].draw(chance)
    if chance.random() < 0.4:
        text = text.lower()
    # Statements get the mark too: questions typed in the order of a statement.
    if kind["label"] == "semantic" and chance.random() < 0.2 and text[-1].isalnum():
        text += QUESTION_MARK.get(language, "?")
    return text, kind["label"], language
