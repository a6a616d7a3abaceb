"""Norms and steps of trees of parameters, summed in the default floating-point type."""

from typing import Any

import jax
import jax.numpy as jnp
import optax


def inner(x: Any, y: Any) -> jax.Array:
    """Returns <x, y> over all leaves."""
    return optax.tree.vdot(optax.tree.cast(x, float), optax.tree.cast(y, float))


def squared_norm(tree: Any) -> jax.Array:
    """Returns ||x||^2 over all leaves."""
    return optax.tree.norm(optax.tree.cast(tree, float), squared=True)


def polar(tree: Any) -> tuple[jax.Array, Any]:
    """Returns (||x||, x / ||x||) over all leaves.

    Right also where the squares of components are too small or too large for their type. The direction of 0
    is 0.
    """
    largest = optax.tree.max(jax.tree.map(jnp.abs, tree)).astype(float)
    unit = jnp.where(largest > 0, largest, 1)
    scaled = jax.tree.map(lambda x: x.astype(float) / unit, tree)
    length = jnp.sqrt(squared_norm(scaled))
    direction = jax.tree.map(lambda x, y: (y / jnp.maximum(length, 1)).astype(x.dtype), tree, scaled)
    return length * largest, direction


def momentum_buffer(params: Any, momentum: Any) -> Any:
    """Returns the buffer to begin with: zeros like the parameters; empty where there is no momentum."""
    return optax.EmptyState() if momentum is None else optax.tree.zeros_like(params)


def written_over(old: Any, new: Any, rate: jax.Array) -> Any:
    """Returns the new direction, to be kept in the place of the old one; the old one where the rate is NaN.

    As a choice between the two, XLA writes the new direction where the old one is, without a copy.
    """
    return jax.tree.map(lambda new, old: jnp.where(rate == rate, new, old), new, old)


def downhill(rate: jax.Array, grads: Any) -> Any:
    """Returns -rate g, in the types of g, a gradient or another direction."""
    return jax.tree.map(lambda g: (-rate).astype(g.dtype) * g, grads)
