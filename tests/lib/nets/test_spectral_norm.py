"""Spectral normalisation by power iteration, against NumPy and against Flax's layer, in float64."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernels import KERNELS, SHAPES, as_dict, converged, gapped, normal, singular, tree_of_kernels, unit

from lib.nets.spectral_norm import init, normalize, power_iteration

pytestmark = pytest.mark.usefixtures("float64")


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
    name = "layer_instance/kernel"
    variables = {
        "params": {"layer_instance": {"kernel": weights}},
        "batch_stats": {f"{name}/u": u.reshape(1, -1), f"{name}/sigma": jnp.ones(())},
    }
    # Flax adds its epsilon to the square of the norm, ours to the norm: without it they are one.
    theirs, changed = nn.SpectralNorm(layer, epsilon=0.0).apply(
        variables, x, update_stats=True, mutable="batch_stats"
    )
    sigma, new_u = power_iteration(weights, u)
    assert abs(sigma - singular(weights)[0]) > 1e-4
    assert np.abs(new_u - unit(u)).max() > 1e-2
    np.testing.assert_allclose(sigma, changed["batch_stats"][f"{name}/sigma"], rtol=1e-11)
    np.testing.assert_allclose(new_u, changed["batch_stats"][f"{name}/u"][0], rtol=1e-11)
    params, *_ = normalize({"kernel": weights}, {"kernel": u})
    np.testing.assert_allclose(layer.apply({"params": params}, x), theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_at_converged_u_the_gradient_is_the_outer_product_of_the_singular_vectors(shape):
    weights = gapped(shape)
    _, v, u = singular(weights)
    gradient = jax.grad(lambda w: power_iteration(w, converged(weights))[0])(weights)
    assert np.abs(gradient).max() > 1e-2
    np.testing.assert_allclose(gradient, np.outer(v, u).reshape(shape), rtol=0, atol=1e-11)


def test_no_gradient_flows_through_the_vectors():
    weights, u = normal(0, 6, 4), normal(1, 4)
    v = unit(np.asarray(weights) @ u)
    new_u = unit(v @ np.asarray(weights))
    by_weights, by_u = jax.grad(lambda w, u: power_iteration(w, u)[0], (0, 1))(weights, u)
    np.testing.assert_allclose(by_weights, np.outer(v, new_u), rtol=0, atol=1e-11)
    np.testing.assert_array_equal(by_u, np.zeros(4))
    of_new_u = jax.jacobian(lambda w: power_iteration(w, u)[1])(weights)
    np.testing.assert_array_equal(of_new_u, np.zeros((4, 6, 4)))
    # The full derivative, which moves the vectors too, is another number here.
    step, direction = 1e-5, normal(2, 6, 4)
    above, below = (power_iteration(weights + s * direction, u)[0] for s in (step, -step))
    assert abs((above - below) / (2 * step) - jnp.vdot(by_weights, direction)) > 1e-2


def test_a_normalised_kernel_has_the_gradient_of_the_quotient():
    weights, coefficients = gapped((6, 4)), normal(3, 6, 4)
    sigma, v, u = singular(weights)
    vectors = {"kernel": converged(weights)}

    def loss(w):
        return jnp.vdot(coefficients, normalize({"kernel": w}, vectors)[0]["kernel"])

    inner = np.vdot(coefficients, weights)
    assert abs(inner) > 1e-1
    expected = coefficients / sigma - inner / sigma**2 * np.outer(v, u)
    np.testing.assert_allclose(jax.grad(loss)(weights), expected, rtol=0, atol=1e-11)


def test_vectors_are_random_units_named_by_the_paths_of_the_kernels():
    vectors = init(tree_of_kernels(), jax.random.key(0))
    assert list(vectors) == KERNELS
    assert [u.shape for u in vectors.values()] == [(5,), (4,)]
    for u in vectors.values():
        np.testing.assert_allclose(np.linalg.norm(u), 1, rtol=1e-11)
    others = init(tree_of_kernels(), jax.random.key(1))
    assert all(np.abs(vectors[name] - others[name]).max() > 1e-2 for name in KERNELS)


def test_vectors_of_equal_kernels_differ():
    vectors = init({"a": normal(0, 3, 4), "b": normal(0, 3, 4)}, jax.random.key(0))
    assert np.abs(vectors["a"] - vectors["b"]).max() > 1e-2


def test_normalize_divides_kernels_and_leaves_the_rest():
    params = tree_of_kernels()
    vectors = init(params, jax.random.key(0))
    normalized, new_vectors, metrics = normalize(params, vectors)
    assert jax.tree.structure(normalized) == jax.tree.structure(params)
    assert list(new_vectors) == KERNELS
    before, after = as_dict(params), as_dict(normalized)
    sigmas = []
    for name, w in before.items():
        if name not in KERNELS:
            np.testing.assert_array_equal(after[name], w)
            continue
        sigma, u = power_iteration(w, vectors[name])
        sigmas.append(sigma)
        assert abs(sigma - 1) > 1e-2
        np.testing.assert_allclose(after[name], w / sigma, rtol=1e-14)
        np.testing.assert_array_equal(new_vectors[name], u)
    assert sigmas[0] != sigmas[1]
    layers = {f"sigma/{name.split('/')[0]}": sigma for name, sigma in zip(KERNELS, sigmas, strict=True)}
    assert metrics == {**layers, "sigma_max": max(sigmas), "sigma_min": min(sigmas)}


def test_repeated_normalisation_brings_the_largest_singular_value_to_one():
    params = tree_of_kernels()
    vectors = init(params, jax.random.key(0))
    step = jax.jit(normalize)
    for _ in range(300):
        normalized, vectors, metrics = step(params, vectors)
    for name in KERNELS:
        assert abs(singular(as_dict(params)[name])[0] - 1) > 1e-2
        np.testing.assert_allclose(singular(as_dict(normalized)[name])[0], 1, rtol=1e-11)
    sigmas = [singular(as_dict(params)[name])[0] for name in KERNELS]
    np.testing.assert_allclose(metrics["sigma_max"], max(sigmas), rtol=1e-11)
    np.testing.assert_allclose(metrics["sigma_min"], min(sigmas), rtol=1e-11)


def test_without_a_method_the_singular_values_are_only_reported():
    params = tree_of_kernels()
    vectors = init(params, jax.random.key(0))
    kept, new_vectors, metrics = normalize(params, vectors, "none")
    jax.tree.map(np.testing.assert_array_equal, kept, params)
    _, expected_vectors, expected_metrics = normalize(params, vectors)
    assert metrics == expected_metrics
    jax.tree.map(np.testing.assert_array_equal, new_vectors, expected_vectors)


@pytest.mark.parametrize("method", ["none", "power_iteration", "exact"])
def test_reported_singular_values_have_no_gradient(method):
    params = tree_of_kernels()
    vectors = init(params, jax.random.key(0), method)
    gradients = jax.grad(lambda p: normalize(p, vectors, method)[2]["sigma_max"])(params)
    jax.tree.map(lambda g: np.testing.assert_array_equal(g, np.zeros(g.shape)), gradients)


def test_a_kernel_of_zeros_stays_finite():
    params = {"kernel": jnp.zeros((3, 4))}
    vectors = init(params, jax.random.key(0))
    for _ in range(2):
        params, vectors, metrics = normalize(params, vectors)
    assert not params["kernel"].any()
    assert metrics["sigma_max"] == 0
    assert jnp.linalg.norm(vectors["kernel"]) == pytest.approx(1, rel=1e-6)
