"""L4: steps along a direction v to a fixed share of what is left of the loss, by its linear model.

    rate = alpha (loss - gamma least) / (<g, v> + eps),    theta <- theta - rate v
    least <- min(least, loss);  after the step  least <- (1 + tau) least

g is the mean of the last gradients, bias corrected; v is g itself (L4Mom), or Adam's direction (L4Adam).
`least` follows the smallest loss, forgets it over 1 / tau steps, and begins at 3/4 of the first one.

Rolinek, Martius: L4: practical loss-based stepsize adaptation for deep learning, NeurIPS 2018, arXiv
1802.05074, Algorithm 1.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from lib.optimizers.checks import above_bound, check, check_bound, check_decays, check_given
from lib.optimizers.kind import Kind
from lib.optimizers.trees import downhill, inner

_FIRST = 0.75  # gamma_0: the share of the first loss that `least` begins with


class L4State(NamedTuple):
    """What L4 remembers: the rate and the least loss so far, scalars, and the state of the direction."""

    step_size: jax.Array
    count: jax.Array
    least: jax.Array
    direction: optax.OptState


def l4_mom(
    learning_rate: ArrayLike,
    momentum: ArrayLike = 0.9,
    gamma: ArrayLike = 0.9,
    tau: ArrayLike = 1e-3,
    lower_bound: ArrayLike = 0.0,
    eps: ArrayLike = 1e-12,
) -> optax.GradientTransformationExtraArgs:
    """Returns L4Mom, whose update takes the loss: `update(grads, opt_state, params, value=loss)`.

    Args:
      learning_rate: alpha, 0.15 in the paper.
      momentum: the decay of the mean of gradients.
      gamma: the share of the least loss that is aimed at.
      tau: how fast that is forgotten.
      lower_bound: what the loss is measured from, and never falls below; the rate is NaN where it does.
      eps: keeps the rate finite where the gradient vanishes.

    Raises:
      ConfigError: plain numbers that do not fit.
      ValueError: by its update, without `value`.
    """
    check_decays(momentum=momentum)
    return _l4("l4_mom", learning_rate, momentum, None, gamma, tau, lower_bound, eps)


def l4_adam(
    learning_rate: ArrayLike,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    gamma: ArrayLike = 0.9,
    tau: ArrayLike = 1e-3,
    lower_bound: ArrayLike = 0.0,
    eps: ArrayLike = 1e-12,
) -> optax.GradientTransformationExtraArgs:
    """Returns L4Adam, whose direction is mhat / (sqrt(vhat) + 1e-8).

    Args:
      b1, b2: the decay of the means of g and g^2.
      learning_rate, gamma, tau, lower_bound, eps: as of `l4_mom`.

    Raises:
      ConfigError, ValueError: as `l4_mom`.
    """
    check_decays(b1=b1, b2=b2)
    return _l4("l4_adam", learning_rate, b1, b2, gamma, tau, lower_bound, eps)


L4_MOM = Kind(l4_mom, chooses_rate=True, bound="lower_bound")
L4_ADAM = Kind(l4_adam, chooses_rate=True, bound="lower_bound")


def _l4(
    name: str,
    alpha: ArrayLike,
    b1: ArrayLike,
    b2: ArrayLike | None,
    gamma: ArrayLike,
    tau: ArrayLike,
    lower_bound: ArrayLike,
    eps: ArrayLike,
) -> optax.GradientTransformationExtraArgs:
    """Returns L4 along the mean of gradients, or along Adam's direction where there is b2."""
    check("learning_rate", alpha, lambda x: 0 < x < float("inf"), "a positive one, such as 0.15")
    check("gamma", gamma, lambda x: 0 < x <= 1, "one above 0, at most 1")
    check("tau", tau, lambda x: x >= 0, "0 or more")
    check("eps", eps, lambda x: x >= 0, "0 or more")
    check_bound(lower_bound)
    mean = optax.ema(b1, debias=True)
    along = None if b2 is None else optax.scale_by_adam(b1, b2)

    def init(params):
        directions = (mean.init(params), optax.EmptyState() if along is None else along.init(params))
        zero = jnp.zeros([], float)
        return L4State(jnp.asarray(alpha, float), jnp.zeros([], jnp.int32), zero, directions)

    def update(grads, state, params=None, *, value=None, **extra):
        del params, extra
        check_given(name, value=value)
        g, of_mean = mean.update(grads, state.direction[0])
        v, of_along = (g, state.direction[1]) if along is None else along.update(grads, state.direction[1])
        loss = value - lower_bound
        least = jnp.minimum(jnp.where(state.count == 0, _FIRST * loss, state.least), loss)
        slope = inner(g, v) + eps
        rate = jnp.where(slope > 0, alpha * (loss - gamma * least) / jnp.where(slope > 0, slope, 1), 0)
        rate = above_bound(rate, value, lower_bound).astype(float)
        forgotten = ((1 + tau) * least).astype(float)
        count = optax.safe_increment(state.count)
        return downhill(rate, v), L4State(rate, count, forgotten, (of_mean, of_along))

    return optax.GradientTransformationExtraArgs(init, update)
