"""What optimisers refuse, one line each."""

from collections.abc import Callable
from typing import Any


def check(name: str, value: Any, fits: Callable[[Any], bool], use: str) -> None:
    """Raises a ValueError where a plain number does not fit, or a text or schedule is none.

    None, and arrays, whose values may vary, are not looked at.
    """
    if callable(value):
        raise ValueError(f"{name}: a schedule is no number; use optax.inject_hyperparams, or {use}")
    if isinstance(value, str) or (isinstance(value, int | float) and not fits(value)):
        raise ValueError(f"{name}: {value!r} does not fit; use {use}")


def check_given(optimizer: str, **arguments: Any) -> None:
    """Raises a ValueError where an argument of `update` that an optimiser cannot do without is None."""
    for name, value in arguments.items():
        if value is None:
            how = "params" if name == "params" else f"params, {name}=..."
            raise ValueError(f"{optimizer} needs {name}: call update(grads, opt_state, {how})")
