"""The flows that a toy game's picture can show beside the steps of one method."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import numpy as np

from lib.games import flows
from lib.games.config import first_nonzero
from lib.games.toys import Toy
from lib.optimizers.schedules import CONSTANT

if TYPE_CHECKING:
    from experiments.games.config import GamesSection, Method

# Of two players: {name: (the flow is modified by the drift of the method, clock)}
_OF_PLAYERS = {
    "original": (False, "shared"),
    "modified_shared": (True, "shared"),
    "modified_per_player": (True, "per_player"),
}


def known(toy: Toy) -> tuple[str, ...]:
    """Names of the flows of a game."""
    return tuple(flows.FLOWS if len(toy.sizes) == 1 else _OF_PLAYERS)


def has_flows(method: "Method") -> bool:
    """Whether a method is one whose flows are known: plain SGD, nothing added, one update in a turn."""
    return (
        method.updates in flows.DRIFTS
        and all(o.is_plain_sgd and o.schedule.name == CONSTANT for o in method.optimizers.values())
        and set(method.turns().values()) == {1}
        and not _adds(method)
    )


def _adds(method: "Method") -> bool:
    """Whether anything is added to the players' gradients."""
    section = method.grad_regularizes
    terms = (section.dd_coeffs_multiplier, section.explicit_non_dd_coeffs, section.rk_after_explicit_coeffs)
    return bool(method.sga.weight) or any(map(first_nonzero, terms))


def positions(section: "GamesSection", name: str, start: Sequence[float], steps: int) -> np.ndarray:
    """Where a flow of the method `flows_of` is after n = 0 .. steps updates from `start`, [steps + 1, d].

    Of a complex flow, the real part.

    Raises:
      lib.games.flows.FlowError: the flow cannot be followed so far.
    """
    method = section.methods[section.flows_of]
    rates = {x: method.optimizers[x].learning_rate for x in method.as_options().order}
    with jax.enable_x64(True):
        toy = section.as_toy()
        if len(toy.sizes) == 1:
            (rate,) = rates.values()
            loss = lambda theta: toy.losses(theta)[0]
            return flows.loss_positions(name, loss, rate, start, steps).real
        modified, clock = _OF_PLAYERS[name]
        drifts = flows.DRIFTS[method.updates](rates, clock) if modified else None
        return flows.game_positions(toy.game, toy.params(start), rates, steps, drifts, clock)
