"""Symplectic gradient adjustment.

Balduzzi et al., 'The Mechanics of n-Player Differentiable Games', ICML 2018.

With the joint gradient xi = (grad_x L_x)_x, its Jacobian J and J's antisymmetric part A = (J - J^T) / 2,
the players follow

    xi + lambda s A^T xi,    s = sign(<xi, grad H> <A^T xi, grad H> / d + epsilon),    H = 1/2 ||xi||^2

instead of xi: the alignment s (Algorithm 1, d parameters in all) makes the adjustment attract to stable
equilibria and repel from unstable ones. Neither matrix is formed. In the terms of
lib/games/regularizers.py,

    (J^T xi)_x = sum_y (d/dtheta_y)(grad_x L_y) v_y = self_norm + other_norm      = grad_x H
    (J xi)_x   = sum_y (d/dtheta_y)(grad_x L_x) v_y = self_norm + other_dot_prod
    (A^T xi)_x = 1/2 (other_norm - other_dot_prod)

so each is a few directional derivatives of gradients, forward over reverse. In a zero-sum game
other_dot_prod is -other_norm, and A^T xi the regulariser other_norm.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from lib.games.drift import Coefficients

A_TRANSPOSED_XI = Coefficients(self_norm=0.0, other_norm=0.5, other_dot_prod=-0.5)
GRAD_H = Coefficients(self_norm=1.0, other_norm=1.0, other_dot_prod=0.0)
EPSILON = 0.1  # of the paper: where the products vanish, the adjustment is on


def alignment(xi: Any, adjustment: Any, grad_h: Any) -> jax.Array:
    """Returns the sign s of the adjustment, -1 or 1.

    Args:
      xi: the joint gradient, {player: pytree}; like the others the same on all devices.
      adjustment: A^T xi, like xi.
      grad_h: grad H, like xi.
    """
    size = sum(leaf.size for leaf in jax.tree.leaves(xi))
    product = _dot(xi, grad_h) * _dot(adjustment, grad_h) / size
    return jnp.where(product + EPSILON >= 0, 1.0, -1.0)


def _dot(a: Mapping[str, Any], b: Mapping[str, Any]) -> jax.Array:
    """Returns the inner product of two pytrees."""
    products = jax.tree.map(lambda x, y: jnp.sum(x * y), a, b)
    return sum(jax.tree.leaves(products))
