"""BPGrad: steps as long as the loss, over a Lipschitz constant L, allows without passing a minimum of 0.

    v <- mu v - loss / (L ||g||) g,    w <- w + v

This is Algorithm 1 with N = 1, as its authors advise, where the estimate of the least loss is lower_bound.

Zhang, Wu, Wang: BPGrad: towards global optimality in deep learning via branch and pruning, CVPR 2018, arXiv
1711.06959.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from lib.optimizers.checks import above_bound, check, check_bound, check_decays, check_given
from lib.optimizers.kind import Kind
from lib.optimizers.trees import downhill, momentum_buffer, squared_norm


class BpgradState(NamedTuple):
    """The rate loss / (L ||g||) of the last update, a scalar, and v; empty without momentum."""

    step_size: jax.Array
    buffer: Any


def bpgrad(
    learning_rate: ArrayLike,
    momentum: ArrayLike | None = None,
    lower_bound: ArrayLike = 0.0,
    eps: ArrayLike = 1e-5,
) -> optax.GradientTransformationExtraArgs:
    """Returns BPGrad, whose update takes the loss: `update(grads, opt_state, params, value=loss)`.

    Args:
      learning_rate: 1 / L.
      momentum: mu, in [0, 1); None: no buffer at all.
      lower_bound: what the loss is measured from, and never falls below; the rate is NaN where it does.
      eps: is added to ||g||.

    Raises:
      ConfigError: plain numbers that do not fit.
      ValueError: by its update, without `value`.
    """
    check("learning_rate", learning_rate, lambda x: 0 < x < float("inf"), "a positive one")
    check_decays(momentum=momentum)
    check("eps", eps, lambda x: x > 0, "a positive one")
    check_bound(lower_bound)

    def init(params):
        buffer = momentum_buffer(params, momentum)
        return BpgradState(jnp.asarray(learning_rate, float), buffer)

    def update(grads, state, params=None, *, value=None, **extra):
        del params, extra
        check_given("bpgrad", value=value)
        rate = learning_rate * (value - lower_bound) / (jnp.sqrt(squared_norm(grads)) + eps)
        rate = above_bound(rate, value, lower_bound).astype(float)
        updates = downhill(rate, grads)
        if momentum is None:
            return updates, BpgradState(rate, state.buffer)
        v = jax.tree.map(lambda v, u: (momentum * v + u).astype(v.dtype), state.buffer, updates)
        return v, BpgradState(rate, v)

    return optax.GradientTransformationExtraArgs(init, update)


BPGRAD = Kind(bpgrad, chooses_rate=True, bound="lower_bound")
