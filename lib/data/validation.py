"""Validation examples: some of the training split, held out by a seed."""

import numpy as np

from lib.data.dataset import Dataset
from lib.data.rows import Rows
from lib.errors import ConfigError
from lib.runtime import streams

SPLIT = "validation"  # the name of the held-out examples


def hold_out(train: Dataset, n: int, seed: int) -> tuple[Dataset, Dataset]:
    """(the training examples that are left, n validation examples): chosen at random, in the set's order.

    Where training draws points without end, it goes on to; the validation examples are of its fixed sample.

    Raises:
      ConfigError: no example would be left.
    """
    if n >= train.size:
        raise ConfigError(
            f"config.dataset.validation_size: {n:,} leaves nothing of the {train.size:,} training examples; "
            f"use at most {train.size - 1:,}"
        )
    generator = streams.hold_out_generator(seed)
    held_out = np.zeros(train.size, bool)
    held_out[generator.permutation(train.size)[:n]] = True
    kept, validation = (_rows(train, np.flatnonzero(mask)) for mask in (~held_out, held_out))
    return kept, validation._replace(source=None)


def _rows(dataset: Dataset, rows: np.ndarray) -> Dataset:
    return dataset._replace(image=Rows(dataset.image, rows), label=dataset.label[rows])
