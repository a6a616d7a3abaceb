"""Some rows of an array, without a copy of them."""

import numpy as np
import pytest

from lib.data import Dataset
from lib.data.dataset import Rows


def test_rows_are_gathered_where_they_are_indexed_and_nowhere_else(tmp_path):
    whole = np.arange(60, dtype=np.uint8).reshape(10, 3, 2)
    np.save(tmp_path / "x.npy", whole)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    gathered = []

    class Watched:
        shape, dtype = mapped.shape, mapped.dtype

        def __getitem__(self, index):
            gathered.append(np.size(index))
            return mapped[index]

    kept = np.array([1, 4, 5, 9])
    rows = Rows(Watched(), kept)
    assert (rows.shape, rows.ndim, rows.size, len(rows), rows.dtype) == ((4, 3, 2), 3, 24, 4, np.uint8)
    assert not gathered
    for index in (slice(1, 3), np.array([3, 0]), 2):
        np.testing.assert_array_equal(rows[index], whole[kept][index])
    assert gathered == [2, 2, 1]
    np.testing.assert_array_equal(np.asarray(rows, float), whole[kept].astype(float))
    assert rows.nbytes == np.asarray(rows).nbytes
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(rows, copy=False)


def test_examples_are_taken_with_their_labels():
    whole = Dataset(np.arange(12.0).reshape(6, 2), np.arange(6, dtype=np.int32), 6, name="six")
    part = whole.take(np.array([4, 1]))
    np.testing.assert_array_equal(np.asarray(part.image), [[8, 9], [2, 3]])
    np.testing.assert_array_equal(part.label, [4, 1])
    assert (part.size, part.image_shape, part.num_classes, part.name) == (2, (2,), 6, "six")
