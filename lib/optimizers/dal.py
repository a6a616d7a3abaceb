"""DAL: a learning rate that adapts to the discretisation drift of gradient descent.

    rate = min(h / ||H ghat||^p, cap),    ghat = g / ||g||,    theta <- theta - rate g

H is the loss's Hessian at theta. To leading order a step of gradient descent leaves the gradient flow by
(rate^2 / 2) H g: along curved directions DAL takes small steps, along flat ones large steps.

Rosca, Wu, Qin, Dherin: On a continuous time model of gradient descent dynamics and instability in deep learning,
TMLR 2023, arXiv 2302.01952.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from lib.errors import ConfigError, nearest
from lib.optimizers.checks import check, check_given
from lib.optimizers.trees import downhill, polar

Loss = Callable[[Any], jax.Array]  # of the parameters alone


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
    """DAL-p, whose update is told the loss as a function: `update(grads, opt_state, params, value_fn=loss)`.

    For momentum, chain it with `optax.trace`. It cannot be masked, for the loss is a function of all parameters:
    mask what comes after it.

    Args:
      learning_rate: h; 2 in the paper, with which p = 1 is at the edge of stability: a quadratic's x becomes -x.
      p: how much the rate follows the curvature; 0: plain SGD at learning_rate, if the cap is above.
      cap: the largest rate, also where H ghat is 0.
      hvp: an exact Hessian-vector product, or the difference of two gradients.
      plain_rate: of the updates before `start` and from `stop` on, needed if there are any. The product is
        computed there too.
      start, stop: which updates are DAL's, counted from 0; None: all from `start` on.

    Returns:
      An optimiser. A gradient of 0 moves nothing. `value_fn` is of the whole minibatch, and so is its gradient:
      on several devices see `lib.runtime.devices.replicated`.

    Raises:
      ValueError: plain numbers that do not fit, or options that contradict one another; by its update, without
        `value_fn` or `params`, or with masked ones.
      ConfigError: by its update, a loss whose second derivative is zero everywhere.
    """
    for name, value in {"learning_rate": learning_rate, "cap": cap, "plain_rate": plain_rate}.items():
        check(name, value, lambda x: 0 < x < float("inf"), "a positive one")
    check("p", p, lambda x: x >= 0, "0 or more")
    check("start", start, lambda x: x >= 0, "0 or more")
    check("stop", stop, lambda x: x > start, "one above start, or None for no end")
    if hvp not in PRODUCTS:
        raise ValueError(f"hvp: unknown name '{hvp}'{nearest(hvp, PRODUCTS)}")
    always = stop is None and (isinstance(start, jax.Array) or start == 0)
    if plain_rate is not None and isinstance(start, int) and always:
        raise ValueError(
            "plain_rate: has no effect where all updates are DAL's; leave it out, or set start or stop"
        )
    if plain_rate is None and not always:
        raise ValueError("plain_rate: is needed for the updates before start and from stop on; set it")

    def init(params):
        del params
        return DalState(jnp.zeros([], jnp.int32), jnp.asarray(learning_rate, float))

    def update(grads, state, params=None, *, value_fn=None, **extra):
        del extra
        check_given("dal", params=params, value_fn=value_fn)
        _check_whole(params)
        _, direction = polar(grads)
        curvature, _ = polar(PRODUCTS[hvp](value_fn, params, direction))
        bend = curvature**p
        rate = jnp.where(bend > 0, jnp.minimum(learning_rate / jnp.where(bend > 0, bend, 1), cap), cap)
        if plain_rate is not None:
            ended = False if stop is None else state.count >= stop
            rate = jnp.where((state.count < start) | ended, plain_rate, rate)
        rate = rate.astype(float)
        return downhill(rate, grads), DalState(optax.safe_increment(state.count), rate)

    return optax.GradientTransformationExtraArgs(init, update)


def exact_product(loss: Loss, params: Any, direction: Any) -> Any:
    """H v = d/de grad loss(theta + e v) at e = 0, forwards over backwards; like the parameters.

    Kinks, as of ReLU, are where they are: the curvature between them is what counts.

    Raises:
      ConfigError: the gradient does not depend on the parameters but by jumps, so that H is zero everywhere.
    """
    depends = []

    @jax.custom_jvp
    def watched(gradient):
        return gradient

    @watched.defjvp
    def tangent(primals, tangents):  # called, while tracing, only if there is any tangent
        depends.append(True)
        return *primals, *tangents

    _, product = jax.jvp(lambda theta: watched(jax.grad(loss)(theta)), (params,), (direction,))
    if not depends:
        raise ConfigError(
            "dal: this loss is piecewise linear in the parameters, it has no second derivative to choose a rate "
            "by; use a smooth loss, such as cross entropy, or another optimiser, such as sgd"
        )
    return product


def difference_product(loss: Loss, params: Any, direction: Any) -> Any:
    """H v, approximately (grad loss(theta + r v) - grad loss(theta - r v)) / 2r, for v of length 1.

    r = (u (1 + ||theta||))^(1/3) balances the rounding of theta and of gradients, relative errors of u, against
    the third derivative. Raises: as `exact_product`.
    """
    jax.eval_shape(lambda theta, v: exact_product(loss, theta, v), params, direction)
    unit = jnp.finfo(optax.tree.dtype(params, "lowest")).eps
    r = jnp.cbrt(unit * (1 + polar(params)[0]))
    at = lambda step: jax.grad(loss)(
        jax.tree.map(lambda t, v: (t + step * v).astype(t.dtype), params, direction)
    )
    return jax.tree.map(lambda ahead, behind: (ahead - behind) / (2 * r), at(r), at(-r))


PRODUCTS = {"exact": exact_product, "finite_differences": difference_product}


def _check_whole(params: Any) -> None:
    masked = lambda x: isinstance(x, optax.MaskedNode)
    if any(map(masked, jax.tree.leaves(params, is_leaf=masked))):
        raise ValueError(
            "dal cannot be masked, for value_fn is a function of all parameters; mask its updates instead: "
            "optax.chain(dal(...), optax.masked(optax.set_to_zero(), frozen))"
        )
