"""Rewordings of real queries that keep their label: the ways one request is typed by different people."""

import random
import re
import unicodedata

from harca_train.corpus import ENDINGS, plain

__all__ = ["plain", "tight", "variants"]

KEYWORD, SEMANTIC, HYBRID = "keyword", "semantic", "hybrid"
MOST = 6

QUESTION = re.compile(
    r"(?i)^(what|who|whom|whose|which|when|where|why|how|is|are|was|were|do|does|did|can|could|should|would|will|has|"
    r"have|am)\b|(何|誰|どこ|いつ|いくら|なぜ|どう|どの|どれ|どんな|とは|か|の|は|でしょう)$"
)
LATIN_WORD = re.compile(r"[A-Za-z]{5,}")
# Words that carry the relation or the question: a typo in one of them could cost the query its type.
KEPT = set(
    """about after against alternative before benefits best between causes could define describe difference differences
    effect effects examples explain history during please reviews should since symptoms through tutorial under using
    versus where which while whose within without would comparison compare efficient""".split()
)
KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")

FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
HALF_KATAKANA = {unicodedata.normalize("NFKC", chr(code)): chr(code) for code in range(0xFF66, 0xFF9E)}
HALF_KATAKANA |= {"\u3099": "\uff9e", "\u309a": "\uff9f"}

JAPANESE_SEMANTIC = (
    (re.compile(r"は(?=(何|誰|どこ|いつ|いくら|なぜ|どう|どれ))"), ""),
    (re.compile(r"は(?=[？?]$)"), "って"),
    (re.compile(r"とは何(ですか|か)?(?=[。？?]?$)"), "とは"),
    (re.compile(r"(?<=[何誰こつら])ですか(?=[。？?]?$)"), ""),
    (re.compile(r"ですか(?=[。？?]?$)"), "なの"),
    (re.compile(r"ですか(?=[。？?]?$)"), "でしょうか"),
    (re.compile(r"(?<=[一-龯ァ-ヶー])です(?=。?$)"), "だ"),
    (re.compile(r"を教えてください(?=。?$)"), "を教えて"),
    (re.compile(r"を教えて(?=。?$)"), "教えて"),
)
JAPANESE_RELATED = (
    (re.compile(r"を(?=[一-龯ァ-ヶー]{2,}(する|した|して|しない|され))"), ""),
    (re.compile(r"(?<=[一-龯ァ-ヶー])で(?=[一-龯ァ-ヶ])"), "にて"),
    (re.compile(r"における"), "での"),
    (re.compile(r"に関する"), "についての"),
)
ENGLISH_SEMANTIC = (
    (re.compile(r"(?i)\b(what|who|where|how) is\b"), r"\1's"),
    (re.compile(r"(?i)\b(what|who|where|how)'s\b"), r"\1 is"),
    (re.compile(r"(?i)\b(what)'s\b"), r"\1s"),
    (re.compile(r"(?i)\bhow (do|can|should) (i|you|we)\b"), "how to"),
    (re.compile(r"(?i)\bhow to\b"), "how do i"),
    (re.compile(r"(?i)\bi want to\b"), "i'd like to"),
    (re.compile(r"(?i)\bi('d| would) like to\b"), "i want to"),
    (re.compile(r"(?i)\b(do|does|did|is|are|was|would|should) not\b"), r"\1n't"),
    (re.compile(r"(?i)\b(do|does|did|is|are|was|would|should)n't\b"), r"\1nt"),
    (re.compile(r"(?i)\bcan ?not\b"), "can't"),
    (re.compile(r"(?i)\bi am\b"), "i'm"),
)
ENGLISH_RELATED = (
    (re.compile(r"(?i)\b(the|an?) (?=\w{3})"), ""),
    (re.compile(r"(?i)\b(in|of|on|from) (?=(?!these\b|their\b|which\b)[a-z]{5,}\b(?<!ing))"), r"\1 the "),
    (re.compile(r"(?i)\bvs\b\.?"), "versus"),
    (re.compile(r"(?i)\bversus\b"), "vs"),
    (re.compile(r"(?i) and "), " & "),
    (re.compile(r"(?i)\bwithout\b"), "w/o"),
)
ENGLISH_KEYWORD = (
    (re.compile(r"(?i)^the (?!who\b|what\b|how\b|when\b|where\b|why\b)(?=\w+ \w)"), ""),
    (re.compile(r"(?i)(?<=[a-z]) and (?=[a-z])"), " & "),
    (re.compile(r"(?<=[A-Za-z]) & (?=[A-Za-z])"), " and "),
)
WORDINGS = {
    ("ja", SEMANTIC): JAPANESE_SEMANTIC + JAPANESE_RELATED,
    ("ja", HYBRID): JAPANESE_RELATED,
    ("en", SEMANTIC): ENGLISH_SEMANTIC + ENGLISH_RELATED,
    ("en", HYBRID): ENGLISH_RELATED,
    ("en", KEYWORD): ENGLISH_KEYWORD,
}


# Queries whose final punctuation may come as well as go; QUESTION knows the questions of these languages alone.
ENDED = {("ja", SEMANTIC), ("en", SEMANTIC), ("ja", HYBRID), ("en", HYBRID)}
# In a list of terms, which has none of these, the spaces count the terms, so they stay.
PARTICLE = re.compile("[のでをとがはにへ]")


def _is_ascii_letter(char):
    return char.isascii() and char.isalnum()


def tight(text):
    """The text without the spaces between ASCII and Japanese words, as many writers leave them out."""
    return "".join(
        char
        for i, char in enumerate(text)
        if char != " " or not 0 < i < len(text) - 1 or _is_ascii_letter(text[i - 1]) == _is_ascii_letter(text[i + 1])
    )


def _ending(query, text, chance):
    """The text without its final punctuation, or with some that its type can bear."""
    bare = text.rstrip(ENDINGS) or text
    if (query.language, query.label) not in ENDED or chance.random() < 0.4:
        return bare
    full_width = query.language == "ja"
    if query.label == SEMANTIC and QUESTION.search(bare):
        return bare + (chance.choice("？？?") if full_width else "?")
    return bare + ("。" if full_width else ".")


def _punctuation(query, text, chance):
    """Quotes around a keyword query, or the commas and quotes inside any other left out."""
    if query.label == KEYWORD and '"' not in text and chance.random() < 0.3:
        return f'"{text}"'
    return re.sub(r"[,、] ?(?=\D)", " ", text).replace('"', "").replace("“", "").replace("”", "").strip()


def _case(query, text, chance):
    if chance.random() < 0.15:
        return text.upper()
    # A sentence in title case looks like a title, so it gets one capital only.
    words = text.split(" ") if query.label != SEMANTIC else [text]
    return " ".join(word[:1].upper() + word[1:] for word in words)


def _width(query, text, chance):
    kind = chance.randrange(3)
    if kind == 0:
        return text.translate(FULL_WIDTH)
    if kind == 1:
        return text.replace(" ", "\u3000")
    return "".join(
        "".join(HALF_KATAKANA.get(part, part) for part in unicodedata.normalize("NFD", char))
        if "ァ" <= char <= "ー"
        else char
        for char in text
    )


def _spacing(query, text, chance):
    if query.language == "ja":
        kind = chance.randrange(3)
        if kind == 0:
            return re.sub(r"(?<=[0-9A-Za-z])(?=[ぁ-んァ-ヶ一-龯])|(?<=[ぁ-んァ-ヶー一-龯])(?=[0-9A-Za-z])", " ", text)
        # Bare terms may run together; between others the spaces count the terms.
        if kind == 1 and query.label == KEYWORD:
            return re.sub(r"(?<=[ァ-ヶー一-龯]) (?=[ァ-ヶ一-龯])", "", text)
        return text.replace(" ", "  ")
    kind = chance.randrange(3)
    if kind == 0:
        return re.sub(r"(?<=\w)-(?=\w)", " ", text)
    if kind == 1:
        return re.sub(r"(?<=\w) ?([:/]) (?=\w)", r" \1 ", text)
    return text.replace(" ", "  ", 1)


def _typo(query, text, chance):
    words = list(LATIN_WORD.finditer(text))
    # The first word of a sentence asks or orders.
    words = [word for word in words if word[0].lower() not in KEPT and (query.label != SEMANTIC or word.start() > 0)]
    if not words:
        return text
    word = chance.choice(words)
    place = chance.randrange(word.start() + 1, word.end() - 2)
    kind = chance.randrange(4)
    if kind == 0:
        return text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    if kind == 1:
        return text[:place] + text[place + 1 :]
    if kind == 2:
        return text[:place] + text[place] + text[place:]
    row = next(row for row in KEYS if text[place].lower() in row)
    column = row.index(text[place].lower())
    return text[:place] + row[column - 1 if column else 1] + text[place + 1 :]


def _wording(query, text, chance):
    """Function words left out, added or contracted: one rule that applies, at its first or every place."""
    rules = [rule for rule in WORDINGS.get((query.language, query.label), ()) if rule[0].search(text)]
    if not rules:
        return text
    pattern, replacement = chance.choice(rules)
    changed = pattern.sub(replacement, text, count=chance.choice([0, 1])).strip()
    return changed or text


# Chance of each rewording, and the languages it is for (none: any).
REWORDINGS = (
    (_ending, 0.5, ()),
    (_case, 0.6, ("en", "de", "fr", "es", "ru")),
    (_wording, 0.6, ()),
    (_punctuation, 0.15, ()),
    (_spacing, 0.15, ()),
    (_width, 0.1, ("ja", "zh")),
    (_typo, 0.08, ()),
)


def variants(query, seed):
    """The query, its plain text and some rewordings: at most MOST queries whose weights sum to that of `query`.

    What comes out depends on `seed` and the query's text alone. A label other than keyword, semantic and hybrid gets
    only what no label can mind: case, width, spacing, commas and final punctuation left out, typos.
    """
    chance = random.Random(f"{seed}:{query.text}")
    texts = [query.text, plain(query.text)]
    if query.language == "ja" and (query.label != HYBRID or PARTICLE.search(query.text)):
        texts.append(tight(query.text))
    for rewording, share, languages in REWORDINGS:
        drawn = chance.random() < share
        if drawn and (not languages or query.language in languages):
            texts.append(rewording(query, chance.choice(texts[:2]), chance))
    kept = list(dict.fromkeys(text for text in texts if text.strip()))[:MOST] or [query.text]
    return [query.with_text(text, 1 / len(kept)) for text in kept]
