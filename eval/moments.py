"""What scores need to know of many images, accumulated batch by batch."""

from typing import NamedTuple

import numpy as np


class Gaussian(NamedTuple):
    """Mean [d] and unbiased covariance [d, d] of n features, float64."""

    mean: np.ndarray
    covariance: np.ndarray
    n: int


class Moments:
    """Mean and covariance of features, in float64, in memory that does not grow with their number.

    Sums are of x - c, c the mean of the first batch: so nothing is lost where means are large.
    """

    def __init__(self):
        self._n, self._centre, self._sum, self._outer = 0, 0.0, 0.0, 0.0

    def update(self, features: np.ndarray) -> None:
        """Adds features [b, d]."""
        x = np.asarray(features, np.float64)
        if self._n == 0:
            self._centre = x.mean(0)
        x = x - self._centre
        self._n += len(x)
        self._sum = self._sum + x.sum(0)
        self._outer = self._outer + x.T @ x

    def gaussian(self) -> Gaussian:
        """Of all features so far, at least two."""
        mean = self._sum / self._n
        covariance = (self._outer - self._n * np.outer(mean, mean)) / (self._n - 1)
        return Gaussian(self._centre + mean, covariance, self._n)
