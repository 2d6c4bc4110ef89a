"""Models of other tools, before and after: the graph answers as its source, in a folder that the extension loads."""

import argparse
import hashlib
import json
import os

import joblib
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

os.environ.setdefault("KERAS_BACKEND", "torch")

from harca_train import manifest, ort_format  # noqa: E402
from harca_train.convert import TOLERANCE, command, compare, finish, pytorch, sample  # noqa: E402
from harca_train.errors import TrainingError  # noqa: E402
from harca_train.features import ENCODER, REPOSITORY, encode  # noqa: E402
from harca_train.metrics import softmax  # noqa: E402

BUCKETS = 2048
LABELS = ["keyword", "semantic", "hybrid"]
QUERIES = {
    "keyword": ["git rebase --onto", "東京 天気", "ECONNREFUSED", "SELECT count(*)", "postgres index", "大阪 ホテル"],
    "semantic": ["how do I undo a merge?", "好きな食べ物は何ですか", "why is my query slow", "what did we decide",
                 "どうすれば速くなりますか", "where is the log kept?"],
    "hybrid": ["causes of the french revolution", "フォームの入力検証", "best laptops for students",
               "history of roman law", "データベースの選び方", "effects of sleep on memory"],
}  # fmt: skip


class Bag(nn.Module):
    """Mean of embeddings and a dense layer; id 0 counts for nothing."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.table = nn.Embedding(BUCKETS + 1, 16)
        self.dense = nn.Linear(16, len(LABELS))

    def forward(self, ids):
        present = (ids > 0).unsqueeze(-1).float()
        return self.dense((self.table(ids) * present).sum(1) / present.sum(1).clamp(min=1))


class Attention(nn.Module):
    """A small transformer that masks id 0."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.table = nn.Embedding(BUCKETS + 1, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.dense = nn.Linear(16, len(LABELS))

    def forward(self, ids):
        present = ids > 0
        states = self.layers(self.table(ids), src_key_padding_mask=~present)
        weights = present.unsqueeze(-1).float()
        return self.dense((states * weights).sum(1) / weights.sum(1).clamp(min=1))


class Careless(Bag):
    """Counts padding like any other id."""

    def forward(self, ids):
        return self.dense(self.table(ids).mean(1))


def bag():
    """What `test_convert:bag` names."""
    return Bag()


def not_a_module():
    """What a mistaken source may name."""
    return 1


def arguments(*words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args([*map(str, words)])


def convert(kind, source, folder, *more, labels=LABELS):
    """Runs the command; gives manifest and model as they can be read back."""
    command.run(arguments(kind, source, "--labels", ",".join(labels), "--out", folder, "--name", "converted",
                          "--version", "1", "--buckets", BUCKETS, *more))  # fmt: skip
    return manifest.read_model(folder)


def answers(folder, file, features):
    """Logits of a file of a folder through onnxruntime."""
    return manifest.run(manifest.open_session((folder / file).read_bytes()), features)


def matrix(rows, extra=0):
    width = max(len(row) for row in rows) + extra
    return np.array([np.pad(row, (0, width - len(row))) for row in rows])


def check(folder, source):
    """Both forms answer as `source` (ids [batch, n] → logits) does: alone, batched, with more padding."""
    rows = sample(BUCKETS)
    expected = np.concatenate([softmax(source(row[None, :])) for row in rows])
    for file in ("model.onnx", "model.ort"):
        alone = np.concatenate([answers(folder, file, row[None, :]) for row in rows])
        for found in (alone, answers(folder, file, matrix(rows)), answers(folder, file, matrix(rows, 41))):
            np.testing.assert_allclose(softmax(found), expected, atol=TOLERANCE)


def torch_answer(module):
    def answer(features):
        with torch.no_grad():
            return module(torch.from_numpy(features).long()).numpy()

    return answer


@pytest.fixture(scope="module")
def texts():
    """Queries, their labels' numbers and their features."""
    queries = [(text, number) for number, label in enumerate(LABELS) for text in QUERIES[label]]
    encoded = encode([text for text, _ in queries], ENCODER | {"buckets": BUCKETS})
    return [text for text, _ in queries], np.array([number for _, number in queries]), encoded


@pytest.mark.parametrize("make", [Bag, Attention])
def test_a_program_of_torch_export_answers_as_before(make, tmp_path):
    module = make().eval()
    ids = torch.tensor([[1, 2, 3, 0], [4, 5, 6, 7]])
    free = ({0: torch.export.Dim("batch"), 1: torch.export.Dim("features")},)
    torch.export.save(torch.export.export(module, (ids,), dynamic_shapes=free), tmp_path / "model.pt2")
    written, model = convert("pytorch", tmp_path / "model.pt2", tmp_path / "out")
    check(tmp_path / "out", torch_answer(module))
    assert (written["file"], written["labels"], written["format"]) == ("model.onnx", LABELS, 1)
    assert written["encoder"] == ENCODER | {"buckets": BUCKETS}
    graph = onnx.load_from_string(model)
    assert [(o.domain, o.version) for o in graph.opset_import] == [("", 17)]


def test_a_function_gives_the_module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    convert("pytorch", "test_convert:bag", tmp_path)
    check(tmp_path, torch_answer(Bag().eval()))
    text = (tmp_path / "model.onnx").read_bytes()
    assert b"test_convert" not in text and os.path.dirname(__file__).encode() not in text


@pytest.mark.parametrize("named", [True, False])
def test_a_pipeline_of_scikit_learn_answers_as_before(named, tmp_path, texts):
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from harca_train.convert.sklearn import counts

    _, numbers, encoded = texts
    table = counts(encoded, BUCKETS)
    assert table.sum() == len(encoded.ids)
    pipeline = make_pipeline(TfidfTransformer(), LogisticRegression())
    pipeline.fit(table, [LABELS[number] for number in numbers] if named else numbers)
    joblib.dump(pipeline, tmp_path / "pipeline.joblib")
    golden = tmp_path / "golden.tsv"
    rows = [f"{text}\t{LABELS[number]}" for text, number in zip(texts[0], numbers)]
    golden.write_text("\n".join(["query\tlabel", *rows, "?!\tunknown"]) + "\n", encoding="utf-8")
    options = ("--golden", golden, "--temperature", 1.5)
    written, _ = convert("sklearn", tmp_path / "pipeline.joblib", tmp_path / "out", *options)

    def answer(features):
        table = np.zeros((len(features), BUCKETS + 1))
        np.add.at(table, (np.arange(len(features))[:, None], features), 1)
        found = pipeline.predict_proba(table[:, 1:])
        names = [LABELS[name] if isinstance(name, np.integer) else name for name in pipeline.classes_]
        return np.log(found[:, [names.index(label) for label in LABELS]])

    check(tmp_path / "out", answer)
    assert len(written["golden"]) == len(rows) + 1 and written["calibration"]["temperature"] == 1.5


def test_other_estimators_of_scikit_learn(texts):
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.neural_network import MLPClassifier

    from harca_train.convert.sklearn import convert_pipeline, counts

    _, numbers, encoded = texts
    table = counts(encoded, BUCKETS)
    for estimator in (MultinomialNB(), RandomForestClassifier(8, random_state=0), MLPClassifier((8,), max_iter=300)):
        converted = convert_pipeline(estimator.fit(table, numbers), LABELS, BUCKETS)
        manifest.check_graph(converted.onnx_bytes, len(LABELS), {"buckets": BUCKETS})
        compare(converted, BUCKETS)


@pytest.mark.filterwarnings("ignore")
def test_a_model_of_keras_answers_as_before(tmp_path):
    import keras

    keras.utils.set_random_seed(3)
    layers = keras.layers
    ids = keras.Input((None,), dtype="int32")
    states = layers.Embedding(BUCKETS + 1, 16, mask_zero=True)(ids)
    states = layers.Dense(16, activation="gelu")(layers.GlobalAveragePooling1D()(states))
    model = keras.Model(ids, layers.Dense(len(LABELS))(layers.LayerNormalization()(states)))
    model.save(tmp_path / "model.keras")
    convert("keras", tmp_path / "model.keras", tmp_path / "out", "--load", "ort")
    check(tmp_path / "out", lambda features: keras.ops.convert_to_numpy(model(features)))


def test_the_manifest_names_one_form_and_its_digest(tmp_path):
    converted = pytorch.convert_module(Bag().eval(), len(LABELS), BUCKETS)
    fields = {
        "name": "m", "version": "1", "labels": LABELS, "encoder": ENCODER | {"buckets": BUCKETS}, "temperature": 1.0,
        "golden": [], "metrics": {"f1": 1}, "training": {},
    }  # fmt: skip
    for load in ("onnx", "ort"):
        manifest.write_model(tmp_path, converted.onnx_bytes, load=load, **fields)
        written = json.loads((tmp_path / "manifest.json").read_text())
        assert written["file"] == f"model.{load}"
        assert written["sha256"] == hashlib.sha256((tmp_path / written["file"]).read_bytes()).hexdigest()
        assert ort_format.is_ort(manifest.read_model(tmp_path)[1]) == (load == "ort")
    manifest.use_form(tmp_path, "onnx")
    assert manifest.read_model(tmp_path)[1] == converted.onnx_bytes
    assert manifest.use_form(tmp_path, "ort")["file"] == "model.ort"
    manifest.write_model(tmp_path, converted.onnx_bytes, ort=False, **fields)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "model.onnx"]
    (tmp_path / "model.onnx").write_bytes(converted.onnx_bytes + b" ")
    with pytest.raises(TrainingError, match="sha256"):
        manifest.read_model(tmp_path)
    with pytest.raises(TrainingError, match="form 'ort'"):
        manifest.write_model(tmp_path, converted.onnx_bytes, ort=False, load="ort", **fields)


def test_the_same_module_gives_the_same_bytes():
    first, second = (pytorch.convert_module(Bag().eval(), len(LABELS), BUCKETS).onnx_bytes for _ in range(2))
    assert first == second
    assert len({ort_format.convert(first) for _ in range(5)}) == 1


def test_a_wrong_golden_query_is_named(tmp_path):
    converted = pytorch.convert_module(Bag().eval(), len(LABELS), BUCKETS)
    encoder = ENCODER | {"buckets": BUCKETS}
    found = softmax(converted.answer(encode(["git stash"], encoder).padded([0])))[0].argmax()
    wrong = LABELS[(found + 1) % len(LABELS)]
    for golden, expected in [([("git stash", wrong)], "'git stash'"), ([("?", "keyword")], "taken for unknown"),
                             ([("git", "nonsense")], "'nonsense'")]:  # fmt: skip
        with pytest.raises(TrainingError, match=expected):
            manifest.write_model(tmp_path / "out", converted.onnx_bytes, name="m", version="1", labels=LABELS,
                                 encoder=encoder, temperature=1.0, golden=golden, metrics={}, training={})  # fmt: skip
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("source, expected", [
    ("missing.pt2", "no file missing.pt2"),
    ("no_such_package:make", "gives no module"),
    ("test_convert:nothing", "gives no module"),
    ("test_convert:not_a_module", "gives a int"),
])  # fmt: skip
def test_a_source_that_is_none(source, expected, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    with pytest.raises(TrainingError, match=expected):
        convert("pytorch", source, tmp_path)


def test_broken_files_are_told_of(tmp_path):
    broken = tmp_path / "broken.keras"
    broken.write_bytes(b"nothing")
    for kind, expected in [("pytorch", "torch.export.save"), ("sklearn", "joblib"), ("keras", "not a Keras model")]:
        with pytest.raises(TrainingError, match=expected):
            convert(kind, broken, tmp_path / "out")


def test_models_that_cannot_be_used_are_told_of(tmp_path):
    with pytest.raises(TrainingError, match=r"gives \[2, 3\] for 2 rows and 4 labels"):
        pytorch.convert_module(Bag().eval(), 4, BUCKETS)
    careless = pytorch.convert_module(Careless().eval(), len(LABELS), BUCKETS)
    with pytest.raises(TrainingError, match="padding"):
        manifest.check_graph(careless.onnx_bytes, len(LABELS), {"buckets": BUCKETS})
    with pytest.raises(TrainingError, match="id 0"):
        compare(careless, BUCKETS)
    small = pytorch.convert_module(Bag().eval(), len(LABELS), BUCKETS)
    with pytest.raises(TrainingError, match="fails on 1 rows"):
        manifest.check_graph(small.onnx_bytes, len(LABELS), {"buckets": BUCKETS + 1})
    fixed = torch.export.export(Bag().eval(), (torch.ones(2, 4, dtype=torch.int64),))
    torch.export.save(fixed, tmp_path / "fixed.pt2")
    with pytest.raises(TrainingError, match="ids int64"):
        convert("pytorch", tmp_path / "fixed.pt2", tmp_path / "out")


def test_what_the_converter_gets_wrong_is_refused(texts):
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from harca_train.convert.sklearn import convert_pipeline, counts

    _, numbers, encoded = texts
    pipeline = make_pipeline(TfidfTransformer(sublinear_tf=True), LogisticRegression(C=100))
    pipeline.fit(counts(encoded, BUCKETS), numbers)
    with pytest.raises(TrainingError, match="does not keep a part"):
        compare(convert_pipeline(pipeline, LABELS, BUCKETS), BUCKETS)


def test_the_classes_of_a_pipeline_must_be_the_labels(texts):
    from sklearn.linear_model import LogisticRegression

    from harca_train.convert.sklearn import convert_pipeline, counts

    _, numbers, encoded = texts
    fitted = LogisticRegression().fit(counts(encoded, BUCKETS), numbers)
    with pytest.raises(TrainingError, match="classes are 0, 1, 2"):
        convert_pipeline(fitted, ["a", "b"], BUCKETS)
    with pytest.raises(TrainingError, match="2048 columns"):
        convert_pipeline(fitted, LABELS, BUCKETS * 2)


def test_the_fixture_of_the_core_is_what_the_converter_writes():
    """`crates/harca_core/tests/ort_format.rs` loads these two files."""
    data = REPOSITORY / "crates" / "harca_core" / "tests" / "data"
    tensors = {"axis": np.array([1]), "first": np.float32([[1, -1]]), "first_bias": np.float32([-4, 4]),
               "second": np.float32([[0, 1], [1, 0]])}  # fmt: skip
    nodes = [
        helper.make_node("Sign", ["features"], ["present"]),
        helper.make_node("Cast", ["present"], ["ones"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["ones", "axis"], ["count"]),
        helper.make_node("Gemm", ["count", "first", "first_bias"], ["dense"]),
        helper.make_node("Relu", ["dense"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "second"], ["logits"]),
    ]
    model = graph(nodes, [numpy_helper.from_array(value, name) for name, value in tensors.items()], labels=2)
    manifest.check_graph(model, 2, {"buckets": 1024})
    assert (data / "count.onnx").read_bytes() == model
    assert (data / "count.ort").read_bytes() == ort_format.convert(model)


def graph(nodes, tensors=(), element=TensorProto.INT32, opset=17, name="features", domain="", labels=3):
    inner = helper.make_graph(
        nodes, "count", [helper.make_tensor_value_info(name, element, ["batch", "features"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", labels])], tensors,
    )  # fmt: skip
    imports = [helper.make_opsetid(domain, opset)] + ([helper.make_opsetid("", 17)] if domain else [])
    return finish(helper.make_model(inner, opset_imports=imports, ir_version=8))


def test_graphs_that_break_the_contract_are_told_of():
    cast = helper.make_node("Cast", ["features"], ["logits"], to=TensorProto.FLOAT)
    for model, expected in [
        (b"nothing", "not valid ONNX"),
        (graph([cast], element=TensorProto.INT64), "input is features: int64"),
        (graph([helper.make_node("Cast", ["ids"], ["logits"], to=1)], name="ids"), "inputs of the graph are ids, expected features"),
        (graph([cast], opset=21), "opset 21"),
        (graph([helper.make_node("Gelu", ["features"], ["logits"], domain="com.microsoft")], opset=1,
               domain="com.microsoft"), "com.microsoft"),
    ]:  # fmt: skip
        with pytest.raises(TrainingError, match=expected):
            manifest.check_graph(model, 3, {"buckets": BUCKETS})
    with pytest.raises(TrainingError, match="inputs of the graph are features, expected features, tokens"):
        manifest.check_graph(graph([cast]), 3, {"buckets": BUCKETS, "tokens": {"buckets": 256, "max_tokens": 8}})
    # Operator sets that are named and not used do no harm.
    spare = onnx.load_from_string(pytorch.convert_module(Bag().eval(), 3, BUCKETS).onnx_bytes)
    spare.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    manifest.check_graph(spare.SerializeToString(), 3, {"buckets": BUCKETS})
    with pytest.raises(TrainingError, match="ORT format"):
        ort_format.convert(b"nothing")
    # It declares three labels and gives one number for each feature: only a run tells.
    with pytest.raises(TrainingError, match=r"gives \[1, 1\] for one row"):
        manifest.check_graph(graph([cast]), 3, {"buckets": BUCKETS})


@pytest.mark.parametrize("change, expected", [
    ({"name": " "}, "1 to 63 bytes"),
    ({"labels": ["a"]}, "1 labels"),
    ({"labels": ["a", "a"]}, "twice"),
    ({"temperature": 0.0}, "temperature"),
    ({"temperature": float("nan")}, "temperature"),
])  # fmt: skip
def test_fields_that_the_extension_refuses(change, expected, tmp_path):
    fields = {"name": "m", "version": "1", "labels": LABELS, "encoder": ENCODER, "temperature": 1.0, "golden": [],
              "metrics": {}, "training": {}} | change  # fmt: skip
    model = pytorch.convert_module(Bag().eval(), len(LABELS), BUCKETS).onnx_bytes
    with pytest.raises(TrainingError, match=expected):
        manifest.write_model(tmp_path, model, **fields)
