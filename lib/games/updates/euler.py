"""Plain gradient steps: all players at once, or in turn."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax

from lib.games.updates.dynamics import Dynamics, Step, split
from lib.games.updates.state import GameState


def simultaneous(dynamics: Dynamics) -> Step:
    """All players move at once, each along its own gradient at the same point.

    theta_x <- theta_x - h_x v_x(theta),  for all x
    """

    def step(state: GameState, batch: Any, key: jax.Array):
        return dynamics.move(state, dynamics.look(state, dynamics.coefficients(state), batch, key))

    return step


def alternating(dynamics: Dynamics, order: Sequence[str], num_updates: Mapping[str, int]) -> Step:
    """Players move in turn, in `order`, player x num_updates[x] times before the next.

    `batch` holds max(num_updates) batches, concatenated: the j-th update of a player's turn sees the
    j-th of them, each update draws its own latents. net_state advances with every update. Coefficients
    follow the learning rates at the step's beginning.
    """
    num_batches = max(num_updates.values())

    def step(state: GameState, batch: Any, key: jax.Array):
        coefficients = dynamics.coefficients(state)
        parts = split(batch, num_batches)
        metrics, turn = {}, 0
        for x in order:
            for j in range(num_updates[x]):
                look = dynamics.look(state, coefficients, parts[j], jax.random.fold_in(key, turn), [x])
                state, new = dynamics.move(state, look)
                metrics |= {k: v for k, v in new.items() if k not in metrics or k.startswith(f"{x}_")}
                turn += 1
        return state, metrics

    return step
