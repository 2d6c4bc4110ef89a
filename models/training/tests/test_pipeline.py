"""A tiny run from data to a model folder; what it leaves behind; that it goes on where it stopped; the encoder."""

import io
import json
import sys

import numpy as np
import onnx
import pytest
import torch

from harca_train import bag, cli, graph, manifest, prune, quantize, sequence, student, vectors
from harca_train.features import REPOSITORY, encode, words
from harca_train.nodes import serialized

TRAINING = REPOSITORY / "models" / "training"
EXAMPLE = ["--settings", str(TRAINING / "support_requests.toml"), "--data", str(TRAINING)]
SPEC = {"id": "harca-template-1", "buckets": 16384, "max_features": 512, "max_chars": 512,
        "tokens": {"buckets": 24576, "max_tokens": 64}}  # fmt: skip
FASTER = ["--set", "template.models=1", "--set", "template.epochs=8", "--set", "student.epochs=8", "--set", "student.sequence.epochs=8",
          "--set", "prune.epochs=2", "--set", "golden=[]", "--set", "quantize.max_loss=0.2"]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a finished run over the four-label example, with few epochs."""
    work = tmp_path_factory.mktemp("run")
    cli.main(["all", *EXAMPLE, *FASTER, "--work", str(work)])
    return work


def test_the_folder_holds_a_model_of_its_own_labels(run):
    found, model = manifest.read_model(run / "out")
    assert found["labels"] == ["lookup", "howto", "trouble", "chat"]
    manifest.check_graph(model, 4, found["encoder"])
    figures = json.loads((run / "evaluate" / "metrics.json").read_text(encoding="utf-8"))
    # Far above the quarter that guessing gets, though the run is short.
    assert figures["overall"][figures["form"]]["macro_f1"] > 0.6
    assert set(figures["sources"]) == {"web_form", "email", "live_chat", "app"}


def test_the_card_has_figures_and_plots(run):
    card = (run / "out" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| fp32 |" in card
    assert "batched by 64" in card
    for plot in ("reliability", "curve", "stages", "confusion"):
        assert (run / "out" / "plots" / f"{plot}.svg").stat().st_size > 1000


def test_a_second_run_makes_nothing_anew(run):
    made = {path: path.stat().st_mtime_ns for step in ("distill", "prune", "quantize")
            for path in (run / step).rglob("*") if path.suffix in (".npz", ".pt", ".onnx")}  # fmt: skip
    before = (run / "out" / "model.onnx").read_bytes()
    cli.main(["all", *EXAMPLE, *FASTER, "--work", str(run)])
    assert made == {path: path.stat().st_mtime_ns for path in made}
    assert (run / "out" / "model.onnx").read_bytes() == before


def test_the_same_settings_give_the_same_model(run, tmp_path):
    cli.main(["all", *EXAMPLE, *FASTER, "--work", str(tmp_path)])
    # The form is chosen by its measured speed, so all of them are compared.
    for path in (run / "quantize" / "whole").iterdir():
        assert (tmp_path / "quantize" / "whole" / path.name).read_bytes() == path.read_bytes(), path.name


def test_other_settings_make_the_later_steps_anew(run):
    stamp = {step: (run / step / "key").read_text() for step in ("teacher", "distill", "prune")}
    with pytest.raises(SystemExit, match="run the step prune first"):
        cli.main(["quantize", *EXAMPLE, *FASTER, "--set", "prune.rows=0.6", "--work", str(run)])
    assert (run / "teacher" / "key").read_text() == stamp["teacher"]
    assert (run / "distill" / "key").read_text() == stamp["distill"]
    assert (run / "prune" / "key").read_text() != stamp["prune"]


def test_standard_input_is_classified(run, tmp_path, monkeypatch, capsys):
    cli.main(["all", *EXAMPLE, *FASTER, "--work", str(tmp_path)])
    monkeypatch.setattr(sys, "stdin", io.StringIO("order 48213-C\nthank you so much!\n"))
    cli.main(["classify", "--model", str(tmp_path / "out")])
    lines = capsys.readouterr().out.splitlines()[-2:]
    assert lines[0].startswith("lookup")
    assert lines[1].startswith("chat")


def test_what_is_wrong_is_said_without_a_traceback(tmp_path):
    with pytest.raises(SystemExit, match="harca_train: name the labelled queries"):
        cli.main(["prepare", "--work", str(tmp_path)])
    with pytest.raises(SystemExit, match="run the step prepare first"):
        cli.main(["teacher", *EXAMPLE, "--work", str(tmp_path)])
    with pytest.raises(SystemExit, match="do not list the labels"):
        cli.main(["prepare", *EXAMPLE, "--set", 'labels=["lookup", "howto"]', "--work", str(tmp_path)])


def test_the_encoder_is_the_core_s_own():
    for query, ids, found in golden("encoder_golden.tsv"):
        assert found.ids.tolist() == ids, query
    for query, ids, found in golden("token_golden.tsv"):
        assert found.tokens.ravel().tolist() == ids, query


def golden(file):
    """Queries of a golden vector file, their ids in it, and what the encoder makes of them now."""
    lines = (REPOSITORY / "tests" / "data" / file).read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    found = encode([query for query, _ in rows], SPEC)
    for number, (query, ids) in enumerate(rows):
        yield query, [int(part) for part in ids.split()], found.take([number])


def test_words_stand_beside_their_tokens():
    texts = ["How do I undo a merge?", "東京 COVID-19", "", "?!"]
    found = words(texts, SPEC)
    assert [len(row) for row in found] == np.diff(encode(texts, SPEC).token_starts).tolist()
    assert found[0] == ["how", "do", "i", "undo", "a", "merge"]
    assert found[1:] == [["東", "京", "covid", "00"], [""], [""]]


def test_words_that_share_a_row_share_its_vector():
    class Pretrained:
        def word_vectors(self, words):
            return np.array([[len(word), 1.0] for word in words], dtype=np.float32)

        def common_words(self, count):
            return [("rare", np.log(2e-5)), ("cat", np.log(2e-5))][:count]

    spec = SPEC | {"tokens": {"buckets": 256, "max_tokens": 8}}
    texts = ["cat horse", "cat", "elephant"]
    found = encode(texts, spec)
    made = vectors.WordVectors(Pretrained(), vectors.Vocabulary(texts, found, spec), spec, 1)
    cat, horse, elephant, rare = (encode([word], spec).tokens[0, 0] for word in ("cat", "horse", "elephant", "rare"))
    assert len({cat, horse, elephant, rare}) == 4
    table = made.table([0, 1])
    assert [table[row, 0].item() for row in (cat, horse, elephant, rare)] == [3, 5, 0, 4]
    assert not table[0].any()


def test_a_pruned_graph_answers_as_its_network():
    torch.manual_seed(4)
    sizes = {"width": 8, "layers": 2, "channels": 7, "hidden": 5}
    model = student.Student(bag.Bag(1000, 3, 8, 6), sequence.Sequence(512, 3, sizes), 0.4).eval()
    with torch.no_grad():
        model.bag.table[1:] = torch.randn(1000, 8)
        model.bag.table[1:700] = 0.0
        model.sequence.rows[1:] = torch.randn(512, 8)
        model.sequence.rows[400:] = 0.0
    spec = {"id": "harca-template-1", "buckets": 1000, "max_features": 64, "max_chars": 64,
            "tokens": {"buckets": 512, "max_tokens": 16}}  # fmt: skip
    features = encode(["how do i sleep", "tokyo", "a b c d", "東京都の人口"], spec)
    exported = graph.onnx_graph(model, "test")
    sizes = {tensor.name: list(tensor.dims) for tensor in exported.graph.initializer}
    assert (sizes["table"], sizes["token_table"]) == ([302, 8], [400, 8])
    found = quantize.logits_of(serialized(exported), features)
    assert np.abs(found - student.logits_of(model, features)).max() < 1e-5


def test_every_form_is_valid_onnx():
    torch.manual_seed(4)
    sizes = {"width": 8, "layers": 2, "channels": 7, "hidden": 5}
    model = student.Student(bag.Bag(16384, 3, 8, 6), sequence.Sequence(24576, 3, sizes), 0.4).eval()
    features = encode(["how do i sleep", "tokyo"], SPEC)
    for name, form in quantize.forms(model, model, "test", features).items():
        onnx.checker.check_model(onnx.load_from_string(form))
        assert np.isfinite(quantize.logits_of(form, features)).all(), name


def test_a_bag_loses_the_columns_that_say_nothing():
    torch.manual_seed(5)
    model = bag.Bag(50, 3, 8, 6).eval()
    with torch.no_grad():
        # All rows lie in two directions, of which the pruning knows nothing; row 7, never used, lies in a third one.
        model.table[1:] = torch.randn(50, 2) @ torch.randn(2, 8)
        model.table[7] = 100 * torch.randn(8)
        model.table[20:30] = 0.0
    used = np.ones(51)
    used[7] = 0
    ids = np.array([1, 2, 3, 4, 25, 50])
    rows = torch.from_numpy(ids), torch.tensor([0, 3]), torch.ones(6)
    before = model(*rows).detach()
    prune.narrow(model, 8, used)
    assert model.table.shape == (51, 8)
    prune.narrow(model, 2, used)
    assert model.table.shape == (51, 2) and not model.table[20:30].any()
    assert torch.abs(model(*rows) - before).max() < 1e-4
