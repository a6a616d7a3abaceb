"""DFW: Deep Frank-Wolfe, a proximal step on the loss's linear model with the optimal step in closed form.

    gamma = clip((loss - eta <delta, r>) / (eta ||delta||^2 + eps), 0, 1),    r = weight_decay w
    w <- w - eta (r + gamma delta)

delta is the gradient of a convex, piecewise linear loss of the network's outputs, as the multi-class hinge
is.

Berrada, Zisserman, Kumar: Deep Frank-Wolfe for neural network optimization, ICLR 2019, arXiv 1811.07591.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from lib.optimizers.checks import above_bound, check, check_bound, check_decays, check_given
from lib.optimizers.kind import Kind
from lib.optimizers.trees import inner, momentum_buffer, squared_norm


class DfwState(NamedTuple):
    """What DFW remembers.

    Attributes:
      step_size: eta gamma of the last update, a scalar.
      buffer: z, like the parameters; empty without momentum.
    """

    step_size: jax.Array
    buffer: Any


def dfw(
    learning_rate: ArrayLike,
    momentum: ArrayLike | None = None,
    weight_decay: ArrayLike = 0.0,
    lower_bound: ArrayLike = 0.0,
    eps: ArrayLike = 1e-5,
) -> optax.GradientTransformationExtraArgs:
    """Returns DFW, whose update takes the loss without regularisers: `update(.., params, value=loss)`.

    With momentum mu:  z <- mu z - eta gamma (delta + r),    w <- w - eta (r + gamma delta) + mu z.

    Args:
      learning_rate: eta, the largest rate.
      momentum: mu, in [0, 1); None: no buffer at all.
      weight_decay: of the proximal problem; not in the loss.
      lower_bound: what the loss is measured from, and never falls below; gamma is NaN where it does.
      eps: keeps gamma finite where the gradient vanishes.

    Raises:
      ConfigError: plain numbers that do not fit.
      ValueError: by its update, without `value` or `params`.
    """
    check("learning_rate", learning_rate, lambda x: 0 < x < float("inf"), "a positive one")
    check_decays(momentum=momentum)
    check("weight_decay", weight_decay, lambda x: x >= 0, "0 or more")
    check("eps", eps, lambda x: x > 0, "a positive one")
    check_bound(lower_bound)

    def init(params):
        buffer = momentum_buffer(params, momentum)
        return DfwState(jnp.asarray(learning_rate, float), buffer)

    def update(grads, state, params=None, *, value=None, **extra):
        del extra
        check_given("dfw", params=params, value=value)
        decay = jax.tree.map(lambda w: (weight_decay * w).astype(w.dtype), params)
        gap = value - lower_bound - learning_rate * inner(grads, decay)
        gamma = jnp.clip(gap / (learning_rate * squared_norm(grads) + eps), 0, 1)
        gamma = above_bound(gamma, value, lower_bound)
        rate = jnp.asarray(learning_rate * gamma, float)
        updates = jax.tree.map(lambda g, r: -(learning_rate * r + rate * g).astype(g.dtype), grads, decay)
        if momentum is None:
            return updates, DfwState(rate, state.buffer)
        buffer = jax.tree.map(
            lambda z, g, r: (momentum * z - rate * (g + r)).astype(z.dtype), state.buffer, grads, decay
        )
        updates = jax.tree.map(lambda u, z: u + (momentum * z).astype(u.dtype), updates, buffer)
        return updates, DfwState(rate, buffer)

    return optax.GradientTransformationExtraArgs(init, update)


DFW = Kind(dfw, chooses_rate=True, bound="lower_bound")
