"""A network of one hidden layer on fixed data, in JAX and by hand in NumPy; and training by an optimiser.

f(theta) = mean of (tanh(x w) v + c - y)^2 / 2, which can be 0: three examples, 17 parameters. As a vector theta is
(c, v, w), the order of JAX's leaves.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

_RANDOM = np.random.default_rng(0)
X, Y = _RANDOM.standard_normal((3, 3)), 2 * _RANDOM.standard_normal(3)
THETA = {"w": _RANDOM.standard_normal((3, 4)), "out": {"v": _RANDOM.standard_normal(4), "c": np.array(0.3)}}


def loss(theta, x=X, y=Y) -> jax.Array:
    """f, for JAX."""
    # JAX keeps what it made of an array of NumPy, in float32 if that was its precision at the time: give it new ones.
    x, y = (z.copy() if isinstance(z, np.ndarray) else z for z in (x, y))
    out = theta["out"]
    return jnp.mean((jnp.tanh(x @ theta["w"]) @ out["v"] + out["c"] - y) ** 2) / 2


def flat(theta) -> np.ndarray:
    """The parameters as one vector."""
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(theta)])


def value_and_gradient(theta: np.ndarray) -> tuple:
    """(f, its gradient) by hand, also at complex parameters."""
    c, v, w = theta[0], theta[1:5], theta[5:].reshape(3, 4)
    hidden = np.tanh(X @ w)
    error = hidden @ v + c - Y
    inside = error[:, None] * v * (1 - hidden**2)
    gradient = np.concatenate([[error.sum()], hidden.T @ error, (X.T @ inside).ravel()]) / len(Y)
    return np.mean(error**2) / 2, gradient


def hessian_vector_product(theta: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """H v, exact up to rounding: the gradient by hand is analytic, so that Im grad f(theta + i e v) / e is H v."""
    e = 1e-30
    return value_and_gradient(theta + 1j * e * vector)[1].imag / e


def trained(optimizer, theta, steps, loss=loss):
    """(parameters, [steps] rates that were chosen) after steps of the whole data."""

    def step(carry, _):
        theta, state = carry
        value, grads = jax.value_and_grad(loss)(theta)
        updates, state = optimizer.update(grads, state, theta, value=value, value_fn=loss, unknown=1)
        return (optax.apply_updates(theta, updates), state), optax.tree.get(state, "step_size")

    theta = jax.tree.map(jnp.asarray, theta)
    start = (theta, optimizer.init(theta))
    (theta, _), rates = jax.jit(lambda c: jax.lax.scan(step, c, length=steps))(start)
    return theta, rates
