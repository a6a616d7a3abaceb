"""Spectral normalisation against NumPy's singular values and Flax's layer, in float64."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib.nets.spectral_norm import exact, init, normalize, power_iteration, top_eigenvector

SHAPES = [(6, 4), (3, 7), (3, 3, 2, 5)]


pytestmark = pytest.mark.usefixtures("float64")


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def gapped(shape: tuple[int, ...]) -> jax.Array:
    """A random kernel whose largest singular value, 3, is twice the next one."""
    matrix = np.asarray(normal(0, *shape)).reshape(-1, shape[-1])
    v, s, ut = np.linalg.svd(matrix, full_matrices=False)
    return jnp.asarray(((v * np.r_[3, np.linspace(1.5, 0.5, len(s) - 1)]) @ ut).reshape(shape))


def singular(weights: jax.Array) -> tuple[float, np.ndarray, np.ndarray]:
    """The largest singular value and its vectors v, u."""
    v, s, ut = np.linalg.svd(np.asarray(weights).reshape(-1, weights.shape[-1]), full_matrices=False)
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
    assert metrics == {"sigma_max": max(sigmas), "sigma_min": min(sigmas)}


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


# The exact largest singular value.


@pytest.mark.parametrize("shape", [*SHAPES, (8, 1), (1, 5)], ids=str)
def test_exact_is_the_largest_singular_value_and_its_gradient_the_outer_product(shape):
    weights = normal(0, *shape)
    expected, v, u = singular(weights)
    value, gradient = jax.value_and_grad(exact)(weights)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    np.testing.assert_allclose(gradient, np.outer(v, u).reshape(shape), rtol=0, atol=1e-12)


def hessian_by_differences(gradient, at: np.ndarray) -> np.ndarray:
    """[n, n] from a NumPy gradient [n], by central differences of fourth order."""
    step, rows = 1e-3, []
    for direction in np.eye(at.size):
        near, far = (
            gradient(at + k * step * direction) - gradient(at - k * step * direction) for k in (1, 2)
        )
        rows.append((8 * near - far) / (12 * step))
    return np.stack(rows)


@pytest.mark.parametrize("shape", [(6, 4), (3, 7), (2, 2, 1, 3)], ids=str)
def test_exact_has_the_hessian_of_numpy_s_singular_value(shape):
    weights = gapped(shape)

    def gradient(flat):
        _, v, u = singular(flat.reshape(shape))
        return np.outer(v, u).ravel()

    expected = hessian_by_differences(gradient, np.asarray(weights).ravel())
    assert np.abs(expected).max() > 1e-2
    flat = lambda w: exact(w.reshape(shape))
    np.testing.assert_allclose(jax.jit(jax.hessian(flat))(weights.ravel()), expected, rtol=0, atol=1e-9)
    reverse = jax.jit(jax.jacrev(jax.grad(flat)))(weights.ravel())
    np.testing.assert_allclose(reverse, expected, rtol=0, atol=1e-9)
    vectors = {"kernel": converged(weights)}
    by_power = jax.jit(jax.hessian(lambda w: power_iteration(w.reshape(shape), vectors["kernel"])[0]))
    np.testing.assert_array_equal(by_power(weights.ravel()), np.zeros_like(expected))


def test_exact_has_third_derivatives():
    weights, a, b, c = (normal(i, 4, 3) for i in range(4))
    second = jax.jit(lambda w: jax.jvp(lambda w: jax.jvp(exact, (w,), (a,))[1], (w,), (b,))[1])
    third = jax.jit(lambda w: jax.jvp(second, (w,), (c,))[1])(weights)
    at = lambda k: second(weights + k * 1e-3 * c)
    expected = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / 12e-3
    assert abs(expected) > 1e-2
    np.testing.assert_allclose(third, expected, rtol=1e-8)


def test_equal_smaller_singular_values_do_not_matter():
    weights = jnp.diag(jnp.array([3.0, 1.0, 1.0, 0.0, 0.0]))
    # The Hessian of sigma_1 at a diagonal matrix, along E_ij + E_ji: 2 / (s_1 - s_j) for i = 1, else 0.
    along = lambda i, j: jnp.zeros((5, 5)).at[i, j].set(1.0).at[j, i].set(1.0)
    second = jax.jit(lambda d: jnp.vdot(d, jax.jvp(jax.grad(exact), (weights,), (d,))[1]))
    np.testing.assert_allclose(second(along(0, 1)), 2 / (3 - 1), rtol=1e-12)
    np.testing.assert_allclose(second(along(0, 4)), 2 / (3 - 0), rtol=1e-12)
    np.testing.assert_allclose(second(along(1, 2)), 0, atol=1e-12)


def tanh_loss(params, x):
    return jnp.mean((jnp.tanh(x @ params["a"]) @ params["b"]) ** 2)


def numpy_gradient(shapes: dict, x: np.ndarray):
    """d/dW of tanh_loss at W / sigma(W), by hand: the chain rule through the quotient and d sigma = v u^T."""

    def gradient(flat):
        a, b = (part.reshape(s) for part, s in zip(np.split(flat, [12]), shapes.values(), strict=True))
        (sa, va, ua), (sb, vb, ub) = singular(a), singular(b)
        hidden = np.tanh(x @ a / sa)
        out = hidden @ b / sb
        d_out = 2 * out / out.size
        d_b = hidden.T @ d_out
        d_a = x.T @ (d_out @ (b / sb).T * (1 - hidden**2))
        quotient = lambda d, w, s, v, u: d / s - np.vdot(d, w) / s**2 * np.outer(v, u)
        return np.r_[quotient(d_a, a, sa, va, ua).ravel(), quotient(d_b, b, sb, vb, ub).ravel()]

    return gradient


def test_hessians_of_a_tanh_net_are_right_with_exact_and_off_with_power_iteration():
    shapes = {"a": (3, 4), "b": (4, 2)}
    params = {name: gapped(shape) for name, shape in shapes.items()}
    x = normal(7, 5, 3)
    flat, unflatten = jax.flatten_util.ravel_pytree(params)
    expected = hessian_by_differences(numpy_gradient(shapes, np.asarray(x)), np.asarray(flat))
    vectors = {name: converged(w) for name, w in params.items()}

    def loss(method):
        return lambda p: tanh_loss(normalize(unflatten(p), vectors, method)[0], x)

    hessian = {m: jax.jit(jax.hessian(loss(m)))(flat) for m in ("exact", "power_iteration")}
    gradient = {m: jax.jit(jax.grad(loss(m)))(flat) for m in hessian}
    np.testing.assert_allclose(gradient["power_iteration"], gradient["exact"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(hessian["exact"], expected, rtol=0, atol=1e-9)
    direction = unit(normal(8, flat.size))
    right = expected @ direction
    off = np.linalg.norm(hessian["power_iteration"] @ direction - right) / np.linalg.norm(right)
    assert off > 0.02


def test_exact_needs_no_vectors_and_normalises_at_once():
    params = tree_of_kernels()
    vectors = init(params, jax.random.key(0), "exact")
    assert vectors == {}
    normalized, new_vectors, metrics = normalize(params, vectors, "exact")
    assert new_vectors == {}
    sigmas = [singular(as_dict(params)[name])[0] for name in KERNELS]
    for name in KERNELS:
        np.testing.assert_allclose(singular(as_dict(normalized)[name])[0], 1, rtol=1e-12)
    np.testing.assert_allclose(metrics["sigma_max"], max(sigmas), rtol=1e-12)
    np.testing.assert_allclose(metrics["sigma_min"], min(sigmas), rtol=1e-12)
    for name in ("bias", "scale"):
        for layer in params:
            if name in params[layer]:
                np.testing.assert_array_equal(normalized[layer][name], params[layer][name])


def test_exact_is_finite_at_a_kernel_of_zeros():
    def loss(w):
        return jnp.sum((normalize({"kernel": w}, {}, "exact")[0]["kernel"] - 1) ** 2)

    zeros, ones = jnp.zeros((3, 4)), jnp.ones((3, 4))
    gradient, product = jax.jit(lambda w: jax.jvp(jax.grad(loss), (w,), (ones,)))(zeros)
    assert np.isfinite(gradient).all()
    assert np.isfinite(product).all()
    assert np.isfinite(jax.jvp(top_eigenvector, (zeros @ zeros.T,), (ones @ ones.T,))[1]).all()
