"""Two views of the same rows, x [b, p] and y [b, q], side by side in rows [b, p + q], as A v = lambda B v.

Both maximise what x w and y z have in common over v = (w, z), d = p + q:

    A = [[0, Cxy], [Cyx, 0]]

cca: B = [[Cxx + epsilon I, 0], [0, Cyy + epsilon I]]: lambda is a canonical correlation (Hotelling, 1936;
  with epsilon: Vinod, 'Canonical ridge and econometrics of joint production', 1976).
pls: B = I: lambda is a singular value of Cxy, a covariance.

Eigenvalues come in pairs: (w, -z) has -lambda.
"""

import functools

import jax
import jax.numpy as jnp

from lib.eigengame.generalized import Problem


def cca(p: int, epsilon: float) -> Problem:
    """Canonical correlations of the first p features with the others; epsilon on B's diagonal."""
    return functools.partial(_cca, p, epsilon)


def pls(p: int) -> Problem:
    """Partial least squares: the directions of the largest covariance of the first p features with the others."""
    return lambda vectors, rows: (_cca(p, 0.0, vectors, rows)[0], vectors)


def _cca(p: int, epsilon: float, vectors: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A v = (x^T y z, y^T x w) / b and B v = (x^T x w, y^T y z) / b + epsilon v, both [k, d]."""
    x, y = rows[:, :p], rows[:, p:]
    xw, yz = x @ vectors[:, :p].T, y @ vectors[:, p:].T
    back = lambda s, t: jnp.concatenate([s.T @ x, t.T @ y], 1) / len(rows)
    return back(yz, xw), back(xw, yz) + epsilon * vectors
