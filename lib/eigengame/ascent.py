"""How players begin and how they move: each has a vector and an optimiser of its own.

So optimisers that use norms or inner products take the same steps on any number of devices.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from lib.optimizers import Optimizer
from lib.runtime.devices import pmean


def normalized(vectors: jax.Array) -> jax.Array:
    """Returns v_i / ||v_i||, [l, d]."""
    return vectors / jnp.linalg.norm(vectors, axis=1, keepdims=True)


def initial_vectors(key: jax.Array, k: int, d: int) -> jax.Array:
    """Draws k unit vectors in random directions, float32 [k, d]."""
    return normalized(jax.random.normal(key, (k, d), jnp.float32))


@functools.partial(jax.jit, static_argnums=0)
def initial_optimizers(optimizer: Optimizer, vectors: jax.Array) -> Any:
    """Returns the optimiser states of all players; every leaf has a leading axis k."""
    return jax.vmap(optimizer.init)(vectors)


def ascend(
    optimizer: Optimizer, vectors: jax.Array, opt_state: Any, direction: jax.Array, value: jax.Array
) -> tuple[jax.Array, Any, jax.Array]:
    """Moves every player's vector by its own optimiser.

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
