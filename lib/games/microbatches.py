"""Large batches in parts: their loss is the mean of the parts' losses, computed one after another.

    L(theta; B) = 1/m sum_i L(theta; B_i)

Gradients of it, of any order, are sums over the parts in their order, and need the memory of one part: its
forward pass is repeated where a derivative needs it. So full-batch gradient descent, its sharpness and its
regularisers are of data whose activations do not fit in memory at once.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lib.errors import ConfigError
from lib.games.game import Aux, Game, Head


def in_microbatches(game: Game, size: int) -> Game:
    """Returns a game whose losses see `size` examples at once; 0: all, the game itself.

    Parts have keys of their own, and networks that normalise by a batch see one part of it. The new
    net_state, and the metrics, are means over the parts.

    Args:
      size: divides the number of examples, the first axis of the batch's leaves.

    Raises:
      ConfigError: it does not; when losses are traced.
    """
    if not size:
        return game

    def losses(params, net_state, batch, key):
        def one(part: Any, key: jax.Array):
            return game.losses(params, net_state, part, key)

        values, (states, metrics) = _each(one, batch, key, size)
        return _means(values), Aux(_means(states), _means(metrics))

    def outputs(params, net_state, batch, key):
        def one(part: Any, key: jax.Array):
            return game.head.outputs(params, net_state, part, key)

        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), _each(one, batch, key, size))

    return game._replace(losses=losses, head=game.head and Head(outputs, game.head.losses))


def _each(function: Callable, batch: Any, key: jax.Array, size: int) -> Any:
    """Returns a function's results of all parts, leaves [m, ...]; one part's memory is in use at a time."""
    n = len(jax.tree.leaves(batch)[0])
    if n % size:
        raise ConfigError(f"{size} does not divide {n} examples", "microbatch")
    m = n // size
    parts = jax.tree.map(lambda x: x.reshape(m, size, *x.shape[1:]), batch)
    return jax.lax.map(jax.checkpoint(lambda x: function(*x)), (parts, jax.random.split(key, m)))


def _means(tree: Any) -> Any:
    """Returns means over the first axis; of numbers that are not floating-point the first."""
    return jax.tree.map(lambda x: x.mean(0) if jnp.issubdtype(x.dtype, jnp.floating) else x[0], tree)
