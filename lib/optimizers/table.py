"""Optimisers by name: this project's own, and every public optax optimiser."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import optax

from lib.config import ConfigError, nearest

# This project's own optimisers: {name: factory(learning_rate, **kwargs)}.
OWN: dict[str, Callable[..., optax.GradientTransformation]] = {}


class Optimizer(NamedTuple):
    """An optax pair whose numbers are arrays in its state, and its learning rate of the moment.

    Attributes:
      init: `(params) -> opt_state`.
      update: `(grads, opt_state, params, **extra) -> (updates, opt_state)`; accepts any extras.
      learning_rate: `(opt_state) -> scalar`: what the next update will use.
    """

    init: Callable[[Any], Any]
    update: Callable[..., tuple[Any, Any]]
    learning_rate: Callable[[Any], jax.Array]


def optax_optimizers() -> dict[str, Callable[..., optax.GradientTransformation]]:
    """Every public optax function that makes an optimiser from a learning rate, by name."""
    found = {}
    for name, function in vars(optax).items():
        if name.startswith(("_", "scale_by_")) or not inspect.isfunction(function):
            continue
        parameters = inspect.signature(function).parameters
        if next(iter(parameters), None) == "learning_rate":
            found[name] = function
    return found


def make(name: str, learning_rate: float, kwargs: Mapping[str, Any], field: str) -> Optimizer:
    """Builds an optimiser; its learning rate and other numbers live in its state as arrays.

    Args:
      name: of this project's own optimisers or of an optax optimiser.
      learning_rate: initial; a sweep may vary it in the state without compiling again.
      kwargs: the factory's other keyword arguments.
      field: the config's name for it, for error messages.

    Raises:
      ConfigError: an unknown optimiser or keyword argument, or a value that its factory refuses.
    """
    factories = optax_optimizers() | OWN
    if name not in factories:
        raise ConfigError(f"{field}.name: unknown optimiser '{name}'{nearest(name, factories)}")
    factory = factories[name]
    known = [p for p in inspect.signature(factory).parameters if p != "learning_rate"]
    for key in kwargs:
        if key not in known:
            raise ConfigError(f"{field}.kwargs.{key}: '{name}' takes no such argument{nearest(key, known)}")
    # Flags and choices are structure; numbers become arrays of the state.
    static = [key for key, value in kwargs.items() if isinstance(value, bool | str | tuple | None)]
    try:
        transform = optax.with_extra_args_support(
            optax.inject_hyperparams(factory, static_args=static)(learning_rate=learning_rate, **kwargs)
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{field}: {error}".splitlines()[0]) from error
    return Optimizer(transform.init, transform.update, lambda state: state.hyperparams["learning_rate"])
