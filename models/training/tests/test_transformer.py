"""A tiny transformer from data to a model folder, and that its graph answers as its network."""

import io
import json
import sys

import numpy as np
import pytest
import torch

from harca_train import cli, transformer, transformer_folder
from harca_train.errors import TrainingError
from harca_train.features import REPOSITORY
from harca_train.pretrained import MAX_TOKENS, Pretrained

TRAINING = REPOSITORY / "models" / "training"
SETTINGS = ["--settings", str(TRAINING / "support_requests.toml"), "--set", "student.kind=transformer",
            "--set", "teacher.frozen_layers=11", "--set", "teacher.epochs=6", "--set", "teacher.batch=8",
            "--set", "teacher.rate=3e-4", "--set", "teacher.head_rate=3e-3", "--set", "folds.count=2",
            "--set", 'golden=[["order 48213-C", "lookup"]]']  # fmt: skip
TEXTS = ["order 48213-C", "How do I change my delivery address?", "注文番号 48213", "配達が遅れています。どうすれば？", "ok 👍", "x " * 300]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a finished run over a third of the four-label example."""
    work = tmp_path_factory.mktemp("run")
    header, *rows = (TRAINING / "examples" / "support_requests.tsv").read_text(encoding="utf-8").splitlines()
    (work / "some.tsv").write_text("\n".join([header, *rows[::3]]) + "\n", encoding="utf-8")
    cli.main(["all", *SETTINGS, "--labelled", str(work / "some.tsv"), "--work", str(work)])
    return work


def steps(run, step, *more):
    """Runs a step of the run once more, with further arguments."""
    cli.main([step, *SETTINGS, "--labelled", str(run / "some.tsv"), "--work", str(run), *more])


def test_the_folder_holds_a_model_of_its_own_labels(run):
    manifest = transformer_folder.read_model(run / "out").manifest
    assert (manifest["format"], manifest["task"], manifest["padding_id"]) == (2, "classification", 1)
    assert manifest["labels"] == ["lookup", "howto", "trouble", "chat"]
    assert manifest["inputs"] == {"ids": "input_ids", "mask": "attention_mask"}
    figures = json.loads((run / "evaluate" / "metrics.json").read_text(encoding="utf-8"))
    # Far above the quarter that guessing gets, though one layer learns from few.
    assert figures["overall"]["ONNX"]["macro_f1"] > 0.5
    assert set(figures["sources"]) == {"web_form", "email", "live_chat", "app"}
    assert "teacher" not in figures["overall"]


def test_the_graph_answers_as_the_network_alone_and_in_a_batch(run):
    pretrained = Pretrained(11)
    model = transformer.load(run / "finetune" / "whole.pt", pretrained)
    classifier = transformer_folder.read_model(run / "out")
    together = classifier.logits(TEXTS)
    for row, ids in enumerate(pretrained.tokens(TEXTS)):
        with torch.no_grad():
            hidden = pretrained.norm(pretrained.words[torch.tensor([ids])] + pretrained.positions[:len(ids)])
            for layer in pretrained.lower:
                hidden = layer(hidden)
            expected = model(hidden, torch.zeros(1, len(ids), dtype=torch.bool))[0].numpy()
        alone = classifier.logits([TEXTS[row]])[0]
        assert np.abs(alone - expected).max() < 0.01, TEXTS[row]
        assert np.abs(alone - together[row]).max() < 1e-4, TEXTS[row]


def test_network_and_graph_label_held_out_queries_alike(run):
    choice = json.loads((run / "export" / "choice.json").read_text(encoding="utf-8"))
    assert choice["fidelity"]["agreement"] == 1
    assert choice["forms"]["ONNX"]["batch_difference"] < 1e-4
    assert choice["forms"]["PyTorch"]["macro_f1"] == choice["forms"]["ONNX"]["macro_f1"]


def test_the_card_has_figures_and_plots(run):
    card = (run / "out" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "multilingual-e5-small" in card and "| ONNX |" in card and "as the network does" in card
    for plot in ("reliability", "confusion"):
        assert (run / "out" / "plots" / f"{plot}.svg").stat().st_size > 1000


def test_a_second_run_makes_nothing_anew(run):
    made = {path: path.stat().st_mtime_ns for step in ("finetune", "export") for path in (run / step).glob("*.[np]*")}
    before = (run / "out" / "model.onnx").read_bytes()
    steps(run, "export")
    assert made and made == {path: path.stat().st_mtime_ns for path in made}
    assert (run / "out" / "model.onnx").read_bytes() == before


def test_standard_input_is_classified(run, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("order 48213-C\n"))
    cli.main(["classify", "--model", str(run / "out")])
    assert capsys.readouterr().out.startswith("lookup")


def test_tuned_weights_of_four_bits_make_a_smaller_graph(run):
    pretrained = Pretrained(11)
    model = transformer.load(run / "finetune" / "whole.pt", pretrained)
    found = [transformer.onnx_model(model, pretrained, bits, "m") for bits in (32, 4)]
    assert len(found[0]) - len(found[1]) > 5_000_000
    with pytest.raises(TrainingError, match="32 or 4"):
        transformer.onnx_model(model, pretrained, 8, "m")


def test_a_model_that_is_wrong_is_not_written(run, tmp_path):
    graph, tokenizer = ((run / "out" / name).read_bytes() for name in ("model.onnx", "tokenizer.json"))
    described = {"name": "m", "version": "1", "labels": ["lookup", "howto", "trouble", "chat"], "max_tokens": MAX_TOKENS,
                 "padding_id": 1, "temperature": 1.0, "metrics": {}, "training": {}}  # fmt: skip
    for golden, expected in (([], "without golden"), ([("order 48213-C", "chat")], "is taken for lookup")):
        with pytest.raises(TrainingError, match=expected):
            transformer_folder.write_model(tmp_path / "out", graph, tokenizer, golden=golden, **described)
    assert not (tmp_path / "out").exists()


def test_steps_are_those_of_the_kind(run):
    with pytest.raises(SystemExit, match="kind transformer has no step prune: prepare, finetune"):
        steps(run, "prune")
    with pytest.raises(SystemExit, match="no kind of student 'forest'"):
        steps(run, "export", "--set", "student.kind=forest")
