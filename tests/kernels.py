"""Random kernels in float64, and their singular values by NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from lib.nets.spectral_norm import power_iteration

SHAPES = [(6, 4), (3, 7), (3, 3, 2, 5)]


def normal(seed: int, *shape: int) -> jax.Array:
    """Draws a normal array."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def gapped(shape: tuple[int, ...]) -> jax.Array:
    """Returns a random kernel whose largest singular value, 3, is twice the next one."""
    matrix = np.asarray(normal(0, *shape)).reshape(-1, shape[-1])
    v, s, ut = np.linalg.svd(matrix, full_matrices=False)
    return jnp.asarray(((v * np.r_[3, np.linspace(1.5, 0.5, len(s) - 1)]) @ ut).reshape(shape))


def singular(weights: jax.Array) -> tuple[float, np.ndarray, np.ndarray]:
    """Returns the largest singular value and its vectors v, u."""
    v, s, ut = np.linalg.svd(np.asarray(weights).reshape(-1, weights.shape[-1]), full_matrices=False)
    return s[0], v[:, 0], ut[0]


def unit(x):
    """Returns x / |x|."""
    return x / np.linalg.norm(x)


@jax.jit
def converged(weights: jax.Array) -> jax.Array:
    """Returns u after 60 steps of power iteration."""
    start = normal(1, weights.shape[-1])
    return jax.lax.fori_loop(0, 60, lambda _, u: power_iteration(weights, u)[1], start)


def tree_of_kernels() -> dict:
    """Returns the parameters of two layers and a normalisation."""
    return {
        "Conv_0": {"kernel": gapped((3, 3, 2, 5)), "bias": normal(2, 5)},
        "Dense_0": {"kernel": normal(3, 6, 4), "bias": normal(4, 4)},
        "norm": {"scale": normal(5, 4)},
    }


KERNELS = ["Conv_0/kernel", "Dense_0/kernel"]


def as_dict(params: dict) -> dict:
    """Returns {path: array}."""
    return {f"{layer}/{name}": w for layer, leaves in params.items() for name, w in leaves.items()}
