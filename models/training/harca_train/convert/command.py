"""`harca_train convert`: a model of another tool becomes a folder that the extension loads."""

import importlib
from pathlib import Path

from harca_train import manifest
from harca_train.convert import compare
from harca_train.corpus import read_tsv
from harca_train.errors import TrainingError
from harca_train.features import ENCODER

# Kind → package to install when its module cannot be imported.
KINDS = {"pytorch": "torch onnxscript", "sklearn": "scikit-learn skl2onnx", "keras": "keras torch onnxscript"}


def add_arguments(parser):
    """Adds the options of the command to `parser`, an argparse parser."""
    parser.add_argument("kind", choices=list(KINDS))
    parser.add_argument("source", help="a file; for pytorch also package.module:function")
    parser.add_argument("--labels", required=True, help="names in the order of the logits, commas between")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--name", required=True, help="the model's name, as the model column shows it")
    parser.add_argument("--version", required=True, help="the model's own version")
    parser.add_argument("--temperature", type=float, default=1.0, help="divides the logits before the softmax")
    parser.add_argument("--golden", type=Path, help="queries the model must get right: a file with the columns query "
                        "and label, tabs between")
    for key, value in ENCODER.items():
        if key != "id":
            parser.add_argument(f"--{key.replace('_', '-')}", type=int, default=value,
                                help=f"of the encoder whose features the model was fitted on (default {value})")
    parser.add_argument("--load", choices=["onnx", "ort"], default="onnx", help="the form that the extension takes")


def run(arguments):
    """Converts, compares and writes; prints what was written."""
    try:
        module = importlib.import_module(f"harca_train.convert.{arguments.kind}")
    except ImportError as error:
        raise TrainingError(f"{error}: pip install {KINDS[arguments.kind]}") from error
    labels = [label.strip() for label in arguments.labels.split(",")]
    encoder = ENCODER | {key: getattr(arguments, key) for key in ENCODER if key != "id"}
    golden = []
    if arguments.golden:
        golden = [(row["query"], row.get("label", "")) for row in read_tsv(arguments.golden)]
    converted = module.convert(arguments.source, labels, encoder["buckets"])
    manifest.check_graph(converted.onnx_bytes, len(labels), encoder)
    worst = compare(converted, encoder["buckets"])
    manifest.write_model(
        arguments.out, converted.onnx_bytes, name=arguments.name, version=arguments.version, labels=labels,
        encoder=encoder, temperature=arguments.temperature, golden=golden, metrics={},
        training={"converted from": arguments.kind}, load=arguments.load,
    )  # fmt: skip
    print(f"{arguments.out}: {len(golden)} golden queries right, probabilities within {worst:.1e} of the source")
