"""Optimisers whose parameters stay in a set: after every update they are projected back onto it."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import optax
from jax.typing import ArrayLike

from lib.optimizers.checks import check_given

Projection = Callable[[Any], Any]  # parameters to the nearest ones of a set


def identity(params: Any) -> Any:
    """Returns the parameters as they are: the projection where all parameters are allowed."""
    return params


def l2_ball(max_norm: ArrayLike) -> Projection:
    """Returns the projection onto a ball, with one norm of all parameters together.

    w <- w min(1, max_norm / ||w||)
    """
    return functools.partial(optax.projections.projection_l2_ball, scale=max_norm)


def projected(
    transform: optax.GradientTransformation, projection: Projection
) -> optax.GradientTransformationExtraArgs:
    """Returns an optimiser followed by a projection: w <- projection(w + u), u being its own update.

    It is the last of a chain, for what comes later would leave the set; under `optax.masked` it sees the
    chosen parameters alone. The initial parameters are the caller's: start from `projection(params)`.

    Raises:
      ValueError: by its update, without `params`.
    """
    transform = optax.with_extra_args_support(transform)

    def update(grads, state, params=None, **extra):
        check_given("a projection", params=params)
        updates, state = transform.update(grads, state, params, **extra)
        nearest = projection(optax.apply_updates(params, updates))
        return jax.tree.map(lambda new, old: new - old, nearest, params), state

    return optax.GradientTransformationExtraArgs(transform.init, update)
