"""Directions, utilities and products against a transcription of the papers' formulas in NumPy, float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib.eigengame.pca import directions
from lib.eigengame.pca.products import products
from lib.runtime import devices

K, D, B = 4, 7, 12
pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def vectors():
    v = np.random.default_rng(0).standard_normal((K, D))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


@pytest.fixture
def rows():
    return np.random.default_rng(1).standard_normal((B, D)) * np.linspace(3, 1, D)


def loops(name: str, v: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The formula of a direction, or of the utility, vector by vector with the whole matrix C."""
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
        elif name == "utility":
            penalty = sum((v[i] @ c @ v[j]) ** 2 / (v[j] @ c @ v[j]) for j in parents)
            out.append(v[i] @ c @ v[i] - penalty)
    return np.array(out)


NAMES = ("reward", "mu", "alpha", "sanger", "utility")


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_papers_formula(name, vectors, rows):
    expected = loops(name, vectors, rows)
    found = getattr(directions, name)(products(jnp.asarray(vectors), jnp.asarray(rows)))
    assert np.abs(expected).min() > 1e-3
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_alpha_is_the_gradient_of_the_utility(vectors, rows):
    def own_utility(vector, i):
        return directions.utility(products(jnp.asarray(vectors).at[i].set(vector), jnp.asarray(rows)))[i]

    found = directions.alpha(products(jnp.asarray(vectors), jnp.asarray(rows)))
    for i in range(K):
        expected = jax.grad(own_utility)(jnp.asarray(vectors[i]), i)
        np.testing.assert_allclose(found[i], expected, rtol=1e-12, atol=1e-12)


def test_with_exact_parents_both_point_at_the_exact_eigenvector(rows):
    """With v_j = u_j for j < i: alpha = 2 mu, and the only stable direction left is u_i."""
    eigenvalues, eigenvectors = np.linalg.eigh(rows.T @ rows / B)
    truth = eigenvectors.T[::-1][:K]
    last = np.random.default_rng(2).standard_normal(D)
    v = jnp.asarray(np.vstack([truth[:-1], last / np.linalg.norm(last)]))
    p = products(v, jnp.asarray(rows))
    mu, alpha = directions.mu(p), directions.alpha(p)
    np.testing.assert_allclose(alpha, 2 * mu, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(truth[:-1] @ mu[-1], 0, atol=1e-10)  # nothing towards the parents
    exact = products(jnp.asarray(truth), jnp.asarray(rows))
    assert np.abs(exact.reward).max() > 1
    np.testing.assert_allclose(directions.tangential(directions.mu(exact), exact.players.own), 0, atol=1e-10)
    np.testing.assert_allclose(directions.utility(exact), eigenvalues[::-1][:K], rtol=1e-12)


def test_the_tangential_part_is_orthogonal(vectors, rows):
    direction = directions.mu(products(jnp.asarray(vectors), jnp.asarray(rows)))
    part = directions.tangential(direction, jnp.asarray(vectors))
    assert np.abs(np.sum(vectors * direction, 1)).min() > 1e-2
    np.testing.assert_allclose(np.sum(vectors * part, 1), 0, atol=1e-13)


def test_a_batch_without_variance_along_a_parent_has_no_penalty_for_it(rows):
    v = jnp.eye(D)[:2]
    flat = jnp.asarray(rows).at[:, 0].set(0)
    for name in ("alpha", "utility"):
        assert np.isfinite(getattr(directions, name)(products(v, flat))).all()


@pytest.mark.parametrize("groups", (1, 2))
@pytest.mark.parametrize("name", NAMES)
def test_two_devices_in_one_group_or_two_give_what_one_gives(name, groups, vectors, rows):
    def on_device(v, x):
        return getattr(directions, name)(products(v, x, groups))

    split = jax.pmap(on_device, axis_name=devices.AXIS, devices=jax.local_devices()[:2])
    found = split(vectors.reshape(2, K // 2, D), rows.reshape(2, B // 2, D))
    alone = on_device(jnp.asarray(vectors), jnp.asarray(rows))
    assert np.abs(alone).max() > 0.1
    np.testing.assert_allclose(found.reshape(alone.shape), alone, rtol=1e-12, atol=1e-13)


def mean_over_batches(name: str, vectors, rows, size: int) -> jax.Array:
    one = lambda batch: getattr(directions, name)(products(jnp.asarray(vectors), batch))
    return jax.vmap(one)(jnp.asarray(rows).reshape(-1, size, D)).mean(0)


def test_batches_bias_alpha_and_not_mu(vectors):
    rows = np.random.default_rng(3).standard_normal((4096, D)) * np.linspace(3, 1, D)
    whole = {name: mean_over_batches(name, vectors, rows, 4096) for name in ("mu", "alpha")}
    bias = {
        (name, size): np.abs(mean_over_batches(name, vectors, rows, size) - whole[name]).max()
        for name in whole
        for size in (4, 32)
    }
    assert bias["mu", 4] < 1e-12 and bias["mu", 32] < 1e-12
    assert bias["alpha", 4] > bias["alpha", 32] > 0.01
