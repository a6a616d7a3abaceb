"""A step of the game of principal components: products -> direction, utility -> ascent, retraction."""

from typing import Any

import jax
import jax.numpy as jnp

from lib.eigengame.ascent import ascend
from lib.eigengame.pca.directions import tangential, utility
from lib.eigengame.pca.products import Products, products
from lib.eigengame.pca.rules import PcaRule
from lib.optimizers import Optimizer
from lib.runtime.devices import psum


def step(
    rule: PcaRule,
    optimizer: Optimizer,
    vectors: jax.Array,
    opt_state: Any,
    rows: jax.Array,
    *,
    riemannian: bool = False,
    groups: int = 0,
    maximize: bool = True,
) -> tuple[jax.Array, Any, dict[str, jax.Array]]:
    """Makes one step of this device's players on its rows of a batch.

    Args:
      rule: one of PCA_RULES.
      optimizer: of each player; it gets the player's `value`, E||x||^2 - u_i, never negative for unit
        vectors.
      vectors: [l, d].
      opt_state: of this device's players, see `lib.eigengame.initial_optimizers`.
      rows: [b, d], centred if they ought to be.
      riemannian: project directions on the sphere's tangent space; for rules `on_sphere`.
      groups: see `lib.eigengame.pca.products`.
      maximize: whether the first components are sought, or the last: see there, too.

    Returns:
      (vectors, opt_state, {utility: sum_i u_i / E||x||^2, learning_rate: the mean over players}).
    """
    p = products(vectors, rows, groups, maximize=maximize)
    direction = rule.direction(p)
    return move(rule, optimizer, opt_state, p, tangential(direction, vectors) if riemannian else direction)


def move(
    rule: PcaRule, optimizer: Optimizer, opt_state: Any, p: Products, direction: jax.Array
) -> tuple[jax.Array, Any, dict[str, jax.Array]]:
    """Moves this device's players along a direction [l, d]; arguments and results as of `step`."""
    u = utility(p)
    moved, opt_state, rate = ascend(optimizer, p.players.own, opt_state, direction, p.total_variance - u)
    metrics = {"utility": psum(jnp.sum(u)) / p.total_variance, "learning_rate": rate}
    return rule.retract(moved), opt_state, metrics
