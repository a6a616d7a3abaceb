"""Optimisers of optax.contrib by name: those that begin with a learning rate, and some that need more.

`sam` and `mechanize` take an optimiser of optax's root by its name, `base`; `sophia` takes the loss.

Foret, Kleiner, Mobahi, Neyshabur: Sharpness-aware minimization for efficiently improving generalization,
ICLR 2021. Cutkosky, Defazio, Mehta: Mechanic: a learning rate tuner, NeurIPS 2023. Defazio, Yang, Mehta,
Mishchenko, Khaled, Cutkosky: The road less scheduled, NeurIPS 2024.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import optax
from jax.typing import ArrayLike
from optax import contrib

from lib.errors import ConfigError, nearest
from lib.optimizers.checks import check, check_given
from lib.optimizers.kind import Kind


def factories(module: Any) -> dict[str, Callable]:
    """Lists the public functions of a module that make an optimiser from a learning rate, by name."""
    found = {}
    for name, function in vars(module).items():
        if name.startswith(("_", "scale_by_")) or not inspect.isfunction(function):
            continue
        if next(iter(inspect.signature(function).parameters), None) == "learning_rate":
            found[name] = function
    return found


def sam(
    learning_rate: ArrayLike, rho: ArrayLike = 0.05, base: str = "sgd"
) -> optax.GradientTransformationExtraArgs:
    """Returns sharpness-aware minimisation, whose update takes the loss as a function, `value_fn`.

    theta <- base's step with the gradient at theta + rho g / ||g||

    Args:
      learning_rate: of the base optimiser.
      rho: how far the loss's neighbourhood reaches.
      base: what takes the gradient there: an optimiser of optax's root.

    Raises:
      ConfigError: rho does not fit, or there is no such optimiser.
      ValueError: by its update, without `value_fn` or `params`.
    """
    check("rho", rho, lambda x: x > 0, "a positive one")
    ascent = optax.chain(contrib.normalize(), optax.sgd(rho))
    inner = contrib.sam(_base(base)(learning_rate), ascent, opaque_mode=True)

    def update(grads, state, params=None, *, value_fn=None, **extra):
        del extra
        check_given("sam", params=params, value_fn=value_fn)
        return inner.update(grads, state, params, grad_fn=lambda theta, _: jax.grad(value_fn)(theta))

    return optax.GradientTransformationExtraArgs(inner.init, update)


def mechanize(
    learning_rate: ArrayLike, base: str = "adamw", s_init: ArrayLike = 1e-6, weight_decay: ArrayLike = 0.01
) -> optax.GradientTransformationExtraArgs:
    """Returns Mechanic, which tunes a factor on another optimiser's learning rate.

    Args:
      learning_rate: of the base optimiser; the factor is on it.
      base: that optimiser, of optax's root.
      s_init: the factor to begin with.
      weight_decay: Mechanic's lambda.

    Raises:
      ConfigError: there is no such optimiser.
    """
    return contrib.mechanize(_base(base)(learning_rate), weight_decay=weight_decay, s_init=s_init)


@functools.wraps(contrib.sophia)
def sophia(**kwargs) -> optax.GradientTransformationExtraArgs:
    """Returns Sophia, whose update takes the loss as a function, `value_fn`, for the Hessian's diagonal."""
    inner = contrib.sophia(**kwargs)

    def update(grads, state, params=None, *, value_fn=None, **extra):
        del extra
        check_given("sophia", params=params, value_fn=value_fn)
        return inner.update(grads, state, params, obj_fn=value_fn)

    return optax.GradientTransformationExtraArgs(inner.init, update)


def schedule_free_params(opt_state: Any, params: Any) -> Any:
    """Returns the parameters x that a schedule-free method is evaluated at; it takes gradients at y."""
    leaves = jax.tree.leaves(opt_state, is_leaf=_is_schedule_free)
    (state,) = filter(_is_schedule_free, leaves)
    return contrib.schedule_free_eval_params(state, params)


def contrib_kinds() -> dict[str, Kind]:
    """Lists the optimisers of optax.contrib, and those of this module, by name."""
    own = {"sam": Kind(sam), "mechanize": Kind(mechanize), "sophia": Kind(sophia)}
    found = {name: Kind(function, **_FACTS.get(name, {})) for name, function in factories(contrib).items()}
    return found | own


_FACTS = {
    **dict.fromkeys(("schedule_free_adamw", "schedule_free_sgd"), {"evaluated": schedule_free_params}),
    **dict.fromkeys(("momo", "momo_adam"), {"bound": "lower_bound"}),
}


def _base(name: str) -> Callable:
    """Returns an optimiser of optax's root."""
    known = factories(optax)
    if name not in known:
        raise ConfigError(f"unknown optimiser '{name}'{nearest(name, known)}", "base")
    return known[name]


def _is_schedule_free(node: Any) -> bool:
    return isinstance(node, contrib.ScheduleFreeState)
