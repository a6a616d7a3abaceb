"""The flow of a game, and the modified flows of its updates: the drift of lib/games/drift.py, integrated.

With rates h_x and the drift d_x of an update rule (zero for the original flow),

    per_player  theta_x' = -(grad_x L_x + d_x),       player x is read at time n h_x after n updates
    shared      theta_x' = -h_x (grad_x L_x + d_x),   all players are read at time n

One update is O(h^3) from the modified flow of its rule, O(h^2) from the original flow. Many updates with
unequal rates follow the shared flow alone: on the other, the players are read at different times.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.flatten_util import ravel_pytree

from lib.config import lookup
from lib.games import drift
from lib.games.drift import Clock, Coefficients
from lib.games.flows.integration import Field, integrate
from lib.games.game import Game, gradients
from lib.games.regularizers import regularizer_gradients
from lib.games.updates.state import active_terms

Rates = Mapping[str, float]  # {player: learning rate}, players in the order in which they move
DRIFTS: dict[str, Callable[[Rates, Clock], dict[str, Coefficients]]] = {
    "original": lambda rates, clock: dict.fromkeys(rates, Coefficients(0.0, 0.0, 0.0)),
    "simultaneous": drift.simultaneous,
    "alternating": lambda rates, clock: drift.alternating(rates, dict.fromkeys(rates, 1), clock),
}


def modified_flow(
    game: Game, params: Mapping[str, Any], rates: Rates, rule: str = "original", clock: Clock = "shared"
) -> Field:
    """The velocity of all players, [d] -> [d], at a point flattened by ravel_pytree.

    Args:
      game: without data, state or randomness.
      params: the structure of a point.
      rates: of one update of each player; alternating players move in this order.
      rule: the updates whose drift is in the flow, one of DRIFTS.

    Raises:
      ConfigError: no drift is known under that name.
      ValueError: the drift of more than two players on the shared clock.
    """
    coefficients = lookup(DRIFTS, rule, "rule")(rates, clock)
    active = active_terms(coefficients)
    _, unravel = _flat(params)

    @jax.jit
    def field(theta):
        point, key = unravel(theta), jax.random.key(0)
        slopes, _, _ = gradients(game, point, {}, None, key)
        terms = regularizer_gradients(game, coefficients, active, point, {}, None, key, "biased")
        slopes |= {x: jax.tree.map(lambda g, d: g + d, slopes[x], term) for x, term in terms.items()}
        speeds = rates if clock == "shared" else dict.fromkeys(rates, 1.0)
        return ravel_pytree({x: jax.tree.map(lambda g, s=speeds[x]: -s * g, slopes[x]) for x in slopes})[0]

    return field


def game_positions(
    game: Game,
    params: Mapping[str, Any],
    rates: Rates,
    steps: int,
    rule: str = "original",
    clock: Clock = "shared",
) -> np.ndarray:
    """Where the flow has the players after n = 0 .. steps updates, each read at its own time on the clock.

    Returns:
      [steps + 1, d], points flattened by ravel_pytree, in float64.

    Raises:
      FlowError: the flow cannot be followed so far.
    """
    theta, _ = _flat(params)
    ticks = rates if clock == "per_player" else dict.fromkeys(rates, 1.0)
    tick, _ = _flat(
        {x: jax.tree.map(lambda leaf, t=t: np.full(np.shape(leaf), t), params[x]) for x, t in ticks.items()}
    )
    times, read = np.unique(np.outer(np.arange(steps + 1), tick), return_inverse=True)
    path = integrate(modified_flow(game, params, rates, rule, clock), theta, times)
    return np.take_along_axis(path, read.reshape(steps + 1, theta.size), axis=0)


def _flat(params: Mapping[str, Any]) -> tuple[np.ndarray, Callable]:
    """(point [d] in float64, its inverse)."""
    with jax.enable_x64(True):
        flat, unravel = ravel_pytree(jax.tree.map(lambda leaf: np.asarray(leaf, float), dict(params)))
    return np.asarray(flat), unravel
