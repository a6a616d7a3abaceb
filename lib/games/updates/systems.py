"""Linear systems inside a step: iterations by products alone, whatever the size of the right side."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.sparse import linalg


def solve(product: Callable[[Any], Any], right: Any, products: int, *, definite: bool = False) -> Any:
    """Solves A x = b, by GMRES or, of a symmetric positive A, by conjugate gradients.

    The iterations have absolute thresholds, and squares that underflow: they get b of largest entry 1. So
    steps near an equilibrium, where b is tiny, are as good as others.

    Args:
      product: A's product with a pytree like b.
      right: b.
      products: the most products.
      definite: whether A is symmetric and has no negative eigenvalue.

    Returns:
      x, like b; zeros where b is zero, and where the iteration breaks down since A is singular.
    """

    def scaled(product: Callable, right: Any) -> Any:
        size = jnp.max(jnp.stack([jnp.abs(b).max() for b in jax.tree.leaves(right)]))
        scale = jnp.where(size > 0, size, 1.0)
        unit = jax.tree.map(lambda b: b / scale, right)
        if definite:
            x, _ = linalg.cg(product, unit, maxiter=products)
        else:
            x, _ = linalg.gmres(product, unit, restart=products, maxiter=1, solve_method="incremental")
        whole = jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(x)]))
        return jax.tree.map(lambda leaf: jnp.where(whole, scale * leaf, 0.0), x)

    return jax.lax.custom_linear_solve(
        product, right, solve=scaled, transpose_solve=scaled, symmetric=definite
    )
