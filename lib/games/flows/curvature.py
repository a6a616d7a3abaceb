"""The largest Hessian eigenvalues of a loss along a path, each search starting from the last.

By LOBPCG, in Hessian-vector products (jax.experimental.sparse.linalg); of a small loss, by its dense
Hessian. lib/games/eigenvalues.py, by ARPACK, is for single points of any game.
"""

import functools
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.sparse.linalg import lobpcg_standard
from numpy.typing import ArrayLike

from lib.games.flows.losses import Loss, hessian, hessian_product

_RESIDUAL = 1e-4  # of an eigenvector, relative to the eigenvalue, whose own error is its square
_ITERATIONS = 200  # at the most; near the last place, about five


class Eigenpairs(NamedTuple):
    """Eigenvalues of a symmetric matrix, the largest first.

    Attributes:
      values: [k].
      vectors: [k, d], rows of norm 1.
    """

    values: jax.Array
    vectors: jax.Array


def largest(
    loss: Loss, theta: ArrayLike, k: int, near: Eigenpairs | None = None, seed: int = 0
) -> Eigenpairs:
    """Computes the k largest eigenpairs of a loss's Hessian, in the precision of `theta`.

    Args:
      theta: [d], d >= k.
      near: eigenpairs of a place nearby, where the search begins.
      seed: of where it begins without.
    """
    if 5 * k >= len(theta):  # LOBPCG's bound
        values, vectors = jnp.linalg.eigh(hessian(loss, theta))
        return Eigenpairs(values[::-1][:k], vectors.T[::-1][:k])
    if near is None:
        start = np.random.default_rng(seed).standard_normal((k, len(theta)))
        return _search(loss, theta, start)
    return _search(loss, theta, near.vectors)


@functools.partial(jax.jit, static_argnums=0)
def _search(loss: Loss, theta: jax.Array, start: jax.Array) -> Eigenpairs:
    """Computes the largest eigenpairs by LOBPCG from a basis [k, d]."""
    product = jax.vmap(functools.partial(hessian_product, loss, theta), 1, 1)
    tolerance = _RESIDUAL / (20 * len(theta))  # LOBPCG multiplies it by about 20 d eigenvalues
    values, vectors, _ = lobpcg_standard(product, start.T, m=_ITERATIONS, tol=tolerance)
    return Eigenpairs(values, vectors.T)


def along(loss: Loss, path: Iterable[ArrayLike], k: int) -> np.ndarray:
    """Computes the k largest Hessian eigenvalues at the places of a path, [t, k], in float64."""
    pairs, values = None, []
    with jax.enable_x64(True):
        for theta in path:
            pairs = largest(loss, jnp.asarray(theta, jnp.float64), k, pairs)
            values.append(np.asarray(pairs.values))
    return np.stack(values)
