"""How far vectors are from the exact eigenvectors: the metrics of the EigenGame papers.

Both sets are rows in order of decreasing eigenvalue; signs do not matter. Vectors need no unit norm.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

STREAK_ANGLE = math.pi / 8  # Gemp et al., ICLR 2021, section 5
_EACH = 16  # of so many vectors each angle and each eigenvalue is a metric of its own


def angles(vectors: jax.Array, exact: jax.Array) -> jax.Array:
    """Returns the angles between v_i and the i-th exact eigenvector, [k], radians in 0 .. pi / 2.

    By 2 arcsin of half the distance of the unit vectors, which is exact where the arc cosine is not: near
    0. Both are [k, d].
    """
    unit = vectors / jnp.linalg.norm(vectors, axis=1, keepdims=True)
    sign = jnp.where(jnp.sum(unit * exact, 1, keepdims=True) < 0, -1, 1)
    return 2 * jnp.arcsin(jnp.minimum(jnp.linalg.norm(unit - sign * exact, axis=1) / 2, 1))


def longest_streak(vectors: jax.Array, exact: jax.Array) -> jax.Array:
    """Counts the vectors, from the first on without a gap, that are within pi / 8 of the exact ones."""
    return jnp.sum(jnp.cumprod(angles(vectors, exact) <= STREAK_ANGLE))


def subspace_distance(vectors: jax.Array, exact: jax.Array) -> jax.Array:
    """Returns 1 - Tr(U* P) / k, in 0 .. 1.

    U* projects on the exact subspace, P on the span of the vectors.
    """
    basis, _ = jnp.linalg.qr(vectors.T)
    return jnp.maximum(1 - jnp.sum((exact @ basis) ** 2) / len(vectors), 0)  # rounding goes below


def comparison(vectors: jax.Array, exact: jax.Array) -> dict[str, jax.Array]:
    """Returns all of these metrics by name; both [k, d]."""
    each = angles(vectors, exact)
    return {
        "streak": longest_streak(vectors, exact),
        "subspace_distance": subspace_distance(vectors, exact),
        "largest_angle": each.max(),
        **{f"angle/{i + 1:02}": angle for i, angle in enumerate(each[:_EACH])},
    }


def of_each(quotients: np.ndarray) -> dict[str, float]:
    """Returns the Rayleigh quotients [k] of the first vectors by name."""
    return {f"eigenvalue/{i + 1:02}": value for i, value in enumerate(quotients[:_EACH])}


def largest_error(
    quotients: np.ndarray, eigenvalues: np.ndarray, scale: float | None = None
) -> dict[str, float]:
    """Returns {eigenvalue_error: the largest relative error of Rayleigh quotients}; both [k].

    Args:
      scale: the size of the whole spectrum; by default the largest of these eigenvalues.

    Returns:
      Eigenvalues that float32 cannot distinguish from 0 beside the scale do not count; nothing, where none
      does.
    """
    scale = np.abs(eigenvalues).max() if scale is None else scale
    counts = np.abs(eigenvalues) > np.finfo(np.float32).eps * scale
    if not counts.any():
        return {}
    return {"eigenvalue_error": float(np.abs(quotients[counts] / eigenvalues[counts] - 1).max())}
