"""Directions, utilities and products against a transcription of the papers' formulas in NumPy, float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib.eigengame.pca import directions
from lib.eigengame.pca.products import products
from lib.runtime import devices

K, D, B = 4, 7, 12
NAMES = ("reward", "mu", "alpha", "krasulina", "sanger", "utility")
pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def vectors():
    v = np.random.default_rng(0).standard_normal((K, D))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


@pytest.fixture
def rows():
    return np.random.default_rng(1).standard_normal((B, D)) * np.linspace(3, 1, D)


def all_directions(v, x, groups=0) -> dict[str, jax.Array]:
    """Returns every direction, and the utility, by name."""
    p = products(v, x, groups)
    return {name: getattr(directions, name)(p) for name in NAMES}


on_one_device = jax.jit(all_directions)


@functools.cache
def on_two_devices(groups: int):
    """Returns the program of two devices in some groups."""
    return jax.pmap(
        functools.partial(all_directions, groups=groups),
        axis_name=devices.AXIS,
        devices=jax.local_devices()[:2],
    )


def loops(name: str, v: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Computes a direction, or the utility, vector by vector with the whole matrix C."""
    c = sum(np.outer(row, row) for row in x) / len(x)
    out = []
    for i in range(len(v)):
        parents = range(i)
        if name == "reward":
            out.append(c @ v[i])
        elif name == "mu":
            out.append(c @ v[i] - sum((v[i] @ c @ v[j]) * v[j] for j in parents))
        elif name == "alpha":
            penalty = sum((v[i] @ c @ v[j]) / (v[j] @ c @ v[j]) * v[j] for j in parents)
            out.append(2 * c @ (v[i] - penalty))
        elif name == "sanger":
            out.append(c @ v[i] - sum((v[i] @ c @ v[j]) * v[j] for j in range(i + 1)))
        elif name == "krasulina":
            out.append(c @ v[i] - sum((v[i] @ c @ v[j]) * v[j] for j in range(len(v))))
        elif name == "utility":
            penalty = sum((v[i] @ c @ v[j]) ** 2 / (v[j] @ c @ v[j]) for j in parents)
            out.append(v[i] @ c @ v[i] - penalty)
    return np.array(out)


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_papers_formula(name, vectors, rows):
    expected = loops(name, vectors, rows)
    assert np.abs(expected).min() > 1e-3
    np.testing.assert_allclose(on_one_device(vectors, rows)[name], expected, rtol=1e-12, atol=1e-12)


def test_alpha_is_the_gradient_of_the_utility(vectors, rows):
    """Differentiates each player's own utility along its own vector."""
    jacobian = jax.jit(jax.jacrev(lambda v: directions.utility(products(v, rows))))(vectors)
    expected = jacobian[np.arange(K), np.arange(K)]
    assert np.abs(expected).min() > 1e-3
    np.testing.assert_allclose(on_one_device(vectors, rows)["alpha"], expected, rtol=1e-12, atol=1e-12)


def test_with_exact_parents_both_point_at_the_exact_eigenvector(rows):
    """Puts v_j = u_j for j < i: then alpha = 2 mu, and the only stable direction left is u_i."""
    eigenvalues, eigenvectors = np.linalg.eigh(rows.T @ rows / B)
    exact = eigenvectors.T[::-1][:K]
    last = np.random.default_rng(2).standard_normal(D)
    nearly = on_one_device(np.vstack([exact[:-1], last / np.linalg.norm(last)]), rows)
    np.testing.assert_allclose(nearly["alpha"], 2 * nearly["mu"], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(exact[:-1] @ nearly["mu"][-1], 0, atol=1e-10)  # nothing towards the parents
    at_exact = on_one_device(exact, rows)
    assert np.abs(at_exact["reward"]).max() > 1
    np.testing.assert_allclose(directions.tangential(at_exact["mu"], jnp.asarray(exact)), 0, atol=1e-10)
    np.testing.assert_allclose(at_exact["utility"], eigenvalues[::-1][:K], rtol=1e-12)


def test_the_tangential_part_is_orthogonal(vectors, rows):
    direction = on_one_device(vectors, rows)["mu"]
    part = directions.tangential(direction, jnp.asarray(vectors))
    assert np.abs(np.sum(vectors * direction, 1)).min() > 1e-2
    np.testing.assert_allclose(np.sum(vectors * part, 1), 0, atol=1e-13)


def test_a_batch_without_variance_along_a_parent_has_no_penalty_for_it(rows):
    flat = rows.copy()
    flat[:, 0] = 0
    at_axes = on_one_device(np.eye(D)[:K], flat)
    for name in ("alpha", "utility"):
        assert np.isfinite(at_axes[name]).all()


def test_products_of_the_last_components_are_those_of_the_flipped_matrix(vectors, rows):
    c = rows.T @ rows / B
    flipped = np.trace(c) * np.eye(D) - c
    p = products(jnp.asarray(vectors), jnp.asarray(rows), maximize=False)
    np.testing.assert_allclose(p.cv, vectors @ flipped, rtol=1e-12)
    np.testing.assert_allclose(p.gram, vectors @ flipped @ vectors.T, rtol=1e-12, atol=1e-12)
    assert p.total_variance == pytest.approx(np.trace(flipped))

    @functools.partial(jax.pmap, axis_name=devices.AXIS, devices=jax.local_devices()[:2])
    def on_two(v, x):
        p = products(v, x, maximize=False)
        return p.cv, p.gram

    cv, gram = on_two(vectors.reshape(2, K // 2, D), rows.reshape(2, B // 2, D))
    np.testing.assert_allclose(cv.reshape(K, D), p.cv, rtol=1e-12)
    np.testing.assert_allclose(gram.reshape(K, K), p.gram, rtol=1e-12, atol=1e-12)


def test_krasulina_moves_out_of_the_span_alone(rows):
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((D, K)))[0].T
    direction = on_one_device(basis, rows)["krasulina"]
    assert np.abs(direction).max() > 0.1
    np.testing.assert_allclose(direction @ basis.T, 0, atol=1e-12)


@pytest.mark.parametrize("groups", (1, 2))
@pytest.mark.parametrize("name", NAMES)
def test_two_devices_in_one_group_or_two_give_what_one_gives(name, groups, vectors, rows):
    split = on_two_devices(groups)(vectors.reshape(2, K // 2, D), rows.reshape(2, B // 2, D))[name]
    alone = on_one_device(vectors, rows)[name]
    assert np.abs(alone).max() > 0.1
    np.testing.assert_allclose(split.reshape(alone.shape), alone, rtol=1e-12, atol=1e-13)


def test_batches_bias_alpha_and_not_mu(vectors):
    rows = np.random.default_rng(3).standard_normal((4096, D)) * np.linspace(3, 1, D)

    @functools.partial(jax.jit, static_argnums=0)
    def mean_over_batches(size):
        batches = jnp.asarray(rows).reshape(-1, size, D)
        p = jax.vmap(lambda batch: products(jnp.asarray(vectors), batch))(batches)
        return {name: jax.vmap(getattr(directions, name))(p).mean(0) for name in ("mu", "alpha")}

    whole = mean_over_batches(4096)
    bias = {
        (name, size): np.abs(mean[name] - whole[name]).max()
        for size in (4, 32)
        for mean in (mean_over_batches(size),)
        for name in whole
    }
    assert bias["mu", 4] < 1e-12 and bias["mu", 32] < 1e-12
    assert bias["alpha", 4] > bias["alpha", 32] > 0.01
