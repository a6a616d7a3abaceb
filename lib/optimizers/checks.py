"""What optimisers refuse, one line each."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from lib.errors import ConfigError


def check(name: str, value: Any, fits: Callable[[Any], bool], use: str) -> None:
    """Refuses a plain number that does not fit, and a text or a schedule in place of a number.

    None passes, and so do arrays: their values may vary.

    Args:
      name: of the optimiser's argument.
      value: the argument.
      fits: whether a number does.
      use: what the error advises to use instead.

    Raises:
      ConfigError: it does not fit; of the field `name`.
    """
    if callable(value):
        raise ConfigError(f"a schedule is no number; use optax.inject_hyperparams, or {use}", name)
    if isinstance(value, str) or (isinstance(value, int | float) and not fits(value)):
        raise ConfigError(f"{value!r} does not fit; use {use}", name)


def check_bound(value: Any) -> None:
    """Refuses a `lower_bound` that no loss is measured from.

    Raises:
      ConfigError: it is infinite or no number; of the field `lower_bound`.
    """
    check("lower_bound", value, math.isfinite, "a finite one")


def check_decays(**decays: Any) -> None:
    """Refuses decays of means, and momenta, that are not in [0, 1).

    Raises:
      ConfigError: one is not; of the field of its name.
    """
    for name, decay in decays.items():
        check(name, decay, lambda x: 0 <= x < 1, "0 or more, below 1")


def above_bound(rate: jax.Array, loss: jax.Array, lower_bound: ArrayLike) -> jax.Array:
    """Returns the rate; NaN where the loss is below its bound, so that a run stops there."""
    return jnp.where(loss < lower_bound, jnp.nan, rate)


def check_given(optimizer: str, **arguments: Any) -> None:
    """Refuses a call of `update` without an argument that the optimiser needs.

    Raises:
      ValueError: one of `arguments` is None.
    """
    for name, value in arguments.items():
        if value is None:
            how = "params" if name == "params" else f"params, {name}=..."
            raise ValueError(f"{optimizer} needs {name}: call update(grads, opt_state, {how})")
