"""The semidefinite complementarity problem of central flows, for matrices of a few rows."""

import functools

import jax
import jax.numpy as jnp

_TOLERANCE = 1e-10
_ITERATIONS = 5000


@functools.partial(jax.jit, static_argnames="iterations")
def solve_complementarity(a: jax.Array, b: jax.Array, iterations: int = _ITERATIONS) -> jax.Array:
    """Returns X with X >= 0, A + B[X] >= 0 and <X, A + B[X]> = 0, in the order of semidefinite matrices.

    It minimises <A, X> + <X, B[X]> / 2 over X >= 0, by projected gradients with Nesterov's momentum, which
    starts anew where it points uphill (Beck, Teboulle, 'A fast iterative shrinkage-thresholding algorithm',
    2009; O'Donoghue, Candes, 'Adaptive restart for accelerated gradient schemes', 2015). Of one row it is
    max(0, -a / b), after one iteration.

    Args:
      a: [m, m], symmetric.
      b: [m, m, m, m], a positive semidefinite map of symmetric matrices, B[X]_ij = b_ijkl X_kl.
      iterations: at the most.

    Returns:
      [m, m]. Where B has directions in which A falls without bound there is no solution, and this is where
      the iteration has come to.
    """
    m = len(a)
    steepest = jnp.linalg.eigvalsh(b.reshape(m * m, m * m))[-1]
    size = 1 / jnp.where(steepest > 0, steepest, 1.0)
    goal = _TOLERANCE * size * jnp.linalg.norm(a)

    def unfinished(carry: tuple) -> jax.Array:
        *_, change, i = carry
        return (change > goal) & (i < iterations)

    def iterate(carry: tuple) -> tuple:
        x, ahead, t, _, i = carry
        new = _positive(ahead - size * (a + jnp.einsum("ijkl,kl->ij", b, ahead)))
        uphill = jnp.sum((ahead - new) * (new - x)) > 0
        t_new = jnp.where(uphill, 1.0, (1 + jnp.sqrt(1 + 4 * t**2)) / 2)
        weight = jnp.where(uphill, 0.0, (t - 1) / t_new)
        return new, new + weight * (new - x), t_new, jnp.linalg.norm(new - ahead), i + 1

    zero = jnp.zeros_like(a)
    return jax.lax.while_loop(unfinished, iterate, (zero, zero, jnp.ones((), a.dtype), jnp.inf, 0))[0]


def _positive(x: jax.Array) -> jax.Array:
    """Returns the nearest positive semidefinite matrix."""
    values, vectors = jnp.linalg.eigh((x + x.T) / 2)
    return jnp.einsum("ia,a,ja->ij", vectors, jnp.maximum(values, 0), vectors)
