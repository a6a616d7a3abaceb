"""The exact largest singular value and all its derivatives, against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernels import KERNELS, SHAPES, as_dict, converged, gapped, normal, singular, tree_of_kernels, unit

from lib.nets.spectral_norm import exact, init, normalize, power_iteration, top_eigenvector

pytestmark = pytest.mark.usefixtures("float64")


def test_exact_is_the_largest_singular_value_and_its_gradient_the_outer_product():
    kernels = [normal(0, *shape) for shape in (*SHAPES, (8, 1), (1, 5))]
    results = jax.jit(lambda kernels: [jax.value_and_grad(exact)(w) for w in kernels])(kernels)
    for weights, (value, gradient) in zip(kernels, results, strict=True):
        expected, v, u = singular(weights)
        np.testing.assert_allclose(value, expected, rtol=1e-13)
        np.testing.assert_allclose(gradient, np.outer(v, u).reshape(weights.shape), rtol=0, atol=1e-12)


def hessian_by_differences(gradient, at: np.ndarray) -> np.ndarray:
    """Returns [n, n] of a NumPy gradient [n], by central differences of fourth order."""
    step, rows = 1e-3, []
    for direction in np.eye(at.size):
        near, far = (
            gradient(at + k * step * direction) - gradient(at - k * step * direction) for k in (1, 2)
        )
        rows.append((8 * near - far) / (12 * step))
    return np.stack(rows)


def hessians(flat: jax.Array, shape: tuple[int, ...], u: jax.Array) -> tuple[jax.Array, ...]:
    """Returns Hessians of sigma: exact, by forward and by reverse mode, and of power iteration from u."""

    def sigma(w):
        return exact(w.reshape(shape))

    def by_power(w):
        return power_iteration(w.reshape(shape), u)[0]

    return jax.hessian(sigma)(flat), jax.jacrev(jax.grad(sigma))(flat), jax.hessian(by_power)(flat)


@pytest.mark.parametrize("shape", [(6, 4), (3, 7), (2, 2, 1, 3)], ids=str)
def test_exact_has_the_hessian_of_numpy_s_singular_value(shape):
    weights = gapped(shape)

    def gradient(flat):
        _, v, u = singular(flat.reshape(shape))
        return np.outer(v, u).ravel()

    expected = hessian_by_differences(gradient, np.asarray(weights).ravel())
    assert np.abs(expected).max() > 1e-2
    of_shape = jax.jit(hessians, static_argnums=1)
    forward, reverse, by_power = of_shape(weights.ravel(), shape, converged(weights))
    np.testing.assert_allclose(forward, expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(reverse, expected, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(by_power, np.zeros_like(expected))


def test_exact_has_third_derivatives():
    weights, a, b, c = (normal(i, 4, 3) for i in range(4))

    def second(w):
        """Returns the second derivative along a and b."""
        return jax.jvp(lambda w: jax.jvp(exact, (w,), (a,))[1], (w,), (b,))[1]

    @jax.jit
    def third_and_differences(w):
        near = [second(w + k * 1e-3 * c) for k in (1, -1, 2, -2)]
        return jax.jvp(second, (w,), (c,))[1], (8 * (near[0] - near[1]) - (near[2] - near[3])) / 12e-3

    third, expected = third_and_differences(weights)
    assert abs(expected) > 1e-2
    np.testing.assert_allclose(third, expected, rtol=1e-8)


def test_equal_smaller_singular_values_do_not_matter():
    weights = jnp.diag(jnp.array([3.0, 1.0, 1.0, 0.0, 0.0]))
    # The Hessian of sigma_1 at a diagonal matrix, along E_ij + E_ji: 2 / (s_1 - s_j) for i = 1, else 0.

    @jax.jit
    def second(i, j):
        direction = jnp.zeros((5, 5)).at[i, j].set(1.0).at[j, i].set(1.0)
        return jnp.vdot(direction, jax.jvp(jax.grad(exact), (weights,), (direction,))[1])

    np.testing.assert_allclose(second(0, 1), 2 / (3 - 1), rtol=1e-12)
    np.testing.assert_allclose(second(0, 4), 2 / (3 - 0), rtol=1e-12)
    np.testing.assert_allclose(second(1, 2), 0, atol=1e-12)


def tanh_loss(params, x):
    """Returns the loss of a network of one hidden layer."""
    return jnp.mean((jnp.tanh(x @ params["a"]) @ params["b"]) ** 2)


def numpy_gradient(shapes: dict, x: np.ndarray):
    """Returns the gradient of tanh_loss at W / sigma(W), a function of all W, by hand.

    It is the chain rule through the quotient and d sigma = v u^T.
    """

    def through_quotient(d, w):
        s, v, u = singular(w)
        return (d / s - np.vdot(d, w) / s**2 * np.outer(v, u)).ravel()

    def gradient(flat):
        a, b = (part.reshape(s) for part, s in zip(np.split(flat, [12]), shapes.values(), strict=True))
        normalised_b = b / singular(b)[0]
        hidden = np.tanh(x @ a / singular(a)[0])
        out = hidden @ normalised_b
        d_out = 2 * out / out.size
        d_b = hidden.T @ d_out
        d_a = x.T @ (d_out @ normalised_b.T * (1 - hidden**2))
        return np.r_[through_quotient(d_a, a), through_quotient(d_b, b)]

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

    @jax.jit
    def derivatives(flat):
        methods = "exact", "power_iteration"
        return tuple(
            {m: derivative(loss(m))(flat) for m in methods} for derivative in (jax.grad, jax.hessian)
        )

    gradient, hessian = derivatives(flat)
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
    normalized, new_vectors, metrics = jax.jit(normalize, static_argnums=2)(params, vectors, "exact")
    assert new_vectors == {}
    sigmas = [singular(as_dict(params)[name])[0] for name in KERNELS]
    for name in KERNELS:
        np.testing.assert_allclose(singular(as_dict(normalized)[name])[0], 1, rtol=1e-12)
    for name, sigma in zip(KERNELS, sigmas, strict=True):
        np.testing.assert_allclose(metrics[f"sigma/{name.split('/')[0]}"], sigma, rtol=1e-12)
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
    slope = jax.jit(lambda g, d: jax.jvp(top_eigenvector, (g,), (d,))[1])
    assert np.isfinite(slope(zeros @ zeros.T, ones @ ones.T)).all()
