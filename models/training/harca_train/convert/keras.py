"""Keras 3: a .keras file, run by its PyTorch backend.

There a Keras model is a torch.nn.Module, so it takes the way of `pytorch`. `Model.export(format="onnx")` does the same
through the older of PyTorch's two exporters and gives a graph of twice as many nodes.
"""

import os
from pathlib import Path

import numpy as np

from harca_train.convert import Converted
from harca_train.convert.pytorch import convert_module
from harca_train.errors import TrainingError


def convert(source, labels, buckets):
    """A `Converted` of `source`, a .keras file: a model that takes ids int32 [batch, n] and gives logits.

    `keras.Input((None,), dtype="int32")` is such an input. Code that a file carries (Lambda layers) is not run.
    """
    path = Path(source)
    if not path.is_file():
        raise TrainingError(f"there is no file {path}")
    keras = _keras()
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:
        raise TrainingError(f"{path} is not a Keras model: {str(error).strip().splitlines()[0]}") from error
    model.trainable = False
    converted = convert_module(model.eval(), len(labels), buckets)

    def answer(features):
        return np.asarray(keras.ops.convert_to_numpy(model(features, training=False)))

    return Converted(converted.onnx_bytes, answer)


def _keras():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        import keras
    except ImportError as error:
        raise TrainingError(f"Keras cannot be imported: {error}") from error
    if keras.backend.backend() != "torch":
        raise TrainingError("Keras runs on another backend: set the environment variable KERAS_BACKEND to torch")
    return keras
