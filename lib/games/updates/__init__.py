"""Update rules: how the players of a game move, whatever the game.

`make` builds a rule by name from the game, an optimiser for each player and the regularisers: pure functions
that make a GameState and take it one step further.
"""

from lib.games.updates.dynamics import Step
from lib.games.updates.registry import RULES, Options, Rule, make
from lib.games.updates.state import GameState, Regularizers, Weights

__all__ = ["RULES", "GameState", "Options", "Regularizers", "Rule", "Step", "Weights", "make"]
