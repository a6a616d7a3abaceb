"""Solves theta' = f(theta) with scipy's DOP853, an explicit Runge-Kutta method of order 8, in float64."""

from collections.abc import Callable

import jax
import numpy as np
from numpy.typing import ArrayLike

Field = Callable[[np.ndarray], ArrayLike]  # theta [d] -> theta' [d]
_TOLERANCES = {"rtol": 1e-12, "atol": 1e-14}
_MAX_EVALUATIONS = 200_000


class FlowError(Exception):
    """A flow that cannot be followed to the time that was asked for. The text says where it stopped."""


def integrate(field: Field, start: ArrayLike, times: ArrayLike) -> np.ndarray:
    """Follows a flow from `start`, its place at time 0.

    Args:
      field: the velocity at a place, [d] -> [d]; JAX inside it computes in float64.
      start: [d], real or complex. The flow is complex if the start or the velocity there is.
      times: [t], increasing, none below 0.

    Returns:
      [t, d], the places at these times, float64 or complex128.

    Raises:
      FlowError: the field is not finite at some place, or the solver cannot go on.
    """
    from scipy.integrate import solve_ivp  # here: a run that needs no scipy starts sooner

    times, start = np.asarray(times, float), np.asarray(start)
    evaluations = 0

    def velocity(time: float, theta: np.ndarray) -> np.ndarray:
        nonlocal evaluations
        evaluations += 1
        if evaluations > _MAX_EVALUATIONS:
            raise FlowError(_text(start, time, times[-1], f"{_MAX_EVALUATIONS:,} evaluations"))
        return np.asarray(field(theta))

    with jax.enable_x64(True):
        slope = velocity(0.0, start)
        if not np.isfinite(slope).all():
            raise FlowError(_text(start, 0.0, times[-1], "its velocity is not finite"))
        start = start.astype(np.result_type(start, slope, np.float64))
        if times[-1] == 0:
            return np.tile(start, (times.size, 1))
        # A field that overflows makes the solver stop, which is reported below.
        with np.errstate(over="ignore", invalid="ignore"):
            solution = solve_ivp(
                velocity, (0.0, times[-1]), start, method="DOP853", t_eval=times, **_TOLERANCES
            )
    if not solution.success or not np.isfinite(solution.y).all():
        reached = solution.t[-1] if solution.t.size else 0.0
        raise FlowError(_text(start, reached, times[-1], solution.message))
    return solution.y.T


def _text(start: np.ndarray, time: float, end: float, reason: str) -> str:
    """Says where and why a flow stopped."""
    place = np.array2string(start, precision=4, threshold=6).replace("\n", "")
    return (
        f"the flow from {place} stopped after time {time:.4g} of {end:.4g}: {reason.rstrip('.')}; "
        "its velocity may run off to infinity or jump there: use fewer steps or a smaller step size"
    )
