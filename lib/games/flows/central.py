"""The central flow of gradient descent at the edge of stability: where the averaged iterates go.

Gradient descent with step size h on a loss L oscillates along eigenvectors of the Hessian H whose
eigenvalues are at 2/h. With Sigma the covariance of these oscillations, its average follows

    w' = -(grad L(w) + (1/2) grad_w <H(w), Sigma>),    Sigma = U^T X U,

where the rows of U [m, d] are the critical eigenvectors, and X [m, m] is such that no eigenvalue rises
above 2/h: with S = 2/h - U H U^T, the room that is left,

    X >= 0,    S + dt dS/dt >= 0,    <X, S + dt dS/dt> = 0,    dS/dt = -<grad_w U H U^T, w'>,

a semidefinite complementarity problem (lib/games/flows/complementarity.py), for dS/dt is linear in X. Of
one eigenvalue lam at 2/h, X = max(0, -2 <grad L, grad lam>) / |grad lam|^2. Where none is critical the flow
is the gradient flow. It predicts, of gradient descent averaged over time,

    the loss  L(w) + (1/h) tr Sigma,    the squared gradient norm  |grad L(w)|^2 + (4/h^2) tr Sigma.

The flow is discretised by Euler substeps of length dt, a part of h. S + dt dS/dt is the room after a
substep, so that an eigenvalue that has drifted above 2/h is brought back by the next one.

Cohen, Damian, Talwalkar, Kolter, Lee, 'Understanding Optimization in Deep Learning with Central Flows',
ICLR 2025, arXiv 2410.24206. Their code takes 4 substeps in a step, and all eigenvalues above 0.975 (2/h)
into the problem; those are the defaults here.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from lib.games.flows.complementarity import solve_complementarity
from lib.games.flows.curvature import Eigenpairs, largest
from lib.games.flows.integration import FlowError
from lib.games.flows.losses import Loss, gradient, third_derivative


class CentralPoint(NamedTuple):
    """The central flow at a time n h, float64.

    Attributes:
      position: w, [d].
      eigenvalues: the largest of the Hessian there, [k].
      variance: tr Sigma of the oscillation, the mean over the substeps from n to n + 1.
      critical: how many eigenvalues were treated as critical, at the most of these substeps. If it is k,
        more may have been, and the flow is to be trusted only with a larger k.
      loss, squared_gradient: L and |grad L|^2 at w.
      h: the step size.
    """

    position: np.ndarray
    eigenvalues: np.ndarray
    variance: float
    critical: int
    loss: float
    squared_gradient: float
    h: float

    @property
    def mean_loss(self) -> float:
        """Returns the predicted time average of the loss of gradient descent."""
        return self.loss + self.variance / self.h

    @property
    def mean_squared_gradient(self) -> float:
        """Returns the predicted time average of its squared gradient norm."""
        return self.squared_gradient + 4 / self.h**2 * self.variance


def central_flow(
    loss: Loss,
    h: float,
    start: ArrayLike,
    steps: int,
    *,
    k: int = 3,
    substeps: int = 4,
    threshold: float = 0.975,
) -> Iterator[CentralPoint]:
    """Follows the central flow to the times n h, n = 0 .. steps.

    Args:
      loss: of a flat vector, with three derivatives.
      h: the step size of gradient descent.
      start: [d].
      k: how many eigenvalues are followed; at most d.
      substeps: Euler steps in a time h.
      threshold: eigenvalues above this part of 2/h are critical.

    Yields:
      steps + 1 points.

    Raises:
      FlowError: it has run off to infinity.
    """
    edge, dt, pairs = 2 / h, h / substeps, None
    w = np.asarray(start, np.float64)
    for n in range(steps + 1):
        with jax.enable_x64(True):
            position, traces, criticals, eigenvalues = w, [], [], None
            value = float(_value(loss, position))
            squared = float(jnp.sum(gradient(loss, position) ** 2))
            for _ in range(substeps):
                pairs = largest(loss, w, k, pairs)
                values = np.asarray(pairs.values)
                eigenvalues = values if eigenvalues is None else eigenvalues
                m = int((values >= threshold * edge).sum())
                w, trace = _substep(loss, m, w, pairs, edge, dt)
                traces.append(float(trace))
                criticals.append(m)
        if not np.isfinite([value, squared, *traces]).all():
            raise FlowError(
                f"the central flow is not finite after {n} of {steps} steps; use a smaller step size"
            )
        yield CentralPoint(
            np.asarray(position), eigenvalues, float(np.mean(traces)), max(criticals), value, squared, h
        )


@functools.partial(jax.jit, static_argnums=0)
def _value(loss: Loss, theta: jax.Array) -> jax.Array:
    return loss(theta)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _substep(
    loss: Loss, m: int, w: jax.Array, pairs: Eigenpairs, edge: float, dt: float
) -> tuple[jax.Array, jax.Array]:
    """Returns (the place a time dt later, tr X), with the first m eigenvalues critical."""
    g = gradient(loss, w)
    if m == 0:
        return w - dt * g, jnp.zeros((), w.dtype)
    slopes = curvature_slopes(loss, w, pairs.vectors[:m])
    room = jnp.diag(edge - pairs.values[:m]) + dt * slopes @ g
    x = solve_complementarity(room, dt / 2 * jnp.einsum("ijd,kld->ijkl", slopes, slopes))
    return w - dt * (g + jnp.einsum("ij,ijd->d", x, slopes) / 2), jnp.trace(x)


def curvature_slopes(loss: Loss, w: jax.Array, vectors: jax.Array) -> jax.Array:
    """Returns grad_w u_i^T H(w) u_j with the vectors held, [m, m, d].

    Args:
      vectors: u, [m, d].
    """
    m = len(vectors)
    rows, columns = np.triu_indices(m)
    upper = jax.vmap(functools.partial(third_derivative, loss, w))(vectors[rows], vectors[columns])
    place = np.zeros((m, m), int)
    place[rows, columns] = place[columns, rows] = np.arange(len(rows))
    return upper[place]
