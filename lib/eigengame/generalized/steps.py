"""A step of gamma-EigenGame: products -> direction, utility -> ascent, normalisation."""

from typing import Any

import jax
import jax.numpy as jnp

from lib.eigengame.ascent import ascend, normalized
from lib.eigengame.generalized.auxiliary import Auxiliary, updated
from lib.eigengame.generalized.directions import direction, utility
from lib.eigengame.generalized.problems import Problem
from lib.eigengame.generalized.products import products, whole_batch
from lib.eigengame.players import all_players
from lib.optimizers import Optimizer
from lib.runtime.devices import pmean


def step(
    problem: Problem,
    optimizer: Optimizer,
    vectors: jax.Array,
    opt_state: Any,
    auxiliary: Auxiliary,
    rows: jax.Array,
    *,
    gamma: float,
    unbiased: bool = True,
) -> tuple[jax.Array, Any, Auxiliary, dict[str, jax.Array]]:
    """Makes one step of this device's players on its rows of a batch.

    Args:
      problem: A and B.
      optimizer: of each player; it gets the player's `value`, -u_i.
      vectors: [l, d], of norm 1.
      opt_state: of this device's players, see `lib.eigengame.initial_optimizers`.
      auxiliary: of this device's players.
      rows: [b, d], centred if they ought to be; b is even.
      gamma: the share of this batch in the running means.
      unbiased: whether A and B of a direction are of different halves of the batch; else of all of it.

    Returns:
      (vectors, opt_state, auxiliary, {utility: the mean of u_i, learning_rate: its mean over players}).
    """
    halves = products(problem, vectors, rows)
    p = whole_batch(halves)
    u = utility(p)
    parents = jax.tree.map(all_players, auxiliary)
    upwards = direction(halves if unbiased else (p, p), parents)
    moved, opt_state, rate = ascend(optimizer, vectors, opt_state, upwards, -u)
    metrics = {"utility": pmean(jnp.mean(u)), "learning_rate": rate}
    return normalized(moved), opt_state, updated(auxiliary, p, gamma), metrics
