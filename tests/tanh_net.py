"""A network of one hidden layer on fixed data, in JAX and by hand in NumPy; and training by an optimiser.

f(theta) = mean of (tanh(x w) v + c - y)^2 / 2, which can be 0: three examples, 17 parameters. As a vector
theta is (c, v, w), the order of JAX's leaves.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

_RANDOM = np.random.default_rng(0)
X, Y = _RANDOM.standard_normal((3, 3)), 2 * _RANDOM.standard_normal(3)
THETA = {"w": _RANDOM.standard_normal((3, 4)), "out": {"v": _RANDOM.standard_normal(4), "c": np.array(0.3)}}


def loss(theta, x=X, y=Y) -> jax.Array:
    """Returns f, for JAX."""
    # JAX keeps what it made of an array of NumPy, in float32 if that was its precision then: give it new
    # ones.
    x, y = (z.copy() if isinstance(z, np.ndarray) else z for z in (x, y))
    out = theta["out"]
    return jnp.mean((jnp.tanh(x @ theta["w"]) @ out["v"] + out["c"] - y) ** 2) / 2


def flat(theta) -> np.ndarray:
    """Returns the parameters as one vector."""
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(theta)])


def value_and_gradient(theta: np.ndarray) -> tuple:
    """Computes (f, its gradient) by hand, also at complex parameters."""
    c, v, w = theta[0], theta[1:5], theta[5:].reshape(3, 4)
    hidden = np.tanh(X @ w)
    error = hidden @ v + c - Y
    inside = error[:, None] * v * (1 - hidden**2)
    gradient = np.concatenate([[error.sum()], hidden.T @ error, (X.T @ inside).ravel()]) / len(Y)
    return np.mean(error**2) / 2, gradient


def hessian_vector_product(theta: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Computes H v, exact up to rounding.

    The gradient by hand is analytic, so that Im grad f(theta + i e v) / e is H v.
    """
    e = 1e-30
    return value_and_gradient(theta + 1j * e * vector)[1].imag / e


def trained_all(optimizers, steps, loss=loss, **compiler_options) -> dict:
    """Trains on the whole data, all in one compiled program.

    Args:
      optimizers: {key: (optimiser, the parameters that it starts at)}.
      compiler_options: XLA's.

    Returns:
      {key: (parameters, [steps] rates that were chosen; None of one that chooses none)}.
    """

    def step(carry, _):
        new, rates = {}, {}
        for key, (theta, state) in carry.items():
            value, grads = jax.value_and_grad(loss)(theta)
            update = optimizers[key][0].update
            updates, state = update(grads, state, theta, value=value, value_fn=loss, unknown=1)
            new[key] = optax.apply_updates(theta, updates), state
            rates[key] = optax.tree.get(state, "step_size")
        return new, rates

    @functools.partial(jax.jit, compiler_options=compiler_options or None)
    def run(thetas):
        start = {key: (theta, optimizers[key][0].init(theta)) for key, theta in thetas.items()}
        return jax.lax.scan(step, start, length=steps)

    end, rates = run({key: jax.tree.map(jnp.asarray, theta) for key, (_, theta) in optimizers.items()})
    return {key: (end[key][0], rates[key]) for key in optimizers}


def trained(optimizer, theta, steps, loss=loss):
    """Trains on the whole data; returns (parameters, [steps] rates that were chosen)."""
    return trained_all({"": (optimizer, theta)}, steps, loss)[""]
