"""EigenGame: eigenvectors as the equilibrium of a game of k players, one vector each.

Two halves of one shape, products of a batch -> direction and utility -> step: `pca` for principal
components, `generalized` for A v = lambda B v. Both build on `players` and `ascent`.
"""

from lib.eigengame.ascent import initial_optimizers, initial_vectors
from lib.eigengame.metrics import (
    angles,
    comparison,
    largest_error,
    longest_streak,
    of_each,
    subspace_distance,
)
from lib.eigengame.pca import PCA_RULES, PcaRule

__all__ = [
    "PCA_RULES",
    "PcaRule",
    "angles",
    "comparison",
    "initial_optimizers",
    "initial_vectors",
    "largest_error",
    "longest_streak",
    "of_each",
    "subspace_distance",
]
