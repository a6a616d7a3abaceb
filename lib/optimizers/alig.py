"""ALI-G: the adaptive learning rate for interpolation with gradients.

    gamma = min(loss / (||g||^2 + eps), max_lr)
    w <- projection(w - gamma g)

Where a model can fit every example, the least loss of any minibatch is 0, and gamma is the step at which the
loss's linear model reaches it.

Berrada, Zisserman, Kumar: Training neural networks for and by interpolation, ICML 2020, arXiv 1906.05661,
Algorithm 1.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from lib.optimizers.checks import check, check_given
from lib.optimizers.projection import Projection, l2_ball, projected
from lib.optimizers.trees import downhill, squared_norm


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
    momentum: ArrayLike | None = None,
    adjusted: bool = False,
    capped: bool = True,
    max_norm: ArrayLike | None = None,
    projection: Projection | None = None,
) -> optax.GradientTransformationExtraArgs:
    """ALI-G, whose update is told the loss: `update(grads, opt_state, params, value=loss)`.

    With momentum mu the parameters move, before the projection, by

      standard:  b <- mu b - gamma g,    w <- w - gamma g + mu b
      adjusted:  b <- mu b - g,          w <- w - gamma g + gamma mu b

    so that a small gamma slows all of an adjusted step, and only the newest gradient of a standard one.

    Args:
      learning_rate: max_lr, the largest gamma.
      eps: keeps gamma small where the gradient vanishes.
      momentum: mu, in [0, 1); None: no buffer at all.
      adjusted: which form of momentum.
      capped: False takes gamma as it is, whatever learning_rate.
      max_norm: the largest L2 norm of all parameters together, instead of weight decay; None: any.
      projection: another set for the parameters than that ball. Under `optax.inject_hyperparams` it is one of
        the static_args, or it would be taken for a schedule.

    Returns:
      An optimiser for losses that are never negative, without regularisers in them. `value` and the gradient
      are means over the whole minibatch, the same on all devices. Under `optax.masked` norms are of the chosen
      parameters alone. The paper projects the initial parameters too, which no `init` of optax can do; the
      games of this project do.

    Raises:
      ValueError: plain numbers that do not fit, or options that contradict one another; by its update, without
        `value`, or with a projection and without `params`.
    """
    check("learning_rate", learning_rate, lambda x: 0 < x < float("inf"), "a positive one, or capped=False")
    check("eps", eps, lambda x: x >= 0, "0 or more")
    check("momentum", momentum, lambda x: 0 <= x < 1, "0 or more, below 1")
    check("max_norm", max_norm, lambda x: x > 0, "a positive one, or None for any")
    if adjusted and momentum is None:
        raise ValueError("adjusted: is a form of momentum, and there is none; set momentum too")
    if projection is not None and not callable(projection):
        raise ValueError(
            f"projection: {projection!r} is no function of parameters; use max_norm, or one in Python"
        )
    if max_norm is not None and projection is not None:
        raise ValueError("max_norm: is a projection itself; use it or another projection, not both")

    def init(params):
        buffer = optax.EmptyState() if momentum is None else optax.tree.zeros_like(params)
        return AligState(jnp.asarray(learning_rate, float), buffer)

    def update(grads, state, params=None, *, value=None, **extra):
        del params, extra
        check_given("alig", value=value)
        gamma = polyak_rate(value, grads, eps)
        gamma = (jnp.minimum(gamma, learning_rate) if capped else gamma).astype(float)
        if momentum is None:
            return downhill(gamma, grads), AligState(gamma, state.buffer)
        into, out = (1, gamma) if adjusted else (gamma, 1)
        buffer = jax.tree.map(lambda b, g: (momentum * b - into * g).astype(b.dtype), state.buffer, grads)
        updates = jax.tree.map(lambda b, g: (out * momentum * b - gamma * g).astype(g.dtype), buffer, grads)
        return updates, AligState(gamma, buffer)

    transform = optax.GradientTransformationExtraArgs(init, update)
    if max_norm is not None:
        projection = l2_ball(max_norm)
    return transform if projection is None else projected(transform, projection)


def polyak_rate(loss: jax.Array, grads: Any, eps: ArrayLike) -> jax.Array:
    """loss / (||g||^2 + eps) with one norm over all leaves; 0 where that divides by 0."""
    denominator = squared_norm(grads) + eps
    return jnp.where(denominator > 0, loss / jnp.where(denominator > 0, denominator, 1), 0)
