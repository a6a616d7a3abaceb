"""EigenGame: principal components as the equilibrium of a game of k players, one vector each."""

from lib.eigengame.rules import RULES, Rule
from lib.eigengame.truth import angles, longest_streak, subspace_distance

__all__ = ["RULES", "Rule", "angles", "longest_streak", "subspace_distance"]
