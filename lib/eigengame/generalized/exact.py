"""The generalised eigenpairs of a whole set by a dense eigensolver: what the game is measured against."""

from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lib.data import PrincipalComponents
from lib.eigengame.generalized.problems import Problem


class ExactEigenpairs(NamedTuple):
    """Of A v = lambda B v, in float64.

    Attributes:
      eigenvalues: the k largest, the largest first, [k].
      eigenvectors: theirs, as rows with v^T B v = 1, [k, d].
      root: L of B = L L^T, [d, d]: rows v L have the inner products v^T B u, in which eigenvectors are
        orthogonal and angles do not depend on the units of the features.
    """

    eigenvalues: np.ndarray
    eigenvectors: np.ndarray
    root: np.ndarray


def matrices(problem: Problem, chunks: Iterable[np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns A and B, float64 [d, d], of a set of `count` rows that comes in chunks [n, d]."""
    with jax.enable_x64(True):
        means = None
        for rows in chunks:
            weights = jnp.full(len(rows), 1 / count)
            part = problem.moments(jnp.eye(rows.shape[1]), jnp.asarray(rows, jnp.float64), weights)
            means = part if means is None else jax.tree.map(jnp.add, means, part)
        a, b = problem.grams(means)
        return np.asarray(a), np.asarray(b)


def representatives(components: PrincipalComponents) -> np.ndarray:
    """Returns d rows with mean zero and the covariance of a whole set, [d, d], from all its eigenpairs.

    R^T R / d = sum_i lambda_i u_i u_i^T for the rows sqrt(d lambda_i) u_i.
    """
    d = len(components.mean)
    return np.sqrt(d * np.maximum(components.eigenvalues, 0))[:, None] * components.eigenvectors


def exact_eigenpairs(problem: Problem, chunks: Iterable[np.ndarray], count: int, k: int) -> ExactEigenpairs:
    """Returns the k leading pairs of a problem on a set of rows, whose B must be positive definite.

    Args:
      chunks, count: as of `matrices`.
    """
    a, b = matrices(problem, chunks, count)
    d = len(a)
    from scipy.linalg import eigh  # here: a run that needs no scipy starts sooner

    values, vectors = eigh(a, b, subset_by_index=[d - k, d - 1])
    return ExactEigenpairs(values[::-1], vectors.T[::-1], np.linalg.cholesky(b))
