"""Flows: continuous dynamics that discrete updates are compared with, of single losses and of games.

losses.py          gradient flow, implicit gradient regularisation, principal flow
players.py         the flow of a game and the modified flows of its updates, on both clocks
backward_error.py  modified flows of updates up to third order, on the shared clock
central.py         the central flow at the edge of stability
  complementarity.py   what sets its oscillation
  curvature.py         the largest Hessian eigenvalues along a path
integration.py     the solver of all of them
"""

from lib.games.flows.backward_error import frozen, update_flow, update_positions
from lib.games.flows.central import CentralPoint, central_flow
from lib.games.flows.integration import FlowError, integrate
from lib.games.flows.losses import (
    FLOWS,
    gradient_descent,
    gradient_flow,
    igr,
    loss_positions,
    principal_coefficient,
    principal_flow,
)
from lib.games.flows.players import DRIFTS, GAME_FLOWS, flatten, game_positions, modified_flow

__all__ = [
    "CentralPoint",
    "DRIFTS",
    "FLOWS",
    "GAME_FLOWS",
    "FlowError",
    "central_flow",
    "flatten",
    "frozen",
    "game_positions",
    "gradient_descent",
    "gradient_flow",
    "igr",
    "integrate",
    "loss_positions",
    "modified_flow",
    "names",
    "principal_coefficient",
    "principal_flow",
    "update_flow",
    "update_positions",
]


def names(num_players: int) -> tuple[str, ...]:
    """Returns the names of the flows of a game of one or two players."""
    return tuple(FLOWS if num_players == 1 else GAME_FLOWS)
