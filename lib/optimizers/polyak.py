"""Relatives of ALI-G: the stochastic Polyak step size, by optax, with the rate that it chose.

Loizou, Vaswani, Laradji, Lacoste-Julien: Stochastic Polyak step-size for SGD, AISTATS 2021, arXiv
2002.10542.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from lib.optimizers.checks import above_bound, check, check_bound, check_given
from lib.optimizers.kind import Kind
from lib.optimizers.trees import inner, squared_norm


class PolyakState(NamedTuple):
    """The rate of the last update, a scalar, and the state of the optimiser that chose it."""

    step_size: jax.Array
    inner_state: optax.OptState


def polyak_sgd(
    learning_rate: ArrayLike, lower_bound: ArrayLike = 0.0, eps: ArrayLike = 0.0, variant: str = "sps"
) -> optax.GradientTransformationExtraArgs:
    """Returns `optax.polyak_sgd`, given f as `value`, with its rate in the state.

    gamma = min((f - lower_bound) / (||g||^2 + eps), learning_rate), NaN where f is below lower_bound

    Args:
      learning_rate: the largest gamma.
      lower_bound: what a minibatch's loss is measured from, and never falls below.
      eps: keeps gamma small where the gradient vanishes.
      variant: of optax's: "sps", or "sps+", whose gamma is 0 where f is below lower_bound.

    Raises:
      ConfigError: plain numbers that do not fit.
    """
    check("learning_rate", learning_rate, lambda x: x > 0, "a positive one")
    check("eps", eps, lambda x: x >= 0, "0 or more")
    check_bound(lower_bound)
    transform = optax.polyak_sgd(learning_rate, 1.0, lower_bound, eps, variant)
    least = lower_bound if variant == "sps" else -jnp.inf  # sps+ takes the rate 0 there
    return _recorded("polyak_sgd", learning_rate, transform, least)


def sps_max(
    learning_rate: ArrayLike, c: ArrayLike = 0.5, lower_bound: ArrayLike = 0.0
) -> optax.GradientTransformationExtraArgs:
    """Returns SPS_max (Equation 3), given f as `value`.

    gamma = min((f - lower_bound) / (c ||g||^2), learning_rate), NaN where f is below lower_bound

    Args:
      learning_rate: gamma_b, the largest gamma.
      c: 1/2 is best for convex losses; 0.2 is what the paper's networks have.
      lower_bound: what a minibatch's loss is measured from, and never falls below.

    Raises:
      ConfigError: plain numbers that do not fit.
    """
    check("learning_rate", learning_rate, lambda x: x > 0, "a positive one")
    check("c", c, lambda x: x > 0, "a positive one")
    check_bound(lower_bound)
    scaled = optax.scale_by_polyak(f_min=lower_bound, max_learning_rate=c * learning_rate)
    return _recorded("sps_max", learning_rate, optax.chain(scaled, optax.scale(-1 / c)), lower_bound)


POLYAK_SGD = Kind(polyak_sgd, chooses_rate=True, bound="lower_bound")
SPS_MAX = Kind(sps_max, chooses_rate=True, bound="lower_bound")


def _recorded(
    name: str,
    learning_rate: ArrayLike,
    transform: optax.GradientTransformationExtraArgs,
    lower_bound: ArrayLike,
) -> optax.GradientTransformationExtraArgs:
    """Returns an optimiser whose updates are u = -gamma g, with gamma = -<u, g> / ||g||^2 in its state.

    Both are NaN where the loss is below its bound.
    """

    def init(params):
        return PolyakState(jnp.asarray(learning_rate, float), transform.init(params))

    def update(grads, state, params=None, *, value=None, **extra: Any):
        check_given(name, value=value)
        updates, inner_state = transform.update(grads, state.inner_state, params, value=value, **extra)
        squared = squared_norm(grads)
        gamma = -inner(updates, grads) / jnp.where(squared > 0, squared, 1)
        gamma = above_bound(gamma, value, lower_bound)
        updates = jax.tree.map(lambda u: jnp.where(jnp.isnan(gamma), gamma.astype(u.dtype), u), updates)
        return updates, PolyakState(gamma.astype(float), inner_state)

    return optax.GradientTransformationExtraArgs(init, update)
