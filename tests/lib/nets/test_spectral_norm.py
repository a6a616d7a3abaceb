"""Spectral normalisation against NumPy's singular values and Flax's layer, in float64."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib.nets.spectral_norm import power_iteration

SHAPES = [(6, 4), (3, 7), (3, 3, 2, 5)]


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def gapped(shape: tuple[int, ...]) -> jax.Array:
    """A random kernel whose largest singular value, 3, is twice the next one."""
    matrix = np.asarray(normal(0, *shape)).reshape(-1, shape[-1])
    v, s, ut = np.linalg.svd(matrix, full_matrices=False)
    return jnp.asarray(((v * np.r_[3, np.linspace(1.5, 0.5, len(s) - 1)]) @ ut).reshape(shape))


def singular(weights: jax.Array) -> tuple[float, np.ndarray, np.ndarray]:
    """The largest singular value and its vectors v, u."""
    v, s, ut = np.linalg.svd(np.asarray(weights).reshape(-1, weights.shape[-1]))
    return s[0], v[:, 0], ut[0]


def unit(x):
    return x / np.linalg.norm(x)


def converged(weights: jax.Array) -> jax.Array:
    u = normal(1, weights.shape[-1])
    for _ in range(60):
        _, u = power_iteration(weights, u)
    return u


def tree_of_kernels() -> dict:
    return {
        "Conv_0": {"kernel": gapped((3, 3, 2, 5)), "bias": normal(2, 5)},
        "Dense_0": {"kernel": normal(3, 6, 4), "bias": normal(4, 4)},
        "norm": {"scale": normal(5, 4)},
    }


KERNELS = ["Conv_0/kernel", "Dense_0/kernel"]


def as_dict(params: dict) -> dict:
    return {f"{layer}/{name}": w for layer, leaves in params.items() for name, w in leaves.items()}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_power_iteration_converges_to_the_largest_singular_value(shape):
    weights = gapped(shape)
    expected, _, top = singular(weights)
    np.testing.assert_allclose(expected, 3, rtol=1e-13)
    first, _ = power_iteration(weights, normal(1, shape[-1]))
    assert abs(first - expected) > 1e-3
    sigma, u = power_iteration(weights, converged(weights))
    np.testing.assert_allclose(sigma, expected, rtol=1e-11)
    np.testing.assert_allclose(abs(u @ top), 1, rtol=1e-11)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_one_step_is_that_of_flax(shape):
    weights, u = normal(0, *shape), normal(1, shape[-1])
    if len(shape) == 2:
        layer, x = nn.Dense(shape[-1], use_bias=False), normal(2, 3, shape[0])
    else:
        layer, x = nn.Conv(shape[-1], shape[:2], use_bias=False), normal(2, 3, 4, 4, shape[2])
    wrapped = nn.SpectralNorm(layer, epsilon=0.0)
    variables = wrapped.init(jax.random.key(0), x, update_stats=False)
    names = (
        {name.rsplit("/", 1)[1]: name for name in variables["batch_stats"]["SpectralNorm_0"]}
        if ("SpectralNorm_0" in variables["batch_stats"])
        else {name.rsplit("/", 1)[1]: name for name in variables["batch_stats"]}
    )
    print(variables, names)
