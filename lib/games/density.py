"""The whole spectrum of a symmetric operator: its density, by stochastic Lanczos quadrature.

    phi(lam) = 1/n sum_i delta(lam - lam_i)  ~  mean over probes of sum_j w_j delta(lam - theta_j)

Each probe v, of random signs, is the first vector of a Lanczos iteration; theta_j are the eigenvalues of
its tridiagonal matrix, w_j the squares of their vectors' first components (Gauss's quadrature of
v^T f(A) v).

Ghorbani, Krishnan, Xiao, 'An Investigation into Neural Net Optimization via Hessian Eigenvalue Density',
ICML 2019.
"""

from typing import NamedTuple

import jax
import numpy as np

from lib.games.operators import Operator
from lib.runtime.progress import Progress

_ROUNDING = 1e-6  # of an entry beside the diagonal, as a share of the largest until then


class Density(NamedTuple):
    """The quadrature of a spectrum.

    Attributes:
      size: n.
      nodes: [probes, depth], where eigenvalues are.
      weights: [probes, depth], which share of them; those of a probe sum to 1.
    """

    size: int
    nodes: np.ndarray
    weights: np.ndarray

    def moment(self, power: int) -> tuple[float, float]:
        """Returns sum_i lam_i^power, of power 1 the trace, and the standard error of the probes' mean."""
        of_probes = self.size * np.sum(self.weights * self.nodes**power, 1)
        spread = of_probes.std(ddof=1) if len(of_probes) > 1 else np.nan
        return float(of_probes.mean()), float(spread / np.sqrt(len(of_probes)))

    def at(self, values: np.ndarray, width: float) -> np.ndarray:
        """Returns how many eigenvalues there are per unit, smoothed by a normal distribution.

        Args:
          values: [m], where.
          width: its standard deviation.
        """
        kernel = np.exp(-((values[:, None] - self.nodes.ravel()) ** 2) / (2 * width**2))
        shares = self.weights.ravel() / len(self.weights)
        return self.size * kernel @ shares / (width * np.sqrt(2 * np.pi))


def spectral_density(
    operator: Operator, probes: int = 8, depth: int = 80, seed: int = 0, progress: Progress | None = None
) -> Density:
    """Estimates the density of a symmetric operator's eigenvalues, by probes * depth products.

    Args:
      probes: random vectors; their mean's error falls with the root of their number.
      depth: steps of each Lanczos iteration, reorthogonalised, at most n; they need depth vectors.
      seed: of the probes.
      progress: advances by each of them.

    Raises:
      ValueError: the operator is not known to be symmetric.
      FloatingPointError: a product is not finite.
    """
    from matfree import decomp  # here: runs that train need none of it

    if not operator.symmetric:
        raise ValueError("the density is one of symmetric operators")
    tridiagonal = decomp.tridiag_sym(min(depth, operator.size), custom_vjp=False)
    decompose = jax.jit(lambda v: tridiagonal(operator.apply, v)[1])
    nodes, weights = [], []
    for key in jax.random.split(jax.random.key(seed), probes):
        probe = jax.random.rademacher(key, (operator.size,), operator.dtype)
        matrix = np.asarray(decompose(probe), float)
        known = _whole(matrix)
        if not np.isfinite(known).all():
            raise FloatingPointError("a product is not finite")
        values, vectors = np.linalg.eigh(known)
        if progress:
            progress.advance(1)
            progress.show({})
        rest = len(matrix) - len(values)  # nodes without weight
        nodes.append(np.pad(values, (0, rest), "edge"))
        weights.append(np.pad(vectors[0] ** 2, (0, rest)))
    return Density(operator.size, np.array(nodes), np.array(weights))


def _whole(matrix: np.ndarray) -> np.ndarray:
    """Returns the part of a tridiagonal matrix up to where its iteration has found a whole space.

    There the next vector is 0 up to rounding, and what the iteration makes of it, NaN if it is exactly 0,
    is none of the operator's.
    """
    beside = np.abs(np.diag(matrix, 1))
    largest = np.maximum.accumulate(np.maximum(np.abs(np.diag(matrix))[:-1], beside))
    small = beside <= _ROUNDING * largest
    return matrix[: small.argmax() + 1, : small.argmax() + 1] if small.any() else matrix
