"""Eigenvalues of linear operators: all of a small one, or an end of a large one's spectrum by ARPACK.

ARPACK's Arnoldi (Lanczos) iteration needs an operator's products alone. Operators that are not finite
everywhere, or whose coordinates are of very different sizes, are prepared here too.
"""

import functools
import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np

from lib.games.operators import Operator

_SYMMETRIC = {"LR": "LA", "SR": "SA"}  # how ARPACK calls the ends of a real spectrum
ENDS = ("LM", "LR", "SR")  # largest magnitude, largest and smallest real part


def eigenvalues(
    operator: Operator,
    k: int | None = None,
    which: str = "LM",
    *,
    tolerance: float = 0.0,
    restarts: int = 300,
    seed: int = 0,
) -> np.ndarray:
    """Computes eigenvalues, the first in the order of `which` first.

    Args:
      k: how many; None: all, from the dense matrix. With k < n - 1, from ARPACK without any matrix; it
        holds about max(2 k, 40) vectors of float64.
      which: LM: of the largest magnitude, LR: of the largest real part, SR: of the smallest. The first few
        of an end of a spectrum take few products, many in a dense cluster very many.
      tolerance: of ARPACK's residuals, relative to the eigenvalue; 0: the precision of the operator's
        dtype.
      restarts: after so many the iteration ends, whatever has converged.
      seed: of the iteration's first vector.

    Returns:
      [k], float64 of a symmetric operator, else complex128.

    Raises:
      FloatingPointError: a product is not finite: the parameters are not, or the update has no derivative
        there.
      ArpackNoConvergence: not one eigenvalue has converged. If some have, they are returned, and a warning
        says so.
    """
    if which not in ENDS:
        raise ValueError(f"which: unknown '{which}'; known: {', '.join(ENDS)}")
    if k is None or k >= operator.size - 1:
        values = _all_eigenvalues(operator)
    else:
        values = _arpack(operator, k, which, tolerance, restarts, seed)
    order = {"LM": -np.abs(values), "LR": -values.real, "SR": values.real}[which]
    return values[np.argsort(order, kind="stable")][:k]


def top_eigenpairs(
    operator: Operator, k: int, *, tolerance: float = 0.0, restarts: int = 300, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Computes the k largest eigenvalues of a symmetric operator, the largest first, with eigenvectors.

    Args:
      k: at most n. Other arguments: as of `eigenvalues`.

    Returns:
      (values [k], eigenvectors of norm 1 as rows [k, n]), float64.

    Raises:
      ValueError: the operator is not known to be symmetric.
      FloatingPointError: a product is not finite.
      ArpackNoConvergence: not all have converged.
    """
    if not operator.symmetric:
        raise ValueError("eigenvectors are those of symmetric operators")
    if k >= operator.size - 1:
        values, vectors = np.linalg.eigh(_finite(dense(operator)))
    else:
        values, vectors = _arpack(operator, k, "LR", tolerance, restarts, seed, vectors=True)
    order = np.argsort(-values, kind="stable")[:k]
    return values[order], vectors[:, order].T


def spectral_radius(values: np.ndarray) -> float:
    """Returns max |eigenvalue|."""
    return float(np.abs(values).max())


def dense(operator: Operator) -> np.ndarray:
    """Returns the matrix [n, n] of a small operator, from n products."""
    columns = map(operator.apply, np.eye(operator.size, dtype=operator.dtype))
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def where_differentiable(operator: Operator) -> tuple[Operator, int]:
    """Replaces the rows of an operator that are not finite by the identity's.

    For updates without a derivative in a few coordinates, which are then held: Adam's and its like where a
    gradient has always been 0, as a dead unit's has, since the root of the second moment has none at 0.

    Returns:
      (the operator, how many rows were replaced).

    Raises:
      FloatingPointError: half of the rows or more are not finite: then it is not that.
    """
    finite = np.isfinite(operator.apply(np.ones(operator.size, operator.dtype)))
    held = int(operator.size - finite.sum())
    if 2 * held >= operator.size:
        raise FloatingPointError("Jacobian-vector products are not finite")
    if held == 0:
        return operator, 0
    return operator._replace(apply=lambda v: jnp.where(finite, operator.apply(v), v)), held


def balanced(operator: Operator, rounds: int = 12, seed: int = 0) -> Operator:
    """Returns D^-1 A D, with the eigenvalues of A.

    D is diagonal and such that the rows of the result's absolute values have like sums.

    For operators whose coordinates are of very different sizes, as an augmented state with Adam's second
    moments: without it rounding, which is relative to the largest entries, moves the eigenvalues far. D is
    Perron's vector of |A|, by a power iteration with random signs.

    Chen, Demmel, 'Balancing sparse matrices for computing eigenvalues', Linear Algebra and its Applications
    309, 2000: of its Krylov methods the one that needs A's products alone.

    Args:
      rounds: products to find D.
      seed: of the signs.
    """
    rng, d = np.random.default_rng(seed), np.ones(operator.size)
    for _ in range(rounds):
        signs = rng.choice([-1.0, 1.0], operator.size)
        rows = np.abs(_product(operator, signs * d))
        d = np.where(rows > 0, np.sqrt(d * rows), d)
    scale = jnp.asarray(d, operator.dtype)
    return operator._replace(apply=lambda v: operator.apply(v * scale) / scale)


def _all_eigenvalues(operator: Operator) -> np.ndarray:
    """Computes all eigenvalues, from the dense matrix."""
    matrix = _finite(dense(operator))
    if operator.symmetric:
        return np.linalg.eigvalsh(matrix)
    return np.linalg.eigvals(matrix).astype(complex)


def _arpack(
    operator: Operator, k: int, which: str, tolerance: float, restarts: int, seed: int, vectors=False
) -> Any:
    """Computes k eigenvalues of an end of the spectrum, in ARPACK's order; with `vectors` pairs.

    Returns:
      values [k], or (values, vectors [n, k]).

    Raises:
      ArpackNoConvergence: not one value has converged or, of pairs, not all.
    """
    n = operator.size
    from scipy.sparse import linalg  # here: a run that needs no scipy starts sooner

    linear = linalg.LinearOperator((n, n), functools.partial(_product, operator), dtype=np.float64)
    solve = linalg.eigsh if operator.symmetric else linalg.eigs
    try:
        return solve(
            linear,
            k,
            which=_SYMMETRIC.get(which, which) if operator.symmetric else which,
            v0=np.random.default_rng(seed).standard_normal(n),
            ncv=min(n, max(2 * k + 1, 20 if operator.symmetric else 40)),
            tol=tolerance or float(jnp.finfo(operator.dtype).eps),
            maxiter=restarts,
            return_eigenvectors=vectors,
        )
    except linalg.ArpackNoConvergence as error:
        if vectors or not len(error.eigenvalues):
            raise
        warnings.warn(f"{len(error.eigenvalues)} of {k} eigenvalues ({which}) have converged", stacklevel=3)
        return error.eigenvalues


def _product(operator: Operator, v: np.ndarray) -> np.ndarray:
    """Returns A v in float64, computed in the operator's dtype."""
    return _finite(np.asarray(operator.apply(jnp.asarray(v.ravel(), operator.dtype)), np.float64))


def _finite(values: np.ndarray) -> np.ndarray:
    """Checks that all values are finite, and returns them."""
    if not np.isfinite(values).all():
        raise FloatingPointError("a Jacobian-vector product is not finite")
    return values
