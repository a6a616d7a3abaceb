"""EigenGame: principal components as the equilibrium of a game of k players, one vector each."""

from lib.eigengame.metrics import angles, comparison, largest_error, longest_streak, subspace_distance
from lib.eigengame.rules import RULES, Rule, initial_optimizers, initial_vectors, step

__all__ = [
    "RULES",
    "Rule",
    "angles",
    "comparison",
    "initial_optimizers",
    "initial_vectors",
    "largest_error",
    "longest_streak",
    "step",
    "subspace_distance",
]
