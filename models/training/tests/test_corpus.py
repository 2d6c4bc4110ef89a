"""Reading, cleaning and splitting; phrases cut out of texts; settings."""

import random

import pytest

from harca_train import fragments, settings
from harca_train.corpus import Query, Splits, clean, plain, read_labelled, read_unlabelled
from harca_train.errors import TrainingError


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_cleaning_and_repeats(tmp_path):
    file = write(
        tmp_path / "queries.tsv",
        "query\tlabel\tsource",
        "  How do\u00a0I sleep? \ta\ts1",
        "how do i sleep\ta\ts2",
        "cafe\u0301\tb\ts1",
        "unclear\ta\ts1",
        "Unclear!\tb\ts2",
        "no label\t\ts1",
    )
    queries, counts = read_labelled(file)
    assert [query.text for query in queries] == ["How do I sleep?", "café"]
    assert counts == {"rows": 6, "repeated": 1, "under two labels": 2, "without a label": 1, "kept": 2}
    assert (queries[0].language, queries[0].use) == ("und", "train")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["text\tlabel", "a\tb"], "no column named query"),
        (["query\tlanguage", "a\tb"], "no column named label"),
        (["query\tlabel", "a"], "line 2: 1 columns"),
        (["query\tlabel"], "no labelled query"),
    ],
)
def test_a_bad_file_is_named(tmp_path, lines, reason):
    with pytest.raises(TrainingError, match=reason):
        read_labelled(write(tmp_path / "queries.tsv", *lines))
    with pytest.raises(TrainingError, match="cannot be read"):
        read_labelled(tmp_path / "missing.tsv")


def test_unlabelled_queries_know_what_to_leave_out(tmp_path):
    file = write(tmp_path / "u.tsv", "query\tsource", "A?\ts", "b\ts", "B\ts", "c\ts", "d\ts", "e\tt")
    found = read_unlabelled(file, {"a"}, per_source=2)
    assert [(query.text, query.source) for query in found] == [("b", "s"), ("c", "s"), ("e", "t")]


def test_folds_hold_out_whole_groups():
    queries = [Query(f"q{i}", "a", "en", source) for i, source in enumerate(["x_1", "x_2", "y", "z", "z", "z"])]
    splits = Splits(queries, {"x": ["x_*"]}, count=2)
    assert len(splits.folds) == 2
    for number in range(2):
        inside = {query.source for query, fold in zip(queries, splits.fold) if fold == number}
        outside = {query.source for query, fold in zip(queries, splits.fold) if fold != number}
        assert not {splits.group(source) for source in inside} & {splits.group(source) for source in outside}
        assert all(splits.held_out(number, source) for source in inside)
    with pytest.raises(TrainingError, match="no fold holds the sources z"):
        Splits(queries, {"x": ["x_*"]}, [["x"], ["y"]])


def test_a_single_source_is_dealt_out_by_rows():
    splits = Splits([Query(f"q{i}", "a", "en", "all") for i in range(10)])
    assert not splits.by_source
    assert splits.fold == [0, 1, 2, 3, 4] * 2


def test_plain_and_clean():
    assert plain("What IS it?!") == "what is it"
    assert plain("？") == "？"
    assert clean("a\tb\x00c\n") == "a bc"


def test_phrases_are_cut_out_of_sentences():
    chance = random.Random(1)
    text = "The quick brown fox jumps over the lazy dog. It was seen near the river."
    for _ in range(200):
        piece = fragments.cut(text, "en", chance)
        assert piece
        assert piece.lower() in text.lower()
    japanese = "東大寺は奈良県にある寺院である。大仏で知られる。"
    for _ in range(200):
        piece = fragments.cut(japanese, "ja", chance)
        assert piece in japanese
    assert fragments.cut(" . ", "en", chance) in ("", ".")
    assert fragments.cut("", "en", chance) == ""


def test_settings_are_checked(tmp_path):
    file = write(tmp_path / "s.toml", 'name = "n"', "[student]", "epochs = 3")
    found = settings.load(file, ["student.width=8", "teacher.rate=1", "version=x.1"])
    assert (found["name"], found["student"]["epochs"], found["student"]["width"], found["version"]) == ("n", 3, 8, "x.1")
    assert settings.load()["student"]["epochs"] == settings.DEFAULTS["student"]["epochs"]
    for change, reason in (
        ("student.wide=8", "no setting student.wide"),
        ("student.width=a", "student.width is a int"),
        ("student=3", "student is a table"),
        ("epochs", "wants name=value"),
    ):
        with pytest.raises(TrainingError, match=reason):
            settings.load(None, [change])
    with pytest.raises(TrainingError, match="cannot be read"):
        settings.load(write(tmp_path / "bad.toml", "name ="))
