"""Rewordings: the same for one seed, of the query's weight in all, and of the query's label."""

import pytest

from harca_train import augment
from harca_train.corpus import Query

QUERIES = [
    Query("wireless noise cancelling headphones", "keyword", "en", "test"),
    Query("the tower of london and windsor castle", "keyword", "en", "test", weight=0.5),
    Query("全文検索 PostgreSQL 索引", "keyword", "ja", "test"),
    Query("耳をすませば", "keyword", "ja", "test"),
    Query("What is the boiling point of water?", "semantic", "en", "test", weight=2.0),
    Query("how do i convert an array to a string", "semantic", "en", "test"),
    Query("京都で紅葉が見られるのはどこですか？", "semantic", "ja", "test"),
    Query("データを更新する", "semantic", "ja", "test"),
    Query("causes of the french revolution", "hybrid", "en", "test"),
    Query("フォームにおける入力の検証", "hybrid", "ja", "test"),
    Query("PostgreSQL 索引 比較", "hybrid", "ja", "test"),
    Query("Was kostet ein Fahrrad?", "semantic", "de", "test"),
    Query("qwertyuiop", "unknown", "und", "test"),
    Query("?!", "unknown", "und", "test"),
    Query("a, b or c?", "billing", "en", "test"),
]
SEEDS = range(60)


def texts(query, seeds=SEEDS):
    """Every text that some seed makes of `query`."""
    return {variant.text for seed in seeds for variant in augment.variants(query, seed)}


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.text)
def test_variants_are_of_one_piece(query):
    for seed in SEEDS:
        made = augment.variants(query, seed)
        assert made == augment.variants(query, seed)
        assert made[0].text == query.text
        assert 1 <= len(made) <= augment.MOST
        assert len({variant.text for variant in made}) == len(made)
        assert sum(variant.weight for variant in made) == pytest.approx(query.weight)
        for variant in made:
            assert variant.text.strip()
            assert (variant.label, variant.language, variant.source) == (query.label, query.language, query.source)


@pytest.mark.parametrize("text", ["What is BM25?", "Yahoo!", "？！", "a...", "ΑΣ.", "", "  ", "東京。 ", "İ?"])
def test_plain_of_plain_is_plain(text):
    assert augment.plain(augment.plain(text)) == augment.plain(text)


def test_plain_is_among_the_variants():
    assert augment.variants(QUERIES[4], 0)[1].text == "what is the boiling point of water"


def test_seeds_differ():
    assert len(texts(QUERIES[4])) > len(texts(QUERIES[4], range(1)))


def test_keyword_gets_no_final_mark():
    for query in QUERIES:
        if query.label == "keyword":
            assert not any(text.endswith(("?", "？", ".", "。")) for text in texts(query))


def test_fixed_names_keep_their_particles():
    assert {text.strip('"') for text in texts(QUERIES[3])} == {"耳をすませば"}


def test_questions_keep_their_opener():
    assert all(text.lower().startswith(("what", "ｗｈａｔ")) for text in texts(QUERIES[4]))
    assert all(text.lower().startswith("how") for text in texts(QUERIES[5]))
    assert all("どこ" in text for text in texts(QUERIES[6]))


def test_relations_stay():
    assert all("causes of" in " ".join(text.lower().split()) for text in texts(QUERIES[8]))
    assert all("の検証" in text for text in texts(QUERIES[9]))


def test_lists_keep_the_number_of_terms():
    assert all(len(text.split()) == 3 for text in texts(QUERIES[10]))


@pytest.mark.parametrize(
    "text, label, language, expected",
    [
        ("what is a linked list", "semantic", "en", "what's a linked list"),
        ("how do i tie a tie", "semantic", "en", "how to tie a tie"),
        ("causes of the french revolution", "hybrid", "en", "causes of french revolution"),
        ("cats vs dogs as pets", "hybrid", "en", "cats versus dogs as pets"),
        ("the isle of man", "keyword", "en", "isle of man"),
        ("日本の首都はどこですか", "semantic", "ja", "日本の首都はどこ"),
        ("日本の首都はどこですか", "semantic", "ja", "日本の首都どこですか"),
        ("マン島の面積は？", "semantic", "ja", "マン島の面積って？"),
        ("設定を変更する", "semantic", "ja", "設定変更する"),
        ("大阪で開催される祭り", "hybrid", "ja", "大阪にて開催される祭り"),
        ("React のスロット", "hybrid", "ja", "Reactのスロット"),
        ("東京 天気", "keyword", "ja", "東京　天気"),
        ("東京 天気", "keyword", "ja", "東京天気"),
        ("サーバー 設定", "keyword", "ja", "ｻｰﾊﾞｰ 設定"),
        ("PDF 変換", "keyword", "ja", "ＰＤＦ 変換"),
        ("is water wet", "semantic", "en", "is water wet?"),
    ],
)
def test_rewordings(text, label, language, expected):
    assert expected in texts(Query(text, label, language, "test"), range(400))


def test_other_labels_get_neutral_changes_only():
    words = {text.lower().replace(",", "").rstrip("?").split(None, 1)[0] for text in texts(QUERIES[14])}
    assert words == {"a"}
    assert not any(text.endswith(".") for text in texts(QUERIES[14]))


def test_typos_are_rare_and_small():
    query = Query("ultrasound", "keyword", "en", "test")
    made = [variant.text for seed in range(500) for variant in augment.variants(query, seed)]
    typos = [text for text in made if text.isalpha() and text.lower() != "ultrasound"]
    assert 0 < len(typos) < 0.1 * len(made)
    assert all(len(text) in (9, 10, 11) and text[0] == "u" and text[-1] == "d" for text in typos)


def test_no_typo_in_words_that_make_the_type():
    query = Query("zebra comparison without stripes between zoos", "hybrid", "en", "test")
    for text in texts(query, range(300)):
        lower = text.lower()
        assert "comparison" in lower and "between" in lower and ("without" in lower or "w/o" in lower)
