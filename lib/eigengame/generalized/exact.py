"""The generalised eigenpairs of a whole set by a dense eigensolver: what the game is measured against."""

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


def matrices(problem: Problem, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns A and B of rows [n, d], float64 [d, d]: the problem's own products with the unit vectors."""
    with jax.enable_x64(True):
        a, b = problem(jnp.eye(rows.shape[1]), jnp.asarray(rows, jnp.float64))
        return np.asarray(a), np.asarray(b)


def representatives(components: PrincipalComponents) -> np.ndarray:
    """Returns d rows with mean zero and the covariance of a whole set, [d, d], from all its eigenpairs.

    R^T R / d = sum_i lambda_i u_i u_i^T for the rows sqrt(d lambda_i) u_i.
    """
    d = len(components.mean)
    return np.sqrt(d * np.maximum(components.eigenvalues, 0))[:, None] * components.eigenvectors


def exact_eigenpairs(problem: Problem, rows: np.ndarray, k: int) -> ExactEigenpairs:
    """Returns the k leading pairs of a problem on rows [n, d], whose B must be positive definite."""
    a, b = matrices(problem, rows)
    d = len(a)
    from scipy.linalg import eigh  # here: a run that needs no scipy starts sooner

    values, vectors = eigh(a, b, subset_by_index=[d - k, d - 1])
    return ExactEigenpairs(values[::-1], vectors.T[::-1], np.linalg.cholesky(b))
