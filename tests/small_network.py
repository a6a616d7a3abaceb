"""A loss of a small tanh network as a function of a flat vector, for oracles with dense derivatives."""

import jax.numpy as jnp
import numpy as np

_INPUTS = np.random.default_rng(0).standard_normal((12, 3))
_TARGETS = np.sin(2 * _INPUTS[:, 0]) + _INPUTS[:, 1] * _INPUTS[:, 2]
WIDTH = 6
SIZE = 5 * WIDTH


def loss(theta):
    """Returns the mean squared error of a network 3-6-1, of its SIZE parameters."""
    first, bias, last = jnp.split(theta, [3 * WIDTH, 4 * WIDTH])
    hidden = jnp.tanh(_INPUTS @ first.reshape(3, WIDTH) + bias[None])
    return jnp.mean((hidden @ last - _TARGETS) ** 2)


def place(seed=1, size=1.0):
    """Returns random parameters."""
    return jnp.asarray(size * np.random.default_rng(seed).standard_normal(SIZE))
