"""Model folders: a graph in two forms and the manifest that tells the extension what the graph expects.

A folder holds `model.onnx`, `model.ort` unless it is not wanted, and `manifest.json`, whose `file` names the one form
that the extension loads and whose `sha256` belongs to that form. `use_form` changes between them. The layout of the
manifest is that of `crates/harca_core/src/model/manifest.rs`; nothing is written that its reader or
`session.rs` would refuse.
"""

import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto

from harca_train import ort_format
from harca_train.errors import TrainingError, first_line
from harca_train.features import encode

FORMAT = 1
MAX_LABELS = 8
UNKNOWN = "unknown"
# The oldest runtime that the extension accepts, 1.23, reads more; graphs are held back so that other readers do too.
MAX_OPSET = 18
MAX_IR_VERSION = 10
DOMAINS = {"": MAX_OPSET, "ai.onnx": MAX_OPSET, "ai.onnx.ml": 3}
# Characters that are words by themselves, as rules.rs has them.
HAN = [
    ("\u3005", "\u3005"), ("\u3400", "\u4dbf"), ("\u4e00", "\u9fff"), ("\uf900", "\ufaff"),
    ("\U00020000", "\U0003ffff"),
]  # fmt: skip
FILES = {"onnx": "model.onnx", "ort": "model.ort"}


def write_model(
    folder, onnx_bytes, *, name, version, labels, encoder, temperature, golden, metrics, training, ort=True, load="onnx"
):
    """Writes a model folder and returns its manifest.

    `labels` are in the order of the logits; `encoder` is an encoder specification; logits are divided by `temperature`
    before the softmax; `golden` holds pairs (query, label) that the model must get right, and is tried here as the
    extension will try it; `metrics` and `training` are for people. `ort` asks for model.ort too, `load` says which form
    the extension takes: "onnx" or "ort". Nothing is written when anything is wrong.
    """
    forms = {"onnx": onnx_bytes}
    if ort:
        forms["ort"] = ort_format.convert(onnx_bytes)
    if load not in forms:
        raise TrainingError(f"the manifest cannot name the form {load!r}: {' and '.join(forms)} are written")
    manifest = {
        "format": FORMAT,
        "name": name,
        "version": version,
        "labels": list(labels),
        "encoder": dict(encoder),
        "input": {"name": "features", "type": "int32"},
        "output": {"name": "logits", "type": "float32"},
        "calibration": {"method": "temperature", "temperature": temperature},
        "file": FILES[load],
        "sha256": hashlib.sha256(forms[load]).hexdigest(),
        "golden": [{"query": query, "type": label} for query, label in golden],
        "metrics": metrics,
        "training": training,
    }
    check_manifest(manifest)
    check_graph(onnx_bytes, len(manifest["labels"]), manifest["encoder"])
    for model in forms.values():
        check_golden(model, manifest)
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for form, model in forms.items():
            replace_file(folder / FILES[form], model)
        # Last, so that a reader never sees a manifest without its file.
        replace_file(folder / "manifest.json", json_bytes(manifest))
        if not ort:
            (folder / FILES["ort"]).unlink(missing_ok=True)
    except OSError as error:
        raise TrainingError(f"{folder} cannot be written: {error}") from error
    return manifest


def read_model(folder):
    """Manifest (a dictionary) and bytes of the graph in `folder`, after the checks that the extension makes."""
    folder = Path(folder)
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        check_manifest(manifest)
        model = (folder / manifest["file"]).read_bytes()
    except (OSError, ValueError) as error:
        raise TrainingError(f"{folder} holds no model: {error}") from error
    except (KeyError, TypeError) as error:
        raise TrainingError(f"{folder}/manifest.json lacks {error} or has it in another form") from error
    found = hashlib.sha256(model).hexdigest()
    if found != manifest["sha256"].lower():
        raise TrainingError(f"sha256 of {folder / manifest['file']} is {found}, expected {manifest['sha256']}")
    return manifest, model


def use_form(folder, form):
    """Makes the extension load the `form` ("onnx" or "ort") of the model in `folder`; returns the manifest.

    model.ort is always made anew, from model.onnx.
    """
    if form not in FILES:
        raise TrainingError(f"{form!r} is no form of a model: onnx or ort")
    folder = Path(folder)
    manifest, model = read_model(folder)
    try:
        model = (folder / FILES["onnx"]).read_bytes()
        if form == "ort":
            model = ort_format.convert(model)
            replace_file(folder / FILES["ort"], model)
        manifest |= {"file": FILES[form], "sha256": hashlib.sha256(model).hexdigest()}
        check_golden(model, manifest)
        replace_file(folder / "manifest.json", json_bytes(manifest))
    except OSError as error:
        raise TrainingError(f"{folder} cannot be rewritten: {error}") from error
    return manifest


def open_session(model):
    """A single-threaded session of onnxruntime for `model`, the bytes of either form."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise TrainingError(f"onnxruntime cannot load the graph: {first_line(error)}") from error


def run(session, inputs):
    """Logits float32 [batch, labels] of `inputs`: feature ids [batch, n], or a dictionary of inputs by their names."""
    if not isinstance(inputs, dict):
        inputs = {"features": np.asarray(inputs, dtype=np.int32)}
    try:
        return session.run(["logits"], inputs)[0]
    except Exception as error:
        rows = len(next(iter(inputs.values())))
        raise TrainingError(f"the graph fails on {rows} rows of input: {first_line(error)}") from error


def check_manifest(manifest):
    """Raises TrainingError when a field of `manifest` (a dictionary) is one that the extension refuses."""
    if manifest["format"] != FORMAT:
        raise TrainingError(f"format {manifest['format']} is not {FORMAT}")
    check_description(manifest)
    file = manifest["file"]
    if not file or "/" in file or "\\" in file or file.startswith("."):
        raise TrainingError(f"file {file!r} is not a plain file name")


def check_description(manifest):
    """Raises TrainingError when name, labels, temperature or golden queries of a manifest of either format are refused."""
    labels = manifest["labels"]
    if not _short(manifest["name"]):
        raise TrainingError("a model's name must have 1 to 63 bytes")
    if not 2 <= len(labels) <= MAX_LABELS:
        raise TrainingError(f"{len(labels)} labels, expected 2 to {MAX_LABELS}")
    for label in labels:
        if not _short(label):
            raise TrainingError(f"label {label!r} must have 1 to 63 bytes")
        if labels.count(label) > 1:
            raise TrainingError(f"label {label!r} appears twice")
    temperature = manifest["calibration"]["temperature"]
    if not (math.isfinite(temperature) and 0.01 <= temperature <= 100):
        raise TrainingError(f"temperature {temperature} is not between 0.01 and 100")
    for golden in manifest.get("golden", []):
        if golden["type"] != UNKNOWN and golden["type"] not in labels:
            raise TrainingError(f"golden query {golden['query']!r} has the label {golden['type']!r}, the model has not")


def check_graph(onnx_bytes, labels, encoder):
    """Raises TrainingError unless the ONNX model `onnx_bytes` keeps the contract of the extension.

    That is: an input `features` int32 [batch, features], when the specification `encoder` has tokens another one
    `tokens` int32 [batch, tokens, 3], and one output `logits` float32 [batch, labels], their sizes free but for 3 and
    the number of labels; operators of ONNX and ONNX-ML alone; no files beside it; finite answers for every id from 0
    to the number of buckets, and the same answer for a row whether it stands alone, among others or with padding.
    """
    try:
        model = onnx.load_from_string(onnx_bytes)
        onnx.checker.check_model(model)
    except Exception as error:
        raise TrainingError(f"the graph is not valid ONNX: {first_line(error)}") from error
    # Exporters and quantizers also name sets of which they use nothing.
    used = {node.domain for part in (model.graph, *model.functions) for node in part.node}
    for imported in model.opset_import:
        if imported.domain in used and imported.version > DOMAINS.get(imported.domain, 0):
            raise TrainingError(f"the graph uses {imported.domain or 'ai.onnx'} opset {imported.version}, at most "
                                f"ai.onnx {MAX_OPSET} and ai.onnx.ml {DOMAINS['ai.onnx.ml']} are allowed")
    graph = model.graph
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in graph.initializer):
        raise TrainingError("the graph keeps weights in another file: export it as one file")
    inputs = {"features": [None, None]} | ({"tokens": [None, None, 3]} if "tokens" in encoder else {})
    _check_tensors("input", graph.input, inputs, TensorProto.INT32)
    _check_tensors("output", graph.output, {"logits": [None, labels]}, TensorProto.FLOAT)
    session = open_session(onnx_bytes)
    lengths = [3, 1, 2]
    alone = [run(session, _probe(encoder, [length], length)) for length in lengths]
    for logits in alone:
        if logits.shape != (1, labels):
            raise TrainingError(f"the graph gives {list(logits.shape)} for one row, expected [1, {labels}]")
    alone = np.concatenate(alone)
    if not np.isfinite(alone).all():
        raise TrainingError("the graph gives logits that are not finite")
    for extra in (0, 5):
        padded = run(session, _probe(encoder, lengths, max(lengths) + extra))
        if not np.allclose(alone, padded, rtol=1e-3, atol=1e-3):
            raise TrainingError("the logits of a row change with the rows beside it or the padding behind it: each row "
                                "must stand for itself and id 0 count for nothing")


def _probe(encoder, lengths, width):
    """Inputs with a row of ids for each of `lengths`, among them the lowest and the highest, padded to `width`."""

    def padded(buckets):
        ids = [buckets, 1, buckets // 2]
        return np.array([ids[:length] + [0] * (width - length) for length in lengths], dtype=np.int32)

    inputs = {"features": padded(encoder["buckets"])}
    if "tokens" in encoder:
        inputs["tokens"] = np.repeat(padded(encoder["tokens"]["buckets"])[:, :, None], 3, axis=2)
    return inputs


def check_golden(model, manifest):
    """Raises TrainingError, naming the query, unless `model` gives every golden query of `manifest` its label."""
    golden = manifest.get("golden", [])
    if not golden:
        return
    session = open_session(model)
    features = encode([entry["query"] for entry in golden], manifest["encoder"])
    for row, entry in enumerate(golden):
        found = UNKNOWN
        if _searchable(entry["query"]):
            # Alone, as the extension runs it.
            found = manifest["labels"][run(session, features.inputs([row]))[0].argmax()]
        if found != entry["type"]:
            raise TrainingError(f"golden query {entry['query']!r} is taken for {found}, expected {entry['type']}")


def _searchable(text):
    # What rules.rs calls unknown, the core does not show to a model at all.
    letters = [char for char in text if char.isalnum()]
    return len(letters) > 1 or any(first <= char <= last for char in letters for first, last in HAN)


def _check_tensors(role, outlets, expected, element):
    """`expected` maps the names of the inputs or outputs to their shapes, None where a size is free."""
    found = {outlet.name: outlet.type.tensor_type for outlet in outlets}
    if found.keys() != expected.keys():
        raise TrainingError(f"the {role}s of the graph are {_listed(found)}, expected {_listed(expected)}")
    for name, shape in expected.items():
        tensor = found[name]
        sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
        # A size that is known may be left open by the graph; one that is free may not be fixed.
        fits = len(sizes) == len(shape) and all(size in (None, wanted) for size, wanted in zip(sizes, shape))
        if tensor.elem_type != element or not fits:
            kind = TensorProto.DataType.Name(tensor.elem_type).lower()
            wanted = TensorProto.DataType.Name(element).lower()
            raise TrainingError(f"the {role} is {name}: {kind} {_shape(sizes)}, "
                                f"expected {name}: {wanted} {_shape(shape)}")


def _listed(names):
    return ", ".join(sorted(names)) or "none"


def _shape(sizes):
    return "[" + ", ".join("any" if size is None else str(size) for size in sizes) + "]"


def _short(text):
    return bool(text.strip()) and len(text.encode()) <= 63


def json_bytes(manifest):
    """A manifest as the bytes of its file."""
    return (json.dumps(manifest, ensure_ascii=False, indent=2) + "\n").encode()


def replace_file(path, content):
    """Writes `content` to `path` in one piece: a reader never sees half a file."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)
