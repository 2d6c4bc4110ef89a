"""Weights in blocks: 32 neighbours of a row share one scale, and each is a whole number of 4 bits times it."""

from dataclasses import dataclass

import numpy as np

BLOCK = 32
BITS = 4
_MIDDLE = 1 << (BITS - 1)


@dataclass(frozen=True)
class Blocks:
    """A matrix [rows, columns]: element (i, j) is (codes[i, j] - 8) · scales[i, j // 32].

    `codes` are uint8 below 16, `scales` are float16 or float32 [rows, columns / 32].
    """

    codes: np.ndarray
    scales: np.ndarray

    def floats(self):
        """The matrix in float32."""
        rows, columns = self.codes.shape
        whole = self.codes.reshape(rows, -1, BLOCK).astype(np.float32) - _MIDDLE
        return (whole * self.scales.astype(np.float32)[:, :, None]).reshape(rows, columns)

    @classmethod
    def of(cls, matrix):
        """The float32 `matrix`, whose columns are a multiple of 32, rounded to blocks."""
        rows, columns = matrix.shape
        parts = matrix.reshape(rows, columns // BLOCK, BLOCK)
        # The number furthest from zero gets the lowest code, as there is one more below the middle than above it.
        furthest = np.take_along_axis(parts, np.abs(parts).argmax(axis=2)[:, :, None], axis=2)[:, :, 0]
        scales = (furthest / -_MIDDLE).astype(np.float32)
        whole = np.rint(parts / np.where(scales == 0, 1, scales)[:, :, None]) + _MIDDLE
        return cls(np.clip(whole, 0, 2 * _MIDDLE - 1).astype(np.uint8).reshape(rows, columns), scales)

    @classmethod
    def stacked(cls, parts):
        """The rows of several matrices, one below the other."""
        return cls(np.concatenate([part.codes for part in parts]), np.concatenate([part.scales for part in parts]))

    def packed(self):
        """The codes two to a byte, uint8 [rows, columns / 2], the first of two in the lower half."""
        return self.codes[:, 0::2] | self.codes[:, 1::2] << BITS
