"""What points are drawn from, where that is known: normal distributions, and mixtures of round ones."""

from typing import NamedTuple

import numpy as np


class Normal(NamedTuple):
    """N(0, V^T diag(lam) V).

    Attributes:
      eigenvalues: lam, float64 [d], the largest first.
      eigenvectors: V = U^T, float64 [d, d]: the i-th row belongs to the i-th eigenvalue.
    """

    eigenvalues: np.ndarray
    eigenvectors: np.ndarray

    @property
    def factor(self) -> np.ndarray:
        """Returns diag(sqrt(lam)) V, float32 [d, d]: rows z of independent normals become z @ factor."""
        return (np.sqrt(self.eigenvalues)[:, None] * self.eigenvectors).astype(np.float32)


class Mixture(NamedTuple):
    """Equally likely round Gaussians in the plane.

    Attributes:
      means: (x, y) of each mode.
      std: of both coordinates, the same for all modes.
    """

    means: tuple[tuple[float, float], ...]
    std: float
