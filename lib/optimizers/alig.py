"""ALI-G: the adaptive learning rate for interpolation with gradients.

    gamma = min((loss - lower_bound) / (||g||^2 + eps), max_lr)
    w <- projection(w - gamma g)

Where a model can fit every example, the least loss of any minibatch is lower_bound = 0, and gamma is the
step at which the loss's linear model reaches it.

Berrada, Zisserman, Kumar: Training neural networks for and by interpolation, ICML 2020, arXiv 1906.05661,
Algorithm 1.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from lib.errors import ConfigError
from lib.optimizers.checks import above_bound, check, check_bound, check_decays, check_given
from lib.optimizers.kind import Kind
from lib.optimizers.projection import Projection, l2_ball, projected
from lib.optimizers.trees import downhill, momentum_buffer, squared_norm


class AligState(NamedTuple):
    """What ALI-G remembers.

    Attributes:
      step_size: gamma of the last update, a scalar.
      buffer: b, like the parameters; empty without momentum.
    """

    step_size: jax.Array
    buffer: Any


def alig(
    learning_rate: ArrayLike,
    eps: ArrayLike = 1e-5,
    lower_bound: ArrayLike = 0.0,
    momentum: ArrayLike | None = None,
    adjusted: bool = False,
    capped: bool = True,
    max_norm: ArrayLike | None = None,
    projection: Projection | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Returns ALI-G, whose update takes the loss: `update(grads, opt_state, params, value=loss)`.

    The losses have no regularisers in them. Where one is below lower_bound, its step would go uphill: gamma
    is NaN then, so that the run stops there. `value` and the gradient are means over
    the whole minibatch, the same on all devices. Under `optax.masked` norms are of the chosen parameters
    alone. The paper projects the initial parameters too, which no `init` of optax can do; the games of this
    project do.

    Args:
      learning_rate: max_lr, the largest gamma.
      eps: keeps gamma small where the gradient vanishes.
      lower_bound: what the loss is measured from, and never falls below.
      momentum: mu, in [0, 1); None: no buffer at all. See `momentum_step`.
      adjusted: which form of momentum.
      capped: False takes gamma as it is, whatever learning_rate.
      max_norm: the largest L2 norm of all parameters together, instead of weight decay; None: any.
      projection: another set for the parameters than that ball. Under `optax.inject_hyperparams` it is one
        of the static_args, or it would be taken for a schedule.

    Raises:
      ConfigError: plain numbers that do not fit, or options that contradict one another.
      ValueError: by its update, without `value`, or with a projection and without `params`.
    """
    _check_numbers(learning_rate, eps, momentum, max_norm)
    check_bound(lower_bound)
    _check_options(momentum, adjusted, max_norm, projection)

    def init(params):
        buffer = momentum_buffer(params, momentum)
        return AligState(jnp.asarray(learning_rate, float), buffer)

    def update(grads, state, params=None, *, value=None, **extra):
        del params, extra
        check_given("alig", value=value)
        gamma = polyak_rate(value, grads, eps, lower_bound)
        gamma = (jnp.minimum(gamma, learning_rate) if capped else gamma).astype(float)
        if momentum is None:
            return downhill(gamma, grads), AligState(gamma, state.buffer)
        updates, buffer = momentum_step(gamma, grads, state.buffer, momentum, adjusted)
        return updates, AligState(gamma, buffer)

    transform = optax.GradientTransformationExtraArgs(init, update)
    if max_norm is not None:
        projection = l2_ball(max_norm)
    return transform if projection is None else projected(transform, projection)


ALIG = Kind(alig, chooses_rate=True, uncapped_by={"capped": False}, bounds_norm=True, bound="lower_bound")


def polyak_rate(
    loss: jax.Array, grads: Any, eps: ArrayLike = 0.0, lower_bound: ArrayLike = 0.0
) -> jax.Array:
    """Returns (loss - lower_bound) / (||g||^2 + eps), with one norm over all leaves.

    It is 0 where that divides by 0, and NaN where the loss is below its bound.
    """
    denominator = squared_norm(grads) + eps
    rate = jnp.where(denominator > 0, (loss - lower_bound) / jnp.where(denominator > 0, denominator, 1), 0)
    return above_bound(rate, loss, lower_bound)


def momentum_step(
    gamma: jax.Array, grads: Any, buffer: Any, momentum: ArrayLike, adjusted: bool
) -> tuple[Any, Any]:
    """Returns (u, b) of a step with Nesterov's momentum mu; the parameters move by u before the projection.

      standard:  b <- mu b - gamma g,    u = mu b - gamma g
      adjusted:  b <- mu b - g,          u = gamma (mu b - g)

    so that a small gamma slows all of an adjusted step, and only the newest gradient of a standard one.
    """
    into, out = (1, gamma) if adjusted else (gamma, 1)
    buffer = jax.tree.map(lambda b, g: (momentum * b - into * g).astype(b.dtype), buffer, grads)
    updates = jax.tree.map(lambda b, g: (out * momentum * b - gamma * g).astype(g.dtype), buffer, grads)
    return updates, buffer


def _check_numbers(
    learning_rate: ArrayLike, eps: ArrayLike, momentum: ArrayLike | None, max_norm: ArrayLike | None
) -> None:
    """Refuses plain numbers that do not fit."""
    check("learning_rate", learning_rate, lambda x: 0 < x < float("inf"), "a positive one, or capped=False")
    check("eps", eps, lambda x: x >= 0, "0 or more")
    check_decays(momentum=momentum)
    check("max_norm", max_norm, lambda x: x > 0, "a positive one, or None for any")


def _check_options(
    momentum: ArrayLike | None, adjusted: bool, max_norm: ArrayLike | None, projection: Projection | None
) -> None:
    """Refuses options that contradict one another."""
    if adjusted and momentum is None:
        raise ConfigError("is a form of momentum, and there is none; set momentum too", "adjusted")
    if projection is not None and not callable(projection):
        raise ConfigError(
            f"{projection!r} is no function of parameters; use max_norm, or one in Python", "projection"
        )
    if max_norm is not None and projection is not None:
        raise ConfigError("is a projection itself; use it or another projection, not both", "max_norm")
