"""The scores of generated images as functions of a network's logits and features, in float64.

They are TF-GAN's, computed without TensorFlow: eval/tfgan.py has those, which tests compare with.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax, logsumexp

_ROUNDING = 1e-10  # smaller eigenvalues of covariances are rounding, as for TF-GAN
_BLOCK = 1024  # examples of a block of the kernel distance, at most, as in TF-GAN


class Gaussian(NamedTuple):
    """Mean [d] and unbiased covariance [d, d] of n features, float64."""

    mean: np.ndarray
    covariance: np.ndarray
    n: int


def classifier_score(logits: np.ndarray) -> float:
    """Returns the Inception score (Salimans et al. 2016) of any network's logits [n, classes].

    exp E_x KL(p(y|x) || p(y)), with p(y) the mean of p(y|x) over the n images.
    """
    log_p, log_mean = log_probabilities(logits)
    return float(np.exp(np.mean(np.sum(np.exp(log_p) * (log_p - log_mean), -1))))


def log_probabilities(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns (log softmax of logits [n, ..], log of the mean of those probabilities over n [..])."""
    log_p = log_softmax(np.asarray(logits, np.float64), -1)
    return log_p, logsumexp(log_p, 0) - np.log(len(log_p))


def square_root(covariance: np.ndarray) -> np.ndarray:
    """Returns the symmetric square root of a covariance [d, d]."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.where(values > _ROUNDING, values, 0))) @ vectors.T


def frechet_distance(a: Gaussian, b: Gaussian, root_a: np.ndarray | None = None) -> float:
    """Returns the Frechet distance of two Gaussians (Heusel et al. 2017).

    ||m - m'||^2 + Tr(S + S' - 2 (S S')^(1/2)): the last trace is that of the square root of the symmetric
    S^(1/2) S' S^(1/2), the sum of the square roots of its eigenvalues.

    Args:
      root_a: `square_root(a.covariance)`, where it is known.
    """
    root = square_root(a.covariance) if root_a is None else root_a
    values = np.linalg.eigvalsh(root @ b.covariance @ root)
    trace = np.sum(np.sqrt(values[values > _ROUNDING]))
    traces = np.trace(a.covariance) + np.trace(b.covariance)
    return float(np.sum((a.mean - b.mean) ** 2) + traces - 2 * trace)


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the kernel distance KID (Binkowski et al. 2018) of features [n, d] and [m, d].

    The unbiased squared MMD with the kernel k(x, y) = (x.y / d + 1)^3, the mean over blocks of equal size:
    as few as have no more than 1,024 of the larger set.
    """
    blocks = -(-max(len(a), len(b)) // _BLOCK)
    parts = zip(_blocks(a, blocks), _blocks(b, blocks), strict=True)
    return float(np.mean([_squared_mmd(x, y) for x, y in parts]))


def _blocks(features: np.ndarray, n: int) -> list[np.ndarray]:
    """Divides features into n blocks; those that are larger by one come last."""
    size, larger = divmod(len(features), n)
    ends = np.cumsum([size] * (n - larger) + [size + 1] * larger)
    return np.split(np.asarray(features, np.float64), ends[:-1])


def _squared_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Returns the unbiased estimate from [n, d] and [m, d]."""
    within = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (_kernel(x, x), _kernel(y, y))]
    return sum(within) - 2 * _kernel(x, y).mean()


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3
