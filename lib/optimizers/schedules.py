"""Learning-rate schedules by name: factors on a base rate, as functions of the optimiser's own updates."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from lib.errors import ConfigError, nearest

Schedule = Callable[[Any], jax.Array]

CONSTANT = "constant"
SLINGSHOT = "slingshot"


def optax_schedules() -> dict[str, Callable[..., Schedule]]:
    """Lists every public optax function that makes a schedule from numbers, by name."""
    return {
        name: function
        for name, function in vars(optax.schedules).items()
        # sgdr_schedule and its like take lists of other schedules' arguments.
        if name.endswith(("_schedule", "_decay")) and name != "sgdr_schedule"
    }


def make(name: str, kwargs: Mapping[str, Any]) -> Schedule:
    """Builds a schedule `(number of updates so far) -> factor on the learning rate`.

    What is not in `kwargs` of `value`, `init_value` and `peak_value` is such that the plain rate has factor
    1: a schedule with a peak rises from 0 to 1, the others begin at 1.

    Args:
      name: `constant` (the factor 1), `harmonic`, `slingshot`, or a public optax schedule.
      kwargs: the schedule's arguments. `boundaries_and_scales` is written as pairs (update, scale).

    Raises:
      ConfigError: an unknown schedule or argument, or values that the schedule refuses; of the field
        `name`, `kwargs` or `kwargs.<argument>`.
    """
    own = {CONSTANT: _constant, "harmonic": _harmonic, SLINGSHOT: _slingshot}
    schedules = own | optax_schedules()
    if name not in schedules:
        raise ConfigError(f"unknown schedule '{name}'{nearest(name, schedules)}", "name")
    known = inspect.signature(schedules[name]).parameters
    for key in kwargs:
        if key not in known:
            hint = nearest(key, known) if known else ""
            raise ConfigError(f"'{name}' takes no such argument{hint}", f"kwargs.{key}")
    units = {"value": 1.0, "init_value": 0.0 if "peak_value" in known else 1.0, "peak_value": 1.0}
    arguments = {key: unit for key, unit in units.items() if key in known} | dict(kwargs)
    try:
        if "boundaries_and_scales" in arguments:
            arguments["boundaries_and_scales"] = dict(arguments["boundaries_and_scales"])
        schedule = schedules[name](**arguments)
        first = float(schedule(jnp.zeros([], jnp.int32)))
    except Exception as error:  # optax refuses bad values in many ways
        text = str(error).splitlines()[0]
        raise ConfigError(f"'{name}' refuses {dict(kwargs)}: {text}", "kwargs") from error
    if name != SLINGSHOT and not 0 <= first < float("inf"):
        raise ConfigError(f"'{name}' begins with the factor {first}; use one of at least 0", "kwargs")
    return schedule


def _constant() -> Schedule:
    """Returns the schedule of the factor 1."""
    return lambda count: 1.0


def _harmonic(end_step: int, end_factor: float, warm_up_step: int = 0) -> Schedule:
    """Returns the schedule of EigenGame's published examples: scale / (t + shift) after a linear warm-up.

    It is 1 at warm_up_step and end_factor at end_step.

    Raises:
      ValueError: the steps or the factor do not fit.
    """
    if not 0 <= warm_up_step < end_step:
        raise ValueError("warm_up_step must be 0 or more, and below end_step")
    if not 0 < end_factor < 1:
        raise ValueError("end_factor must be between 0 and 1")
    shift = (end_step * end_factor - warm_up_step) / (1 - end_factor)

    def factor(count: Any) -> jax.Array:
        decayed = (warm_up_step + shift) / (jnp.asarray(count) + shift)
        return jnp.where(count < warm_up_step, count / max(warm_up_step, 1), decayed)

    return factor


def _slingshot(first: int = 1) -> Schedule:
    """Returns the schedule of the factors 1 and -1 in turn, the first of them `first`.

    Where two players of a game begin with opposite ones, the second step takes back what the first one did
    to first order, and what is left attracts.

    Shugart, Altschuler, 'Negative Stepsizes Make Gradient-Descent-Ascent Converge', 2025.

    Raises:
      ValueError: `first` is neither.
    """
    if first not in (1, -1):
        raise ValueError("first must be 1 or -1")
    return lambda count: jnp.where(count % 2, -first, first).astype(float)
