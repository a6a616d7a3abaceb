"""Some rows of an array, without a copy of them."""

from typing import Any

import numpy as np


class Rows:
    """`array[rows]`, gathered only where it is indexed, so that a memory map stays on disk.

    It has what pipelines ask of an array: shape, type, length, indexing by rows, and np.asarray.
    """

    def __init__(self, array: np.ndarray, rows: np.ndarray):
        """`rows`: int [n], which rows of `array` [N, ...] these are."""
        self._array, self._rows = array, rows
        self.shape, self.dtype = (len(rows), *array.shape[1:]), array.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Returns the bytes of a copy."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        """The rows that an integer, a slice or an array of integers names."""
        return self._array[self._rows[index]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("rows are gathered: they cannot be had without a copy")
        return np.asarray(self[:], dtype)
