"""EigenGame and its relatives as one scheme: a direction, any optimiser, a retraction.

    v_i <- retract(v_i + optimiser(direction_i))

Every player has an optimiser of its own, so that rules that look at norms or inner products are the same on any
number of devices.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lib.eigengame import directions
from lib.eigengame.products import Products, all_players, own_players, products
from lib.optimizers import Optimizer
from lib.runtime.devices import pmean, psum


class Rule(NamedTuple):
    """How players move.

    Attributes:
      direction: `(Products) -> [l, d]`, to ascend.
      retract: `(own vectors [l, d]) -> [l, d]`, after the optimiser's step.
      on_sphere: whether each player lives on the unit sphere, so that its direction may be projected on it.
    """

    direction: Callable[[Products], jax.Array]
    retract: Callable[[jax.Array], jax.Array]
    on_sphere: bool = False


def _free(vectors: jax.Array) -> jax.Array:
    return vectors


def normalized(vectors: jax.Array) -> jax.Array:
    """v_i / ||v_i||, [l, d]."""
    return vectors / jnp.linalg.norm(vectors, axis=1, keepdims=True)


def _orthonormalized(vectors: jax.Array) -> jax.Array:
    """[l, d]: the own ones of all players' vectors after Gram-Schmidt in their order, by a QR decomposition."""
    q, r = jnp.linalg.qr(all_players(vectors).T)
    basis = (
        q * jnp.where(jnp.diagonal(r) < 0, -1, 1)[None]
    ).T  # QR's signs are arbitrary: keep the vectors'
    return own_players(basis, len(vectors))


RULES = {
    "mu": Rule(directions.mu, normalized, on_sphere=True),
    "alpha": Rule(directions.alpha, normalized, on_sphere=True),
    "oja": Rule(directions.reward, _orthonormalized),
    "sanger": Rule(directions.sanger, _free),
}


def initial_vectors(key: jax.Array, k: int, d: int) -> jax.Array:
    """k unit vectors in random directions, float32 [k, d]."""
    return normalized(jax.random.normal(key, (k, d), jnp.float32))


def initial_optimizers(optimizer: Optimizer, vectors: jax.Array) -> Any:
    """The optimiser states of all players; every leaf has a leading axis k."""
    return jax.vmap(optimizer.init)(vectors)


def ascend(
    optimizer: Optimizer, vectors: jax.Array, opt_state: Any, direction: jax.Array, value: jax.Array
) -> tuple[jax.Array, Any, jax.Array]:
    """Every player's own optimiser moves its vector.

    Args:
      optimizer: it minimises.
      vectors: [l, d].
      opt_state: of these players, see `initial_optimizers`.
      direction: [l, d], to ascend.
      value: [l], what goes down.

    Returns:
      (vectors, opt_state, the mean over all players of the learning rates that were used).
    """

    def move(vector, state, gradient, value):
        updates, state = optimizer.update(gradient, state, vector, value=value, grad=gradient)
        return vector + updates, state

    vectors, moved = jax.vmap(move)(vectors, opt_state, -direction, value)
    return vectors, moved, pmean(jnp.mean(jax.vmap(optimizer.used_rate)(opt_state, moved)))


def step(
    rule: Rule,
    optimizer: Optimizer,
    vectors: jax.Array,
    opt_state: Any,
    rows: jax.Array,
    *,
    riemannian: bool = False,
    groups: int = 0,
) -> tuple[jax.Array, Any, dict[str, jax.Array]]:
    """One step of this device's players on its rows of a batch.

    Args:
      rule: one of RULES.
      optimizer: of each player; it is told the player's `value`, E||x||^2 - u_i, never negative for unit vectors.
      vectors: [l, d].
      opt_state: of this device's players, see `initial_optimizers`.
      rows: [b, d], centred if they ought to be.
      riemannian: project directions on the sphere's tangent space; for rules `on_sphere`.
      groups: see `lib.eigengame.products`.

    Returns:
      (vectors, opt_state, {utility: sum_i u_i / E||x||^2, learning_rate: the mean over players}).
    """
    p = products(vectors, rows, groups)
    direction = rule.direction(p)
    if riemannian:
        direction = directions.tangential(direction, vectors)
    utility = directions.utility(p)
    variance = pmean(jnp.mean(jnp.sum(rows**2, 1)))
    moved, opt_state, rate = ascend(optimizer, vectors, opt_state, direction, variance - utility)
    metrics = {"utility": psum(jnp.sum(utility)) / variance, "learning_rate": rate}
    return rule.retract(moved), opt_state, metrics
