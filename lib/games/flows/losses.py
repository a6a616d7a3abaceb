"""Flows of one loss E(theta) that follow gradient descent, theta <- theta - h g, better and better.

With g = grad E, its Hessian H, and eigenpairs H u_i = lam_i u_i,

    gradient_flow     theta' = -g                                                      local error O(h^2)
    igr               theta' = -(g + (h/2) H g)                                                    O(h^3)
    principal_flow    theta' = r(h H) g = sum_i r(h lam_i) (u_i . g) u_i,
                      r(z) = log(1 - z) / z = -(1 + z/2 + z^2/3 + ..)                              O(h^3)
    .. third order    theta' = r(h H) g - (h^2/12) grad(g^T H g), the outer g stopped              O(h^4)

Where h lam > 1 the logarithm is complex and so is the path of the principal flow: gradient descent jumps
over the minimum along u, and the flow goes around it. On a quadratic loss exp(h lam r(h lam)) = 1 - h lam
makes the principal flow pass through every iterate whatever h; it is unstable, Re r > 0, where h lam > 2.

A loss is a JAX function of a flat vector. For the principal flow it must be analytic (polynomials, exp, cos
.., no absolute values or conditions): it is evaluated at complex theta, and its H there is complex
symmetric.

Barrett and Dherin, 'Implicit Gradient Regularization', ICLR 2021 (IGR); Rosca, Wu, Qin, Dherin, 'On a
continuous time model of gradient descent dynamics and instability in deep learning', TMLR 2023 (principal
flow). The signs of the order h^2 are those of the modified equation of Euler's method,
f - (h/2) f'f + h^2 (f''(f, f)/12 + f'f'f/3), at f = -g.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from lib.errors import lookup
from lib.games.flows.integration import Field, integrate

Loss = Callable[[jax.Array], jax.Array]  # [d] -> scalar
_EPS = np.finfo(float).eps


def _of_loss(derivative: Callable) -> Callable:
    """Compiles `(loss, theta) -> ..` once for each loss."""
    return functools.partial(jax.jit, static_argnums=0)(derivative)


@_of_loss
def gradient(loss: Loss, theta: jax.Array) -> jax.Array:
    """Returns g = dE/dtheta, [d]; the complex derivative at complex theta."""
    return jax.grad(loss, holomorphic=jnp.iscomplexobj(theta))(theta)


@_of_loss
def hessian(loss: Loss, theta: jax.Array) -> jax.Array:
    """Returns H, [d, d]."""
    return jax.jacfwd(functools.partial(gradient, loss), holomorphic=jnp.iscomplexobj(theta))(theta)


def hessian_product(loss: Loss, theta: jax.Array, v: jax.Array) -> jax.Array:
    """Returns H v, [d]."""
    return jax.jvp(functools.partial(gradient, loss), (theta,), (v,))[1]


def third_derivative(loss: Loss, theta: jax.Array, u: jax.Array, v: jax.Array) -> jax.Array:
    """Returns grad(u^T H v) with u and v stopped, the third derivative of E along u and v: [d]."""
    return jax.jvp(lambda p: hessian_product(loss, p, v), (theta,), (u,))[1]


@_of_loss
def _igr_gradient(loss: Loss, theta: jax.Array, h: float) -> jax.Array:
    """Returns g + (h/2) H g, [d]."""
    g = gradient(loss, theta)
    return g + h / 2 * hessian_product(loss, theta, g)


@_of_loss
def _non_principal(loss: Loss, theta: jax.Array) -> jax.Array:
    """Returns grad(g^T H g) with g stopped: [d]."""
    g = gradient(loss, theta)
    return third_derivative(loss, theta, g, g)


def gradient_flow(loss: Loss, h: float) -> Field:
    """Returns the field of theta' = -g, whatever h."""
    return lambda theta: -gradient(loss, theta)


def igr(loss: Loss, h: float) -> Field:
    """Returns the field of implicit gradient regularisation, theta' = -(g + (h/2) H g).

    It is the gradient flow of E + (h/4) ||g||^2 (Barrett and Dherin, 2021).
    """
    return lambda theta: -_igr_gradient(loss, theta, h)


def principal_coefficient(z: ArrayLike) -> np.ndarray:
    """Returns r(z) = log(1 - z) / z, complex, of any shape.

    r(0) is its limit -1. At z = 1, where r has no finite limit, |1 - z| is kept at the precision of
    float64: the flow then loses its component, as far as numbers go, in a time h.

    The logarithm is cut along the negative imaginary axis. It is the principal one for real z, and smooth
    around all of them but z = 1; the principal one would jump wherever h lam > 1 turns slightly complex.
    A path that meets this cut, far from any quadratic, ends there with a FlowError.
    """
    from scipy.special import log1p  # here: a run that needs no scipy starts sooner

    z = np.asarray(z, complex)
    logarithm = log1p(-np.where(np.abs(1 - z) < _EPS, 1 - _EPS, z))
    logarithm = np.where(logarithm.imag < -np.pi / 2, logarithm + 2j * np.pi, logarithm)
    return np.where(z == 0, -1, logarithm / np.where(z == 0, 1, z))


def principal_flow(loss: Loss, h: float, third_order: bool = False) -> Field:
    """Returns the field of the principal flow, complex (Rosca et al., 2023).

    theta' = sum_i r(h lam_i) (u_i . g) u_i

    Args:
      third_order: with the non-principal term -(h^2/12) grad(g^T H g), g stopped.
    """

    def field(theta: np.ndarray) -> np.ndarray:
        g = np.asarray(gradient(loss, theta))
        lam, u = _eigen(np.asarray(hessian(loss, theta)))
        velocity = u @ (principal_coefficient(h * lam) * np.linalg.solve(u, g))
        if third_order:
            velocity = velocity - h**2 / 12 * np.asarray(_non_principal(loss, theta))
        return velocity

    return field


def _eigen(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns (lam [d], u [d, d] with columns u_i) of a symmetric matrix, which may be complex."""
    if not np.imag(matrix).any():
        return np.linalg.eigh(np.real(matrix))
    return np.linalg.eig(matrix)


FLOWS: dict[str, Callable[[Loss, float], Field]] = {
    "gradient_flow": gradient_flow,
    "igr": igr,
    "principal_flow": principal_flow,
    "principal_flow_third_order": functools.partial(principal_flow, third_order=True),
}


def loss_positions(name: str, loss: Loss, h: float, start: ArrayLike, steps: int) -> np.ndarray:
    """Follows the flow of that name to the times n h of the iterates n = 0 .. steps.

    Returns:
      [steps + 1, d], the places at these times, float64 or complex128.

    Raises:
      ConfigError: no flow has that name.
      FlowError: the flow cannot be followed so far.
    """
    return integrate(lookup(FLOWS, name, "flow")(loss, h), start, h * np.arange(steps + 1))


def gradient_descent(loss: Loss, h: float, start: ArrayLike, steps: int) -> np.ndarray:
    """Returns the iterates theta <- theta - h g, n = 0 .. steps, [steps + 1, d], in float64."""
    with jax.enable_x64(True):
        iterates = [np.asarray(start, float)]
        for _ in range(steps):
            iterates.append(iterates[-1] - h * np.asarray(gradient(loss, iterates[-1])))
    return np.stack(iterates)
