"""Update rules: how the players of a game move, whatever the game.

`make` binds a rule, by name, to a game, an optimiser for each player and the regularisers: pure functions
that make a GameState and take it one step further.
"""

from lib.games.updates.dynamics import Step
from lib.games.updates.registry import UPDATE_RULES, make
from lib.games.updates.rule import BoundRule, Options, UpdateRule
from lib.games.updates.state import GameState, Regularizers, Weights

__all__ = [
    "UPDATE_RULES",
    "BoundRule",
    "GameState",
    "Options",
    "Regularizers",
    "Step",
    "UpdateRule",
    "Weights",
    "make",
]
