"""Stacked hypergradients: the rate's rate descends too, and its rate, as high as one likes.

    a^K = beta_K fixed,   a^k_t = a^k_{t-1} + a^{k+1}_t D^k_t  for k = K-1 .. 0
    D^0_t = <g_t, u_{t-1}>,    D^k_t = D^{k-1}_t D^{k-1}_{t-1},    theta <- theta - a^0_t u_t

a^0 is the learning rate, a^1 the rate at which it moves, and so on. -D^k_t is the derivative of the loss at
step t in a^k_{t-1}, by the chain rule through all levels below; K = 1 is hypergradient descent.

Chandra, Xie, Ragan-Kelley, Meijer: Gradient descent: the ultimate optimizer, NeurIPS 2022, arXiv
1909.13371.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from lib.errors import ConfigError
from lib.optimizers.checks import check, check_decays
from lib.optimizers.kind import Kind
from lib.optimizers.trees import downhill, inner, written_over


class UltimateState(NamedTuple):
    """What the stack remembers.

    Attributes:
      count: t, the number of updates so far.
      step_size: a^0_t, a scalar.
      rates: a^1_t .. a^{K-1}_t, [K - 1].
      slopes: D^0_t .. D^{K-2}_t, [K - 1].
      last: u_t, like the parameters.
      direction: the state of what makes u_t.
    """

    count: jax.Array
    step_size: jax.Array
    rates: jax.Array
    slopes: jax.Array
    last: Any
    direction: optax.OptState


def ultimate(
    direction: optax.GradientTransformation, learning_rate: ArrayLike, betas: tuple[float, ...]
) -> optax.GradientTransformationExtraArgs:
    """Returns an optimiser that descends along a direction, its rates descending at all levels.

    Args:
      direction: makes u_t of g_t, to be subtracted.
      learning_rate: a^0 of the first step; 0 lets it rise from nothing.
      betas: a^1 .. a^K at first; the last one stays.

    Raises:
      ConfigError: plain numbers that do not fit.
    """
    check("learning_rate", learning_rate, lambda x: x >= 0, "0 or more")
    if not isinstance(betas, tuple | list):
        raise ConfigError(f"{betas!r} is no list of numbers; use such as (1e-3, 1e-6)", "betas")
    if not betas:
        raise ConfigError("names no rate of the rate; give one or more, such as (1e-3, 1e-6)", "betas")
    for beta in betas:
        check("betas", beta, lambda x: 0 <= x < float("inf"), "numbers of 0 or more")
    direction = optax.with_extra_args_support(direction)
    *first, top = (jnp.asarray(beta, float) for beta in betas)

    def init(params):
        levels = jnp.zeros([len(first)], float)
        rates = jnp.stack(first) if first else levels
        zero, rate = jnp.zeros([], jnp.int32), jnp.asarray(learning_rate, float)
        last = optax.tree.zeros_like(params)
        return UltimateState(zero, rate, rates, levels, last, direction.init(params))

    def update(grads, state, params=None, **extra):
        # The first rate is read here, not of init's state: it may have moved since.
        alpha = jnp.where(state.count == 0, learning_rate, state.step_size)
        slopes = [inner(grads, state.last)]
        for before in state.slopes:
            slopes.append(slopes[-1] * before)
        above, rates = top, []
        for rate, slope in zip(state.rates[::-1], slopes[:0:-1], strict=True):  # from the top down
            above = rate + above * slope
            rates.insert(0, above)
        alpha = (alpha + above * slopes[0]).astype(float)
        u, inner_state = direction.update(grads, state.direction, params, **extra)
        rates, kept = (jnp.stack(x) if first else state.rates for x in (rates, slopes[:-1]))
        last = written_over(state.last, u, alpha)
        count = optax.safe_increment(state.count)
        return downhill(alpha, u), UltimateState(count, alpha, rates, kept, last, inner_state)

    return optax.GradientTransformationExtraArgs(init, update)


def sgd_ultimate(
    learning_rate: ArrayLike, betas: tuple[float, ...] = (1e-3, 1e-6)
) -> optax.GradientTransformationExtraArgs:
    """Returns the stack along u = g.

    Args:
      learning_rate, betas: as of `ultimate`.

    Raises:
      ConfigError: as `ultimate`.
    """
    return ultimate(optax.identity(), learning_rate, betas)


def adam_ultimate(
    learning_rate: ArrayLike,
    betas: tuple[float, ...] = (1e-7, 1e-12),
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
) -> optax.GradientTransformationExtraArgs:
    """Returns the stack along Adam's direction, with bias correction.

    Args:
      learning_rate, betas: as of `ultimate`.
      b1, b2, eps: of Adam.

    Raises:
      ConfigError: as `ultimate`.
    """
    check_decays(b1=b1, b2=b2)
    return ultimate(optax.scale_by_adam(b1, b2, eps), learning_rate, betas)


SGD_ULTIMATE = Kind(sgd_ultimate, chooses_rate=True, scheduled=False)
ADAM_ULTIMATE = Kind(adam_ultimate, chooses_rate=True, scheduled=False)
