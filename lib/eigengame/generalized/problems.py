"""Problems A v = lambda B v whose matrices are means over rows: two views of a set, an inverse, ICA.

Rows [b, p + q] of two views hold both side by side, x [b, p] and y [b, q]. These problems maximise what x w
and y z have in common over v = (w, z), d = p + q:

    A = [[0, Cxy], [Cyx, 0]]

cca: B = [[Cxx + epsilon I, 0], [0, Cyy + epsilon I]]: lambda is a canonical correlation (Hotelling, 1936;
  with epsilon: Vinod, 'Canonical ridge and econometrics of joint production', 1976).
pls: B = I: lambda is a singular value of Cxy, a covariance.
mlr: B = [[Cxx + epsilon I, 0], [0, I]]: lambda is a singular value of (Cxx + epsilon I)^-1/2 Cxy, what a
  linear regression of y on x explains (multivariate linear regression of Borga, Landelius, Knutsson, 'A
  unified approach to PCA, PLS, MLR and CCA', 1997). The code of the EigenGame papers calls it PLS.

Their eigenvalues come in pairs: (w, -z) has -lambda. Of one view, with C = E[x x^T]:

inverse: A = I, B = C + epsilon I: lambda is one over an eigenvalue of B, and with v_i^T B v_i = 1 the
  inverse of B is sum_i v_i v_i^T over all d of them.
ica: A = E[|x|^2 x x^T] - tr(C) C - 2 C^2, B = C + epsilon I. Of x = M s with independent sources s of
  variance 1 and excess kurtosis kappa, and epsilon = 0, the eigenvectors are the rows of M^-1, which
  unmix, and lambda_i = kappa_i |m_i|^2 (Gemp, Chen, McWilliams, ICLR 2023, section 5).
"""

import abc
import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

Means = Mapping[str, jax.Array]


class Problem(abc.ABC):
    """A and B, by their products with vectors and by means over rows."""

    @abc.abstractmethod
    def __call__(self, vectors: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns unbiased estimates of (A v_j, B v_j), both [k, d], of vectors [k, d] and rows [b, d]."""

    @abc.abstractmethod
    def moments(self, vectors: jax.Array, rows: jax.Array, weights: jax.Array) -> dict[str, jax.Array]:
        """Returns sums over rows [b, d] with weights [b], which make `grams` where the weights' sum is 1.

        So a set can be read in parts.
        """

    @abc.abstractmethod
    def grams(self, means: Means) -> tuple[jax.Array, jax.Array]:
        """Returns (v_i^T A v_j, v_i^T B v_j), both [k, k], from the moments of a whole set."""


@dataclasses.dataclass(frozen=True)
class TwoViews(Problem):
    """A problem of the first p features with the others.

    Attributes:
      p: how many features the first view has.
      epsilon: added to the diagonal of B where it has a covariance.
      covariances: whether B has the covariance of the first view, and of the second; else the identity.
    """

    p: int
    epsilon: float
    covariances: tuple[bool, bool]

    def __call__(self, vectors: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns A v = (x^T y z, y^T x w) / b, and B v, whose views are x^T x w / b + epsilon w, or w."""
        views = self._views(vectors, rows)
        (x, w, xw), (y, z, yz) = views
        a = jnp.concatenate([yz.T @ x, xw.T @ y], 1) / len(rows)
        b = [
            s.T @ r / len(rows) + self.epsilon * v if has else v
            for has, (r, v, s) in zip(self.covariances, views, strict=True)
        ]
        return a, jnp.concatenate(b, 1)

    def moments(self, vectors: jax.Array, rows: jax.Array, weights: jax.Array) -> dict[str, jax.Array]:
        """Returns Gram matrices of variates: `cross` w_i^T Cxy z_j, and B's of the `first`, `second`."""
        views = self._views(vectors, rows)
        (_, _, xw), (_, _, yz) = views
        own = [
            (weights[:, None] * s).T @ s + self.epsilon * weights.sum() * v @ v.T
            if has
            else weights.sum() * v @ v.T
            for has, (_, v, s) in zip(self.covariances, views, strict=True)
        ]
        return {"cross": (weights[:, None] * xw).T @ yz, "first": own[0], "second": own[1]}

    def grams(self, means: Means) -> tuple[jax.Array, jax.Array]:
        """Returns the sums of both views."""
        return means["cross"] + means["cross"].T, means["first"] + means["second"]

    def _views(self, vectors: jax.Array, rows: jax.Array):
        """Returns (rows, vectors, variates [b, k]) of either view."""
        both = ((rows[:, s], vectors[:, s]) for s in (slice(self.p), slice(self.p, None)))
        return [(r, v, r @ v.T) for r, v in both]


def cca(p: int, epsilon: float) -> Problem:
    """Returns the problem of canonical correlations of the first p features with the others."""
    return TwoViews(p, epsilon, (True, True))


def pls(p: int) -> Problem:
    """Returns the problem of partial least squares, covariances of the first p features with the others."""
    return TwoViews(p, 0.0, (False, False))


def mlr(p: int, epsilon: float) -> Problem:
    """Returns the problem of multivariate linear regression of the other features on the first p."""
    return TwoViews(p, epsilon, (True, False))


@dataclasses.dataclass(frozen=True)
class Inverse(Problem):
    """The inverse of C + epsilon I."""

    epsilon: float

    def __call__(self, vectors: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns A v = v, B v = x^T x v / b + epsilon v."""
        return vectors, (rows @ vectors.T).T @ rows / len(rows) + self.epsilon * vectors

    def moments(self, vectors: jax.Array, rows: jax.Array, weights: jax.Array) -> dict[str, jax.Array]:
        """Returns v_i^T v_j and v_i^T B v_j."""
        xv, vv = rows @ vectors.T, weights.sum() * vectors @ vectors.T
        return {"a": vv, "b": (weights[:, None] * xv).T @ xv + self.epsilon * vv}

    def grams(self, means: Means) -> tuple[jax.Array, jax.Array]:
        """Returns both."""
        return means["a"], means["b"]


@dataclasses.dataclass(frozen=True)
class Ica(Problem):
    """Independent components by their kurtosis.

    Attributes:
      epsilon: added to the diagonal of B.
      sign: 1: sources whose kurtosis is above a normal's come first; -1: those below it, by -A.
    """

    epsilon: float
    sign: float = 1.0

    def __call__(self, vectors: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns A v and B v; the factors of products of means are of different halves of the rows."""
        xv = rows @ vectors.T
        fourth = (xv * jnp.sum(rows**2, 1, keepdims=True)).T @ rows / len(rows)
        half = len(rows) // 2
        first, second = rows[:half], rows[half:]

        def covariance(x: jax.Array, v: jax.Array) -> jax.Array:
            return (x @ v.T).T @ x / len(x)

        products = 0.0
        for one, other in ((first, second), (second, first)):
            cv = covariance(one, vectors)
            trace = jnp.mean(jnp.sum(other**2, 1))
            products += (trace * cv + 2 * covariance(other, cv)) / 2
        return self.sign * (fourth - products), covariance(rows, vectors) + self.epsilon * vectors

    def moments(self, vectors: jax.Array, rows: jax.Array, weights: jax.Array) -> dict[str, jax.Array]:
        """Returns v_i^T E[|x|^2 x x^T] v_j, v_i^T C v_j, C v_i, tr(C) and v_i^T v_j."""
        xv, norm = rows @ vectors.T, jnp.sum(rows**2, 1)
        weighted = weights[:, None] * xv
        return {
            "fourth": (weighted * norm[:, None]).T @ xv,
            "c": weighted.T @ xv,
            "cv": weighted.T @ rows,
            "trace": jnp.sum(weights * norm),
            "vv": weights.sum() * vectors @ vectors.T,
        }

    def grams(self, means: Means) -> tuple[jax.Array, jax.Array]:
        """Returns them from products of whole means."""
        a = means["fourth"] - means["trace"] * means["c"] - 2 * means["cv"] @ means["cv"].T
        return self.sign * a, means["c"] + self.epsilon * means["vv"]
