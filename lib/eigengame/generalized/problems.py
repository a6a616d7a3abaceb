"""Problems A v = lambda B v: canonical correlations and partial least squares.

Rows [b, p + q] hold two views of the same examples side by side, x [b, p] and y [b, q]. Both maximise
what x w and y z have in common over v = (w, z), d = p + q:

    A = [[0, Cxy], [Cyx, 0]]

cca: B = [[Cxx + epsilon I, 0], [0, Cyy + epsilon I]]: lambda is a canonical correlation (Hotelling, 1936;
  with epsilon: Vinod, 'Canonical ridge and econometrics of joint production', 1976).
pls: B = I: lambda is a singular value of Cxy, a covariance.
mlr: B = [[Cxx + epsilon I, 0], [0, I]]: lambda is a singular value of (Cxx + epsilon I)^-1/2 Cxy, what a
  linear regression of y on x explains (multivariate linear regression of Borga, Landelius, Knutsson, 'A
  unified approach to PCA, PLS, MLR and CCA', 1997). The code of the EigenGame papers calls it PLS.

Eigenvalues come in pairs: (w, -z) has -lambda.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

# `(vectors [k, d], rows [b, d]) -> (A v_j [k, d], B v_j [k, d])`, where A and B are means over the rows.
Problem = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


def cca(p: int, epsilon: float) -> Problem:
    """Returns the problem of canonical correlations of the first p features with the others.

    epsilon is added to the diagonal of B.
    """
    return functools.partial(_cca, p, epsilon)


def pls(p: int) -> Problem:
    """Returns the problem of partial least squares, covariances of the first p features with the others."""
    return functools.partial(_pls, p)


def mlr(p: int, epsilon: float) -> Problem:
    """Returns the problem of multivariate linear regression of the other features on the first p.

    epsilon is added to the first p of B's diagonal.
    """
    return functools.partial(_mlr, p, epsilon)


def _cca(p: int, epsilon: float, vectors: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns A v = (x^T y z, y^T x w) / b and B v = (x^T x w, y^T y z) / b + epsilon v, both [k, d]."""
    x, y = rows[:, :p], rows[:, p:]
    xw, yz = x @ vectors[:, :p].T, y @ vectors[:, p:].T

    def back(s, t):
        return jnp.concatenate([s.T @ x, t.T @ y], 1) / len(rows)

    return back(yz, xw), back(xw, yz) + epsilon * vectors


def _pls(p: int, vectors: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns A v as of `_cca`, and B v = v."""
    return _cca(p, 0.0, vectors, rows)[0], vectors


def _mlr(p: int, epsilon: float, vectors: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns A v as of `_cca`, and B v = (x^T x w / b + epsilon w, z)."""
    a, b = _cca(p, epsilon, vectors, rows)
    return a, jnp.concatenate([b[:, :p], vectors[:, p:]], 1)
