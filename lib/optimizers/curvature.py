"""Hessian-vector products of a loss of a tree of parameters, exact and by finite differences."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from lib.errors import ConfigError
from lib.optimizers.trees import polar

Loss = Callable[[Any], jax.Array]  # of the parameters alone


def exact_product(loss: Loss, params: Any, direction: Any) -> Any:
    """Returns H v = d/de grad loss(theta + e v) at e = 0, forwards over backwards; like the parameters.

    Kinks, as of ReLU, are where they are: the curvature between them is what counts.

    Raises:
      ConfigError: the gradient does not depend on the parameters but by jumps, so that H is zero
        everywhere.
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
            "this loss is piecewise linear in the parameters, it has no second derivative for 'dal' to "
            "choose a rate by; use a smooth loss, such as cross entropy, or another optimiser, such as sgd"
        )
    return product


def difference_product(loss: Loss, params: Any, direction: Any) -> Any:
    """Returns H v, approximately, for v of length 1; like the parameters.

    (grad loss(theta + r v) - grad loss(theta - r v)) / 2r

    r = (u (1 + ||theta||))^(1/3) balances the rounding of theta and of gradients, relative errors of u,
    against the third derivative.

    Raises:
      ConfigError: as `exact_product`.
    """
    jax.eval_shape(lambda theta, v: exact_product(loss, theta, v), params, direction)
    unit = jnp.finfo(optax.tree.dtype(params, "lowest")).eps
    r = jnp.cbrt(unit * (1 + polar(params)[0]))
    ahead, behind = (_gradient_at(loss, params, direction, step) for step in (r, -r))
    return jax.tree.map(lambda a, b: (a - b) / (2 * r), ahead, behind)


def _gradient_at(loss: Loss, params: Any, direction: Any, step: jax.Array) -> Any:
    """Returns grad loss(theta + step v)."""
    moved = jax.tree.map(lambda t, v: (t + step * v).astype(t.dtype), params, direction)
    return jax.grad(loss)(moved)


PRODUCTS = {"exact": exact_product, "finite_differences": difference_product}
