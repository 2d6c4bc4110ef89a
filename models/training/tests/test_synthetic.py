"""Made-up queries: as many as asked for, the same for one seed, and labelled by the guide."""

import random
import re

import pytest

from harca_train.corpus import plain
from harca_train.synthetic import GENERATORS, english, grammar, japanese, noise, other, synthetic

COUNTS = {"en": 1500, "ja": 1500, "other": 400, "noise": 300}
LABELS = {"keyword", "semantic", "hybrid", "unknown"}


@pytest.fixture(scope="module")
def made():
    """A fair helping of every generator."""
    return synthetic(COUNTS, 1)


def drawn(rules, pattern, count=20):
    """What `pattern` of the grammar `rules` turns into."""
    chance = random.Random(4)
    return [rules.fill(pattern, chance) for _ in range(count)]


def test_counts(made):
    assert len(made) == sum(COUNTS.values())
    assert sum(query.language == "en" for query in made) == COUNTS["en"]
    assert sum(query.language == "ja" for query in made) == COUNTS["ja"]
    assert sum(query.label == "unknown" for query in made) == COUNTS["noise"]
    assert synthetic({}, 1) == []
    assert len(synthetic({"ja": 7}, 1)) == 7


def test_deterministic(made):
    assert synthetic(COUNTS, 1) == made
    assert synthetic(COUNTS, 2) != made
    assert synthetic({"en": 50}, 1) == made[:50]


def test_every_query_is_sound(made):
    for query in made:
        assert query.text == query.text.strip() != ""
        assert query.label in LABELS
        assert (query.source, query.use, query.weight) == ("synthetic", "train", 1.0)
        assert "  " not in query.text or query.label == "unknown"
        assert not re.search(r"\{[a-z_]+\}", query.text.replace("{itemize}", "").replace("{graphicx}", ""))


def test_no_two_are_alike(made):
    assert len({plain(query.text) for query in made}) == len(made)


def test_every_label_has_a_fair_part(made):
    for language in ("en", "ja"):
        labels = [query.label for query in made if query.language == language]
        for label in LABELS - {"unknown"}:
            assert 0.22 < labels.count(label) / len(labels) < 0.45


def test_unknown_generator_and_too_many(monkeypatch):
    with pytest.raises(ValueError, match="no generator xx"):
        synthetic({"xx": 1}, 1)
    monkeypatch.setattr("harca_train.synthetic.REPEATS", 1)
    with pytest.raises(ValueError, match="no more than"):
        synthetic({"other": 5000}, 1)


def test_every_slot_has_words():
    rules = [english.grammar(), japanese.grammar(), *other.grammars().values()]
    for one in rules:
        patterns = [pattern for kind in one.kinds for pattern in kind["patterns"]]
        patterns += [pattern for phrase in one.phrases.values() for pattern in phrase]
        for domain in one.domains:
            for pattern in patterns:
                text = one.fill(pattern, random.Random(0), domain)
                assert text and not re.search(r"[<>{}|]", text.replace("<stdio.h>", "")) or "code" in pattern


@pytest.mark.parametrize("kind", english.grammar().kinds + japanese.grammar().kinds, ids=lambda kind: kind["name"])
def test_kinds_are_described(kind):
    assert kind["label"] in LABELS and kind["share"] > 0
    assert kind.get("style", "lower") in {"lower", "mixed", "title", "sentence", "question"}
    assert all(pattern.count("{") == pattern.count("}") for pattern in kind["patterns"])


def test_questions_and_keywords_part(made):
    for query in made:
        if query.label == "keyword":
            assert not query.text.endswith(("?", "？", "。"))
            assert not re.search(r"(を教えて|とは|ですか|ください)$", query.text)
        if re.match(r"how (to|do|can) ", query.text) and query.language == "en":
            assert query.label == "semantic" or re.search("your dragon|how to books", query.text) or re.search("the .* ", query.text)


def test_japanese_lists_with_an_intent_are_hybrid():
    rules = japanese.grammar()
    intents = rules.common["intent"]
    for query in synthetic({"ja": 1500}, 3):
        terms = query.text.split()
        if len(terms) >= 3 and terms[-1] in intents and not re.search("[をがはのでに]", query.text):
            assert query.label == "hybrid", query.text


def test_labels_by_the_guide():
    kinds = {pattern: kind["label"] for kind in english.grammar().kinds for pattern in kind["patterns"]}
    assert kinds["{thing} in {place}"] == "hybrid"
    assert kinds["{it} {place}"] == "keyword"
    assert kinds["{verb} {it} to {it}"] == "semantic"
    kinds = {pattern: kind["label"] for kind in japanese.grammar().kinds for pattern in kind["patterns"]}
    assert kinds["{t}の{facet}"] == "hybrid"
    assert kinds["{t}を{do}方法"] == "semantic"
    assert kinds["{sahen}方法"] == "keyword"
    assert kinds["{np}とは"] == "semantic"
    assert kinds["{team} 対 {team}"] == "keyword"


@pytest.mark.parametrize(
    "verb, expected",
    [
        ("parse", ("parse", "parsing", "parsed", "parses")),
        ("back up", ("back up", "backing up", "backed up", "backs up")),
        ("classify", ("classify", "classifying", "classified", "classifies")),
        ("play", ("play", "playing", "played", "plays")),
        ("fix", ("fix", "fixing", "fixed", "fixes")),
        ("sing/singing/sung/sings", ("sing", "singing", "sung", "sings")),
    ],
)
def test_forms_of_verbs(verb, expected):
    assert english.forms(verb) == expected


def test_korean_words_stand_where_their_particles_fit():
    words = other.grammars()["ko"].common
    for slot in (slot for slot in words if slot[:-1] + "c" in words and slot[:-1] + "v" in words):
        for word in words[slot]:
            # Hangul syllables are ordered by what they end in: 27 consonants after none.
            assert ((ord(word[-1]) - ord("가")) % 28 != 0) == slot.endswith("c"), word


def test_question_words_of_other_languages_make_questions(made):
    question = re.compile("哪|什么|什麼|多少|吗|怎么|怎麼|谁|有几|何时|무엇|누구|어디|얼마|나요|는가|인가$|뭐")
    asked = [query for query in made if query.language in ("zh", "ko") and question.search(query.text)]
    assert len(asked) > 20
    assert {query.label for query in asked} == {"semantic"}


def test_titles_keep_capitals_and_small_words():
    assert english.titled("the use of TreeNet in route planning") == "The Use of TreeNet in Route Planning"


def test_fill_takes_no_word_twice():
    for text in drawn(japanese.grammar(), "{t}と{t}と{t}"):
        assert len(set(text.split("と"))) == 3
    for text in drawn(other.grammars()["de"], "{noun}|{noun}"):
        assert len(set(text.split("|"))) == 2


def test_fill_takes_a_choice():
    rules = grammar.Grammar({"x": ("1",)}, [{}], {"p": ["({x})"]}, [{"share": 1, "patterns": ["{p}"]}])
    assert set(drawn(rules, "a <b|{p}|> c")) == {"a b c", "a (1) c", "a c"}


def test_items_and_without():
    assert grammar.items("a, b\nc,\n d") == ("a", "b c", "d")
    assert grammar.without(("size", "user reviews", "選び方"), ("review", "選び方")) == ("size",)


def test_articles_fit_their_noun(made):
    for query in made:
        if query.language == "en" and query.label == "semantic":
            assert not re.search(r"\ba [aeio]", query.text), query.text


def test_noise_holds_no_word(made):
    for query in made:
        if query.label == "unknown":
            assert not re.fullmatch(r"[a-z]{2,3}", query.text)
    assert len({noise.query(random.Random(seed)) for seed in range(100)}) > 80


def test_generators_are_named():
    assert set(GENERATORS) == set(COUNTS)
