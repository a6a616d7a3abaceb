"""Scores of samples against real images by k nearest neighbours, of their features in float64.

A set's manifold is the union of the balls around its points, each up to the k-th nearest other point.

    precision   share of samples within the real images' manifold
    recall      share of real images within the samples' manifold
    density     balls of real images that hold a sample, over k: a mean over samples, 1 where both agree
    coverage    share of real images whose ball holds a sample

Kynkaanniemi, Karras, Laine, Lehtinen, Aila, 'Improved Precision and Recall Metric for Assessing Generative
Models', NeurIPS 2019; Naeem, Oh, Uh, Choi, Yoo, 'Reliable Fidelity and Diversity Metrics for Generative
Models', ICML 2020.
"""

from collections.abc import Iterator

import numpy as np

_CHUNK = 1024  # rows of a matrix of distances that are in memory at once


def squared_radii(features: np.ndarray, k: int) -> np.ndarray:
    """Returns the squared distance of each of n features [n, d] to its k-th nearest other one, [n].

    Raises:
      ValueError: there are no k others.
    """
    if not 0 < k < len(features):
        raise ValueError(f"{len(features)} features have no {k} nearest others")
    # The nearest of all is the feature itself.
    chunks = (np.partition(d, k, 1)[:, k] for _, d in _squared_distances(features, features))
    return np.concatenate(list(chunks))


def neighbour_scores(real: np.ndarray, samples: np.ndarray, k: int, radii: np.ndarray) -> dict[str, float]:
    """Returns {"precision", "recall", "density", "coverage"} of samples.

    Args:
      real: features [n, d].
      samples: features [m, d].
      k: how many neighbours a ball reaches to; less than n and m.
      radii: `squared_radii(real, k)`.
    """
    sample_radii = squared_radii(samples, k)
    balls = np.zeros(len(samples), int)  # of real images, that hold each sample
    recalled = covered = 0
    for rows, distances in _squared_distances(real, samples):
        inside = distances < radii[rows, None]
        balls += inside.sum(0)
        covered += inside.any(1).sum()
        recalled += (distances < sample_radii).any(1).sum()
    return {
        "precision": float((balls > 0).mean()),
        "recall": float(recalled / len(real)),
        "density": float(balls.mean() / k),
        "coverage": float(covered / len(real)),
    }


def _squared_distances(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields (rows, ||x_i - y_j||^2 [rows, m]) of features [n, d] and [m, d], some rows at a time."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    x, y = x - y.mean(0), y - y.mean(0)  # nothing is lost where means are large
    of_y = np.sum(y**2, 1)
    for start in range(0, len(x), _CHUNK):
        rows = slice(start, start + _CHUNK)
        yield rows, np.sum(x[rows] ** 2, 1)[:, None] - 2 * x[rows] @ y.T + of_y
