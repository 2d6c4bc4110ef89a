"""The command line: `python -m harca_train.embedder make NAME FOLDER`, and `… measure NAME FOLDER < texts`."""

import argparse
import json
import sys
from pathlib import Path

from harca_train.embedder import agreement, folder
from harca_train.embedder.models import MODELS
from harca_train.errors import TrainingError


def main():
    """Makes a model folder, or measures one."""
    parser = argparse.ArgumentParser(prog="harca_train.embedder")
    steps = parser.add_subparsers(dest="step", required=True)
    for step, what in (
        ("make", "writes a model into a new folder"),
        ("measure", "compares it with the package's own vectors; standard input: a text a line, each a JSON string"),
    ):
        one = steps.add_parser(step, help=what)
        one.add_argument("name", choices=MODELS)
        one.add_argument("folder", type=Path)
    chosen = parser.parse_args()
    try:
        if chosen.step == "make":
            folder.write(chosen.folder, MODELS[chosen.name]())
        else:
            texts = [json.loads(line) for line in sys.stdin]
            print(json.dumps(agreement.measured(chosen.name, chosen.folder, texts)))
    except TrainingError as error:
        sys.exit(f"harca_train.embedder: {error}")


if __name__ == "__main__":
    main()
