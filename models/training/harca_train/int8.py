"""A word table of 8 bits: a scale for each row, and whole numbers of one byte times it."""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

_MOST = 127
# A row of zeros alone would be divided by zero.
_LEAST_SCALE = np.float32(1e-30)


@dataclass(frozen=True)
class Int8:
    """A matrix [rows, columns]: element (i, j) is codes[i, j] · scales[i]; `codes` are int8, `scales` float32 [rows]."""

    codes: np.ndarray
    scales: np.ndarray

    @classmethod
    def of(cls, matrix):
        """The float32 `matrix`, rounded."""
        scales = np.maximum(np.abs(matrix).max(axis=1) / np.float32(_MOST), _LEAST_SCALE)
        return cls(np.rint(matrix / scales[:, None]).astype(np.int8), scales)


def rows(nodes, table, ids, name):
    """Adds the look-up of the rows `ids` of the `Int8` `table` to `nodes`; its name."""
    codes = nodes.node("Gather", [nodes.constant(f"{name}_codes", table.codes), ids], f"{name}_found")
    scales = nodes.node("Gather", [nodes.constant(f"{name}_scales", table.scales[:, None]), ids], f"{name}_found_scales")
    return nodes.node("Mul", [nodes.node("Cast", [codes], f"{name}_whole", to=TensorProto.FLOAT), scales], f"{name}_rows")
