"""A step of gamma-EigenGame, or down the Eckart-Young loss: products -> direction, utility -> ascent."""

from typing import Any

import jax
import jax.numpy as jnp

from lib.eigengame.ascent import ascend, normalized
from lib.eigengame.generalized.auxiliary import Auxiliary, updated
from lib.eigengame.generalized.directions import direction, eckart_young, utility
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
    ordered: bool = True,
) -> tuple[jax.Array, Any, Auxiliary, dict[str, jax.Array]]:
    """Makes one step of this device's players on its rows of a batch.

    Args:
      problem: A and B.
      optimizer: of each player; it gets the player's `value`, -u_i.
      vectors: [l, d], of norm 1 where players are ordered.
      opt_state: of this device's players, see `lib.eigengame.initial_optimizers`.
      auxiliary: of this device's players.
      rows: [b, d], centred if they ought to be; b is even.
      gamma: the share of this batch in the running means.
      unbiased: whether A and B of a direction are of different halves of the batch; else of all of it.
      ordered: whether players have parents, as gamma-EigenGame's; else they descend the Eckart-Young loss.

    Returns:
      (vectors, opt_state, auxiliary, {utility: the mean of u_i, learning_rate: its mean over players}).
    """
    halves = products(problem, vectors, rows)
    p = whole_batch(halves)
    u = utility(p)
    pair = halves if unbiased else (p, p)
    if ordered:
        upwards = direction(pair, jax.tree.map(all_players, auxiliary))
    else:
        upwards = eckart_young(pair)
    moved, opt_state, rate = ascend(optimizer, vectors, opt_state, upwards, -u)
    metrics = {"utility": pmean(jnp.mean(u)), "learning_rate": rate}
    new = normalized(moved) if ordered else moved
    return new, opt_state, updated(auxiliary, p, gamma), metrics
