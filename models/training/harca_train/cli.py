"""The command line: the steps of a run, `all` of them, and what goes with them."""

import argparse
import sys
from pathlib import Path

from harca_train.convert import command as convert_command
from harca_train.errors import TrainingError
from harca_train.features import REPOSITORY, encode
from harca_train.settings import DEFAULTS
from harca_train.workspace import Workspace

ABOUT = {
    "prepare": "read, clean and de-duplicate the queries, reword them, make some up, encode them",
    "teacher": "train the teachers, one per fold of held-out sources and one on everything",
    "finetune": "fine-tune the transformers, one per fold of held-out sources and one on everything",
    "distill": "train the students on the labels and on what the teachers say",
    "prune": "take out what the students can do without",
    "quantize": "make the compressed forms",
    "export": "choose a form and write the model folder",
    "evaluate": "measure on held-out sources",
    "curve": "train on shares of the labelled queries, to see what more of them would bring",
    "report": "write the model card, the stage table and the plots",
    "all": "every step of the kind of student, in order",
}


def main(arguments=None):
    """Runs the command line `arguments` (default: that of the process) and exits."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except TrainingError as error:
        sys.exit(f"harca_train: {error}")


def _parser():
    parser = argparse.ArgumentParser(prog="harca_train", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, about in ABOUT.items():
        command = commands.add_parser(name, help=about, description=about)
        _add_run(command)
        command.set_defaults(run=_run_steps, step=name)
    errors = commands.add_parser("mistakes", help="list the held-out mistakes of the exported form")
    _add_run(errors)
    errors.set_defaults(run=_run_mistakes)
    classify = commands.add_parser("classify", help="classify standard input, line by line")
    classify.add_argument("--model", type=Path, default=REPOSITORY / "models" / "query_type", help="model folder")
    classify.set_defaults(run=_run_classify)
    golden = commands.add_parser("golden", help="rewrite the ids of a golden vector file of the encoder")
    golden.add_argument("file", type=Path, nargs="?", default=REPOSITORY / "tests" / "data" / "encoder_golden.tsv")
    golden.set_defaults(run=_run_golden)
    convert = commands.add_parser("convert", help="make a model folder of a PyTorch, scikit-learn or Keras model")
    convert_command.add_arguments(convert)
    convert.set_defaults(run=convert_command.run)
    return parser


def _add_run(command):
    command.add_argument("--settings", type=Path, help="TOML file; see settings.py for the names and defaults")
    command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one setting, as in TOML")
    command.add_argument("--data", type=Path, default=Path(), help="folder that the paths in the settings start from")
    command.add_argument("--labelled", type=Path, help="TSV with the columns query, label, and language, source, use")
    command.add_argument("--unlabelled", type=Path, help="TSV with the column query, and language, source")
    command.add_argument("--work", type=Path, help="folder of the run (.build/train/NAME)")
    command.add_argument("--out", type=Path, help="model folder to write (out in the folder of the run)")
    command.add_argument("--again", action="store_true", help="make the step anew though it is there")


def _pipeline(options):
    # Imported here, so that --help and convert need no part of it.
    from harca_train import settings as settings_file

    settings = settings_file.load(options.settings, options.set)
    for name in ("labelled", "unlabelled"):
        if getattr(options, name):
            settings["data"][name] = str(getattr(options, name).resolve())
    work = options.work or REPOSITORY / ".build" / "train" / settings["name"]
    workspace, out = Workspace(work, settings, options.data), options.out or work / "out"
    if settings["student"]["kind"] == "transformer":
        from harca_train.transformer_pipeline import TransformerPipeline

        return TransformerPipeline(workspace, out)
    from harca_train.features_pipeline import FeaturesPipeline

    return FeaturesPipeline(workspace, out)


def _run_steps(options):
    pipeline = _pipeline(options)
    pipeline.run(pipeline.workspace.steps() if options.step == "all" else [options.step], options.again)


def _run_mistakes(options):
    from harca_train import evaluate
    from harca_train.workspace import read_json

    pipeline = _pipeline(options)
    choice = pipeline.workspace.folder("export") / "choice.json"
    if not choice.exists():
        raise TrainingError("run the step export first")
    evaluate.mistakes(pipeline, read_json(choice)["form"], sys.stdout)


def _run_classify(options):
    from harca_train import transformer_folder
    from harca_train.manifest import open_session, read_model, run
    from harca_train.metrics import softmax

    lines = [line.rstrip("\n") for line in sys.stdin]
    if (options.model / transformer_folder.TOKENIZER).exists():
        classifier = transformer_folder.read_model(options.model)
        manifest, answers = classifier.manifest, map(classifier.probabilities, lines)
    else:
        manifest, model = read_model(options.model)
        session, features = open_session(model), encode(lines, manifest["encoder"])
        temperature = manifest["calibration"]["temperature"]
        answers = (softmax(run(session, features.inputs([row])), temperature)[0] for row in range(len(lines)))
    for line, scores in zip(lines, answers):
        print(f"{manifest['labels'][scores.argmax()]:12} {scores.max():.2f}  {line}")


def _run_golden(options):
    header, *lines = options.file.read_text(encoding="utf-8").splitlines()
    queries = [line.split("\t")[0] for line in lines]
    encoded = encode(queries, DEFAULTS["encoder"])
    rows = []
    for i, query in enumerate(queries):
        found = encoded.take([i])
        ids = found.tokens.ravel() if header.endswith("\ttokens") else found.ids
        rows.append("\t".join([query, " ".join(map(str, ids))]))
    options.file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
