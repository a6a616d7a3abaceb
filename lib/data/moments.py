"""Mean and covariance of a set of any size, in one pass, in double precision."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from lib.data.dataset import Dataset
from lib.data.pipeline import to_rows
from lib.errors import ConfigError

_CHUNK = 2**23  # numbers in memory at a time: 64 MB


class Moments(NamedTuple):
    """Of rows [n, d], as `lib.data.pipeline.to_rows` makes them.

    Attributes:
      count: n.
      mean: [d].
      covariance: sum_n (x_n - mean)(x_n - mean)^T / n, [d, d]; None where it was not asked for.
      total_variance: its trace.
    """

    count: int
    mean: np.ndarray
    covariance: np.ndarray | None
    total_variance: float


def moments(dataset: Dataset, with_covariance: bool = True) -> Moments:
    """Computes float64 moments of all rows of a set; a few chunks of it are in memory at a time.

    With y = x - s, where s is the mean of the first rows and so near the whole mean that nothing cancels,

        mean = s + mean(y),    covariance = mean(y y^T) - mean(y) mean(y)^T

    Args:
      dataset: images or points, flattened to [n, d].
      with_covariance: whether to make the covariance [d, d], or its trace alone.

    Raises:
      ConfigError: the set holds a number that is no finite float32.
    """
    n, d = dataset.size, math.prod(dataset.image_shape)
    sums, squares = np.zeros(d), np.zeros((d, d) if with_covariance else d)
    shift = None
    for rows in chunks(dataset, "moments"):
        shift = rows.mean(0) if shift is None else shift
        rows -= shift
        sums += rows.sum(0)
        squares += rows.T @ rows if with_covariance else np.einsum("nd,nd->d", rows, rows)
    mean = sums / n
    squares /= n
    squares -= np.outer(mean, mean) if with_covariance else mean**2
    if with_covariance:
        return Moments(n, shift + mean, squares, float(np.trace(squares)))
    return Moments(n, shift + mean, None, float(squares.sum()))


def chunks(dataset: Dataset, what: str) -> Iterator[np.ndarray]:
    """Yields all rows of a set, float64 [n, d], a chunk at a time; long work has a bar that says `what`.

    Raises:
      ConfigError: the set holds a number that is no finite float32.
    """
    n, d = dataset.size, math.prod(dataset.image_shape)
    step = max(1, _CHUNK // d)
    with tqdm(total=n, unit="row", desc=f"{what} of {dataset.name}", delay=2, disable=None) as bar:
        for start in range(0, n, step):
            rows = np.array(to_rows(dataset.image[start : start + step], np.float64))
            _check_finite(rows, start, dataset.name)
            yield rows
            bar.update(len(rows))


def _check_finite(rows: np.ndarray, first: int, name: str) -> None:
    """Refuses numbers that batches, which are float32, cannot hold; `first` counts rows before."""
    bad = ~(np.abs(rows) <= np.finfo(np.float32).max)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ConfigError(
            f"'{name}' holds {rows[row, column]:g} in row {first + row}, column {column} (from 0); "
            "use finite numbers that fit float32",
            "config.dataset.name",
        )
