"""PyTorch: a saved program of torch.export, or a function that gives a module, through torch.onnx.export."""

import importlib
import io
import logging
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from torch.export import Dim

from harca_train.convert import Converted, finish
from harca_train.errors import TrainingError, first_line

OPSET = 17


def convert(source, labels, buckets):
    """A `Converted` of `source`, a file of torch.export.save or `package.module:function`.

    The function takes nothing and gives a torch.nn.Module with its weights; its module is looked for in the working
    folder too. A program must have been exported with both dimensions of its input dynamic.
    """
    return convert_module(load(source), len(labels), buckets)


def convert_module(module, labels, buckets):
    """A `Converted` of `module`, a torch.nn.Module that takes ids int64 [batch, n] and gives logits [batch, labels]."""
    wrapped = _Typed(module)
    ids = torch.arange(1, 7, dtype=torch.int32).reshape(2, 3).clamp(max=buckets)
    try:
        with torch.no_grad():
            shape = tuple(wrapped(ids).shape)
    except Exception as error:
        raise TrainingError(f"the module does not take ids int64 [batch, n]: {first_line(error)}") from error
    if shape != (2, labels):
        raise TrainingError(f"the module gives {list(shape)} for 2 rows and {labels} labels, expected [2, {labels}]")
    written = io.BytesIO()
    try:
        with _quiet():
            torch.onnx.export(
                wrapped, (ids,), written, input_names=["features"], output_names=["logits"], opset_version=OPSET,
                dynamic_shapes=({0: Dim("batch"), 1: Dim("features")},), external_data=False, dynamo=True,
                verbose=False,
            )  # fmt: skip
    except Exception as error:
        raise TrainingError(f"torch.onnx.export cannot export the module with free batch and length: "
                            f"{_cause(error)}") from error

    def answer(features):
        with torch.no_grad():
            return wrapped(torch.from_numpy(features)).numpy()

    return Converted(finish(onnx.load_from_string(written.getvalue())), answer)


def load(source):
    """The torch.nn.Module that `source` names, see `convert`."""
    path = Path(source)
    if path.exists():
        try:
            return torch.export.load(path).module()
        except Exception as error:
            raise TrainingError(f"{path} is not a file of torch.export.save: {first_line(error)}") from error
    place, colon, name = str(source).partition(":")
    if not colon:
        raise TrainingError(f"there is no file {path}; a function is named as package.module:function")
    sys.path.insert(0, "")
    try:
        module = getattr(importlib.import_module(place), name)()
    except (ImportError, AttributeError, TypeError) as error:
        raise TrainingError(f"{source} gives no module: {error}") from error
    finally:
        sys.path.remove("")
    if not isinstance(module, torch.nn.Module):
        raise TrainingError(f"{source} gives a {type(module).__name__}, expected a torch.nn.Module")
    # A program of torch.export was frozen in one mode and has no other.
    return module.eval()


class _Typed(torch.nn.Module):
    """int32 to int64 in front of a module, float32 behind it."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, features):
        return self.module(features.long()).float()


@contextmanager
def _quiet():
    # The exporter tells of every step, and of operators of packages that are not installed.
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _cause(error):
    # The exporter's own message is a page of advice; what went wrong is the exception it was raised from.
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)
