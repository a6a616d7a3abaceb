"""DAL: a learning rate that adapts to the discretisation drift of gradient descent.

    rate = min(h / ||H ghat||^p, cap),    ghat = g / ||g||,    theta <- theta - rate g

H is the loss's Hessian at theta. To leading order a step of gradient descent leaves the gradient flow by
(rate^2 / 2) H g: along curved directions DAL takes small steps, along flat ones large steps.

Rosca, Wu, Qin, Dherin: On a continuous time model of gradient descent dynamics and instability in deep
learning, TMLR 2023, arXiv 2302.01952.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from lib.errors import ConfigError, nearest
from lib.optimizers.checks import check, check_given
from lib.optimizers.curvature import PRODUCTS
from lib.optimizers.kind import Kind
from lib.optimizers.trees import downhill, polar


class DalState(NamedTuple):
    """What DAL remembers: the number of updates so far, and the rate of the last one, scalars."""

    count: jax.Array
    step_size: jax.Array


def dal(
    learning_rate: ArrayLike,
    p: ArrayLike = 1.0,
    cap: ArrayLike = 5.0,
    hvp: str = "exact",
    plain_rate: ArrayLike | None = None,
    start: ArrayLike = 0,
    stop: ArrayLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Returns DAL-p, whose update takes the loss: `update(grads, opt_state, params, value_fn=loss)`.

    For momentum, chain it with `optax.trace`. It cannot be masked, for the loss is a function of all
    parameters: mask what comes after it. A gradient of 0 moves nothing. `value_fn` is of the whole
    minibatch, and so is its gradient: on several devices see `lib.runtime.devices.replicated`.

    Args:
      learning_rate: h; 2 in the paper, with which p = 1 is at the edge of stability: a quadratic's x
        becomes -x.
      p: how much the rate follows the curvature; 0: plain SGD at learning_rate, if the cap is above.
      cap: the largest rate, also where H ghat is 0.
      hvp: "exact" Hessian-vector products, or by "finite_differences" of two gradients.
      plain_rate: of the updates before `start` and from `stop` on, needed if there are any: `static_lr` of
        the published code. No product is computed for these, but in lanes, which make one step together.
      start, stop: which updates are DAL's, counted from 0; None: all from `start` on.

    Raises:
      ConfigError: plain numbers that do not fit, or options that contradict one another; by its update, a
        loss whose second derivative is zero everywhere.
      ValueError: by its update, without `value_fn` or `params`, or with masked ones.
    """
    _check_numbers(learning_rate, p, cap, plain_rate)
    _check_window(plain_rate, start, stop)
    if hvp not in PRODUCTS:
        raise ConfigError(f"unknown name '{hvp}'{nearest(hvp, PRODUCTS)}", "hvp")

    def init(params):
        del params
        return DalState(jnp.zeros([], jnp.int32), jnp.asarray(learning_rate, float))

    def update(grads, state, params=None, *, value_fn=None, **extra):
        del extra
        check_given("dal", params=params, value_fn=value_fn)
        _check_whole(params)

        def adapted() -> jax.Array:
            _, direction = polar(grads)
            curvature, _ = polar(PRODUCTS[hvp](value_fn, params, direction))
            bend = curvature**p
            rate = jnp.minimum(learning_rate / jnp.where(bend > 0, bend, 1), cap)
            return jnp.where(bend > 0, rate, cap).astype(float)

        if plain_rate is None:
            rate = adapted()
        else:  # no product is computed for the other updates
            ended = False if stop is None else state.count >= stop
            others = (state.count < start) | ended
            rate = jax.lax.cond(others, lambda: jnp.asarray(plain_rate, float), adapted)
        return downhill(rate, grads), DalState(optax.safe_increment(state.count), rate)

    return optax.GradientTransformationExtraArgs(init, update)


DAL = Kind(dal, chooses_rate=True)


def _check_numbers(
    learning_rate: ArrayLike, p: ArrayLike, cap: ArrayLike, plain_rate: ArrayLike | None
) -> None:
    """Refuses plain numbers that do not fit."""
    for name, value in {"learning_rate": learning_rate, "cap": cap, "plain_rate": plain_rate}.items():
        check(name, value, lambda x: 0 < x < float("inf"), "a positive one")
    check("p", p, lambda x: x >= 0, "0 or more")


def _check_window(plain_rate: ArrayLike | None, start: ArrayLike, stop: ArrayLike | None) -> None:
    """Refuses an empty window of updates, and a plain rate without a window or the other way round."""
    check("start", start, lambda x: x >= 0, "0 or more")
    check("stop", stop, lambda x: x > start, "one above start, or None for no end")
    always = stop is None and (isinstance(start, jax.Array) or start == 0)
    if plain_rate is not None and isinstance(start, int) and always:
        raise ConfigError(
            "has no effect where all updates are DAL's; leave it out, or set start or stop", "plain_rate"
        )
    if plain_rate is None and not always:
        raise ConfigError("is needed for the updates before start and from stop on; set it", "plain_rate")


def _check_whole(params: Any) -> None:
    """Refuses parameters some of which are masked."""
    leaves = jax.tree.leaves(params, is_leaf=_is_masked)
    if any(map(_is_masked, leaves)):
        raise ValueError(
            "dal cannot be masked, for value_fn is a function of all parameters; mask its updates instead: "
            "optax.chain(dal(...), optax.masked(optax.set_to_zero(), frozen))"
        )


def _is_masked(node: Any) -> bool:
    return isinstance(node, optax.MaskedNode)
