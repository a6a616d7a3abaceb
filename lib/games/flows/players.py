"""The flow of a game, and the modified flows of its updates: the drift of lib/games/drift.py, integrated.

With rates h_x and the drift d_x of an update rule (zero for the original flow),

    per_player  theta_x' = -(grad_x L_x + d_x),       player x is read at time n h_x after n updates
    shared      theta_x' = -h_x (grad_x L_x + d_x),   all players are read at time n

One update is O(h^3) from the modified flow of its rule, O(h^2) from the original flow. Many updates with
unequal rates follow the shared flow alone: on the other, the players are read at different times.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from lib.games import drift
from lib.games.drift import Clock, Coefficients
from lib.games.flows.integration import Field, integrate
from lib.games.game import Game, gradients
from lib.games.regularizers import active_terms, regularizer_gradients

# Players in the order in which they move, and the learning rate of one update of each.
Rates = Mapping[str, float]
Drifts = Mapping[str, Coefficients]  # {player: what multiplies the terms of lib/games/regularizers.py}


class GameFlow(NamedTuple):
    """A flow of a game that updates are compared with.

    Attributes:
      modified: whether by the drift of the update rule.
      clock: on which it is read.
    """

    modified: bool
    clock: Clock


GAME_FLOWS = {
    "original": GameFlow(False, "shared"),
    "modified_shared": GameFlow(True, "shared"),
    "modified_per_player": GameFlow(True, "per_player"),
}


def _alternating(rates: Rates, clock: Clock) -> dict[str, Coefficients]:
    """Returns the drift of alternating updates, one in each player's turn."""
    return drift.alternating(rates, dict.fromkeys(rates, 1), clock)


# {update rule: `(rates, clock) -> {player: Coefficients}`}: the rules whose modified flows are known.
DRIFTS: dict[str, Callable[[Rates, Clock], dict[str, Coefficients]]] = {
    "simultaneous": drift.simultaneous,
    "alternating": _alternating,
}


def modified_flow(
    game: Game,
    params: Mapping[str, Any],
    rates: Rates,
    drifts: Drifts | None = None,
    clock: Clock = "shared",
) -> Field:
    """Returns the velocity of all players, [d] -> [d], at a point flattened by ravel_pytree.

    Args:
      game: without data, state or randomness.
      params: any point, for its structure.
      drifts: of the update rule on this clock, DRIFTS[rule](rates, clock); none for the original flow.
    """
    active = tuple(active_terms(drifts or {}).items())
    speeds = rates if clock == "shared" else dict.fromkeys(rates, 1.0)
    _, unravel = flatten(params)
    return lambda theta: _velocity(game, unravel, active, theta, dict(speeds), drifts)


# Compiled once for a game and the terms of a drift, whatever their coefficients.
@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _velocity(
    game: Game, unravel: Callable, active: tuple, theta: jax.Array, speeds: Rates, drifts: Drifts
):
    """Returns -speed_x (grad_x L_x + d_x) of all players, [d]."""
    point, key = unravel(theta), jax.random.key(0)
    slopes, _, _ = gradients(game, point, {}, None, key)
    terms = regularizer_gradients(game, drifts, dict(active), point, {}, None, key, "biased")
    slopes |= {x: jax.tree.map(jnp.add, slopes[x], term) for x, term in terms.items()}
    return ravel_pytree({x: jax.tree.map(lambda g, s=speeds[x]: -s * g, slopes[x]) for x in slopes})[0]


def game_positions(
    game: Game,
    params: Mapping[str, Any],
    rates: Rates,
    steps: int,
    drifts: Drifts | None = None,
    clock: Clock = "shared",
) -> np.ndarray:
    """Follows the flow for n = 0 .. steps updates, each player read at its own time on the clock.

    Args:
      drifts: as in `modified_flow`.

    Returns:
      [steps + 1, d], points flattened by ravel_pytree, in float64.

    Raises:
      FlowError: the flow cannot be followed so far.
    """
    theta, _ = flatten(params)
    ticks = rates if clock == "per_player" else dict.fromkeys(rates, 1.0)
    tick, _ = flatten(
        {x: jax.tree.map(lambda leaf, t=t: np.full(np.shape(leaf), t), params[x]) for x, t in ticks.items()}
    )
    times, read = np.unique(np.outer(np.arange(steps + 1), tick), return_inverse=True)
    path = integrate(modified_flow(game, params, rates, drifts, clock), theta, times)
    return np.take_along_axis(path, read.reshape(steps + 1, theta.size), axis=0)


def flatten(params: Mapping[str, Any]) -> tuple[np.ndarray, Callable]:
    """Returns (parameters of all players as a vector [d] in float64, its inverse)."""
    with jax.enable_x64(True):
        flat, unravel = ravel_pytree(jax.tree.map(lambda leaf: np.asarray(leaf, float), dict(params)))
    return np.asarray(flat), unravel
