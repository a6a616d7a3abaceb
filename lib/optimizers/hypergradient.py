"""Hypergradient descent: a learning rate that itself descends, over any direction.

    alpha_t = alpha_{t-1} + beta <g_t, u_{t-1}>            additive
    alpha_t = alpha_{t-1} (1 + beta cos(g_t, u_{t-1}))     multiplicative
    theta_t = theta_{t-1} - alpha_t u_t

g_t is the gradient at theta_{t-1} and u_t the direction that is made of it. Since theta_{t-1} = theta_{t-2}
- alpha_{t-1} u_{t-1}, the loss there has the derivative -<g_t, u_{t-1}> in the rate. The rate moves before
it is used; the first step uses alpha_0, its u_0 being 0. One inner product is of all parameters together.

Baydin, Cornish, Rubio, Schmidt, Wood: Online learning rate adaptation with hypergradient descent, ICLR
2018, arXiv 1703.04782.
"""

import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from lib.errors import ConfigError, nearest
from lib.optimizers.checks import check, check_decays
from lib.optimizers.kind import Kind
from lib.optimizers.trees import downhill, inner, squared_norm, written_over


class HypergradientState(NamedTuple):
    """What hypergradient descent remembers.

    Attributes:
      count: t, the number of updates so far.
      step_size: alpha_t, a scalar of at least float32, whatever the parameters are.
      last: u_t, like the parameters.
      direction: the state of what makes u_t.
    """

    count: jax.Array
    step_size: jax.Array
    last: optax.Updates
    direction: optax.OptState


def cosine(x: Any, y: Any) -> jax.Array:
    """Returns <x, y> / (||x|| ||y||) over all leaves; 0 where either is 0."""
    norms = jnp.sqrt(squared_norm(x)) * jnp.sqrt(squared_norm(y))
    return inner(x, y) / jnp.where(norms > 0, norms, 1)


def additive(alpha: jax.Array, beta: ArrayLike, grads: Any, last: Any) -> jax.Array:
    """Returns alpha + beta <g, u>, u being the last direction."""
    return alpha + beta * inner(grads, last)


def multiplicative(alpha: jax.Array, beta: ArrayLike, grads: Any, last: Any) -> jax.Array:
    """Returns alpha (1 + beta cos(g, u)), u being the last direction."""
    return alpha * (1 + beta * cosine(grads, last))


RATE_RULES = {"additive": additive, "multiplicative": multiplicative}


def hypergradient(
    direction: optax.GradientTransformation,
    learning_rate: ArrayLike,
    beta: ArrayLike,
    rule: str = "additive",
    min_rate: ArrayLike | None = None,
    max_rate: ArrayLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Returns an optimiser that descends along a direction by a rate that descends too.

    The gradient is what arrives here: put L2 weight decay and clipping before, by `optax.chain`. With beta
    0 the rate stays alpha_0.

    Args:
      direction: makes u_t of g_t, to be subtracted: `optax.identity()`, `optax.scale_by_adam()` ...
      learning_rate: alpha_0, the first step's rate; 0 lets the additive rule raise it from nothing.
      beta: the rate of the rate, at least 0.
      rule: one of RATE_RULES.
      min_rate: what the rate never falls below; None: it may turn negative.
      max_rate: what it never rises above; None: anything.

    Raises:
      ConfigError: an unknown rule, plain numbers (arrays are not checked) that do not fit or are out of
        their order, or a schedule, for the rate moves itself.
    """
    _check_rates(learning_rate, beta, rule, min_rate, max_rate)
    direction = optax.with_extra_args_support(direction)

    def init(params):
        return HypergradientState(
            count=jnp.zeros([], jnp.int32),
            step_size=jnp.asarray(learning_rate, float),
            last=optax.tree.zeros_like(params),
            direction=direction.init(params),
        )

    def update(grads, state, params=None, **extra):
        # The first rate is read here, not of init's state: it may have moved since.
        before = jnp.where(state.count == 0, learning_rate, state.step_size)
        alpha = jnp.clip(RATE_RULES[rule](before, beta, grads, state.last), min_rate, max_rate)
        u, inner_state = direction.update(grads, state.direction, params, **extra)
        kept = written_over(state.last, u, alpha)
        count = optax.safe_increment(state.count)
        return downhill(alpha, u), HypergradientState(count, alpha, kept, inner_state)

    return optax.GradientTransformationExtraArgs(init, update)


def sgd_hd(
    learning_rate: ArrayLike,
    beta: ArrayLike = 1e-3,
    rule: str = "additive",
    weight_decay: ArrayLike | None = None,
    min_rate: ArrayLike | None = None,
    max_rate: ArrayLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Returns SGD-HD (Algorithm 4): u = g.

    Args:
      learning_rate: alpha_0.
      weight_decay: adds weight_decay * theta to g before everything else, as L2 in the loss does.
      beta, rule, min_rate, max_rate: as `hypergradient`. beta 0 is plain SGD.

    Raises:
      ConfigError: as `hypergradient`.
    """
    adaptive = hypergradient(optax.identity(), learning_rate, beta, rule, min_rate, max_rate)
    return _decayed(weight_decay, adaptive)


def sgdn_hd(
    learning_rate: ArrayLike,
    beta: ArrayLike = 1e-3,
    momentum: ArrayLike = 0.9,
    rule: str = "additive",
    weight_decay: ArrayLike | None = None,
    min_rate: ArrayLike | None = None,
    max_rate: ArrayLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Returns SGDN-HD (Algorithm 5), with Nesterov's momentum mu.

    v <- mu v + g,    u = g + mu v

    Args:
      momentum: mu, between -1 and 1.
      learning_rate, beta, rule, weight_decay, min_rate, max_rate: as `sgd_hd`.

    Raises:
      ConfigError: as `hypergradient`.
    """
    check("momentum", momentum, lambda x: -1 < x < 1, "one between -1 and 1")
    direction = optax.trace(momentum, nesterov=True)
    return _decayed(weight_decay, hypergradient(direction, learning_rate, beta, rule, min_rate, max_rate))


def adam_hd(
    learning_rate: ArrayLike,
    beta: ArrayLike = 1e-7,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    rule: str = "additive",
    weight_decay: ArrayLike | None = None,
    min_rate: ArrayLike | None = None,
    max_rate: ArrayLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Returns Adam-HD (Algorithm 6), with bias correction.

    u = mhat / (sqrt(vhat) + eps)

    Args:
      b1, b2: the decay of the means of g and g^2.
      eps: keeps u finite where the gradient vanishes.
      learning_rate, beta, rule, weight_decay, min_rate, max_rate: as `sgd_hd`.

    Raises:
      ConfigError: as `hypergradient`.
    """
    check_decays(b1=b1, b2=b2)
    check("eps", eps, lambda x: x >= 0, "0 or more")
    direction = optax.scale_by_adam(b1, b2, eps)
    return _decayed(weight_decay, hypergradient(direction, learning_rate, beta, rule, min_rate, max_rate))


SGD_HD = Kind(sgd_hd, chooses_rate=True, scheduled=False)
SGDN_HD = Kind(sgdn_hd, chooses_rate=True, scheduled=False)
ADAM_HD = Kind(adam_hd, chooses_rate=True, scheduled=False)


def _decayed(
    weight_decay: ArrayLike | None, transform: optax.GradientTransformationExtraArgs
) -> optax.GradientTransformationExtraArgs:
    """Returns the transform of gradients with L2 weight decay in them."""
    if weight_decay is None:
        return transform
    check("weight_decay", weight_decay, lambda x: x >= 0, "0 or more")
    return optax.chain(optax.add_decayed_weights(weight_decay), transform)


def _check_rates(
    learning_rate: ArrayLike,
    beta: ArrayLike,
    rule: str,
    min_rate: ArrayLike | None,
    max_rate: ArrayLike | None,
) -> None:
    """Refuses an unknown rule, and rates that do not fit or are out of their order."""
    if rule not in RATE_RULES:
        raise ConfigError(f"unknown name '{rule}'{nearest(rule, RATE_RULES)}", "rule")
    if callable(learning_rate):
        raise ConfigError(
            "a schedule cannot govern a rate that moves itself; use a number", "learning_rate"
        )
    check("beta", beta, lambda x: 0 <= x < math.inf, "0, which leaves the rate as it is, or more")
    if rule == "multiplicative" and isinstance(learning_rate, int | float) and learning_rate == 0:
        raise ConfigError("0 stays 0 by the multiplicative rule; use the additive one", "learning_rate")
    in_order = {"min_rate": min_rate, "learning_rate": learning_rate, "max_rate": max_rate}
    for name, rate in in_order.items():
        check(name, rate, lambda x: not math.isnan(x), "a number")
    plain = [(name, rate) for name, rate in in_order.items() if isinstance(rate, int | float)]
    for (low_name, low), (high_name, high) in itertools.pairwise(plain):
        if low > high:
            raise ConfigError(f"{low} is above {high_name} {high}; use at most that", low_name)
