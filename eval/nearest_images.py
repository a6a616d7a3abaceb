"""The training images that are nearest to samples, pixel by pixel: so that memorisation can be seen."""

import numpy as np

from eval import sampling
from lib.data import Dataset

_CHUNK = 2000  # images in memory at once


def nearest_images(images: np.ndarray, dataset: Dataset, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Finds the k images of a set that are nearest to each of some others.

    Args:
      images: float [m, h, w, c] in [-1, 1].
      dataset: of images of the same shape.
      k: at most the set's size.

    Returns:
      (their numbers in the set [m, k], nearest first; root mean square differences of pixels [m, k]).
    """
    x = np.asarray(images, np.float32).reshape(len(images), -1)
    numbers, squares = np.zeros((len(x), 0), int), np.zeros((len(x), 0), np.float32)
    for start in range(0, dataset.size, _CHUNK):
        y = sampling.signed(dataset, slice(start, start + _CHUNK)).reshape(-1, x.shape[1])
        found = np.sum(x**2, 1)[:, None] - 2 * x @ y.T + np.sum(y**2, 1)
        squares = np.concatenate([squares, found], 1)
        numbers = np.concatenate([numbers, np.broadcast_to(start + np.arange(len(y)), found.shape)], 1)
        if squares.shape[1] > k:
            best = np.argpartition(squares, k - 1, 1)[:, :k]
            squares, numbers = (np.take_along_axis(a, best, 1) for a in (squares, numbers))
    # Small differences of large products are not exact: once more, from the images that were found.
    near = sampling.signed(dataset, numbers.ravel()).reshape(*numbers.shape, -1)
    distances = np.sqrt(np.mean((near - x[:, None]) ** 2, -1))
    order = np.argsort(distances, 1, kind="stable")
    return np.take_along_axis(numbers, order, 1), np.take_along_axis(distances, order, 1)
