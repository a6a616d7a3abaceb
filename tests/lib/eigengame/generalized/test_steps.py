"""gamma-EigenGame against a transcription in NumPy, automatic differentiation, and scipy, float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from lib import eigengame, optimizers
from lib.eigengame.generalized import directions, problems
from lib.eigengame.generalized.auxiliary import Auxiliary, initial_auxiliary
from lib.eigengame.generalized.products import Products, products
from lib.eigengame.generalized.steps import step
from lib.eigengame.players import Players
from lib.runtime import devices

K, D, B, GAMMA = 4, 7, 12, 0.3
pytestmark = pytest.mark.usefixtures("float64")


def symmetric(seed: int, eigenvalues) -> np.ndarray:
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((D, D)))[0]
    return q * eigenvalues @ q.T


A1, A2 = symmetric(0, np.linspace(3, -1, D)), symmetric(1, np.linspace(2, -2, D))
B1, B2 = symmetric(2, np.linspace(2, 0.5, D)), symmetric(3, np.linspace(3, 1, D))


def dense(a, b):
    """The same A and B for any batch."""
    return lambda vectors, rows: (vectors @ a, vectors @ b)


def exact(a, b):
    """(lambda [d], rows of v^T B v = 1), the largest first."""
    values, vectors = scipy.linalg.eigh(a, b)
    return values[::-1], vectors.T[::-1]


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.fixture
def vectors():
    return unit(np.random.default_rng(4).standard_normal((K, D)))


def whole(a, b, v) -> tuple[Products, Products]:
    return products(dense(a, b), jnp.asarray(v), jnp.zeros((2, D)))


def up_to_date(b, v) -> Auxiliary:
    return Auxiliary(jnp.asarray(v @ b), jnp.einsum("kd,kd->k", v, v @ b))


def transcribed(a, b, v, running_b, running_norm) -> np.ndarray:
    """The direction, player by player, with whole matrices."""
    out = []
    for i in range(len(v)):
        vbv = v[i] @ b @ v[i]
        direction = vbv * (a @ v[i]) - (v[i] @ a @ v[i]) * (b @ v[i])
        for j in range(i):
            y, by = v[j] / np.sqrt(running_norm[j]), running_b[j] / np.sqrt(running_norm[j])
            direction -= (v[i] @ a @ y) * (vbv * by - (v[i] @ by) * (b @ v[i]))
        out.append(direction)
    return np.array(out)


def test_the_direction_crosses_the_halves_of_a_batch(vectors):
    generator = np.random.default_rng(5)
    running = Auxiliary(generator.standard_normal((K, D)), generator.uniform(1, 2, K))
    players = Players.gathered(jnp.asarray(vectors))
    halves = tuple(Products(players, vectors @ a, vectors @ b) for a, b in ((A1, B1), (A2, B2)))
    expected = (transcribed(A1, B2, vectors, *running) + transcribed(A2, B1, vectors, *running)) / 2
    found = directions.direction(halves, running)
    assert np.abs(expected).max(1).min() > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.sum(found * vectors, 1), 0, atol=1e-12)  # whatever the batch


def test_utility(vectors):
    expected = []
    quotient = lambda v: (v @ A1 @ v) / (v @ B1 @ v)
    for i, v in enumerate(vectors):
        cosine2 = lambda u, v=v: (v @ B1 @ u) ** 2 / ((v @ B1 @ v) * (u @ B1 @ u))
        expected.append(quotient(v) - sum(quotient(u) * cosine2(u) for u in vectors[:i]))
    found = directions.utility(whole(A1, B1, vectors)[0])
    assert np.abs(expected).min() > 1e-2
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("parents_are_exact", (True, False))
def test_with_exact_parents_it_is_the_gradient_of_the_utility(parents_are_exact, vectors):
    """Times |v_i|_B^4 / 2; with other parents than eigenvectors it is a pseudo-gradient, and no player's gradient."""
    v = vectors.copy()
    if parents_are_exact:
        v[:-1] = unit(exact(A1, B1)[1][: K - 1])

    def last_utility(vector):
        return directions.utility(whole(A1, B1, jnp.asarray(v).at[-1].set(vector))[0])[-1]

    gradient = jax.grad(last_utility)(jnp.asarray(v[-1])) * (v[-1] @ B1 @ v[-1]) ** 2 / 2
    found = directions.direction(whole(A1, B1, v), up_to_date(B1, v))
    assert np.abs(gradient).max() > 0.1
    difference = np.abs(found[-1] - gradient).max()
    assert difference < 1e-12 if parents_are_exact else difference > 0.1
    # The first player has no parents: always a gradient.
    first = jax.grad(lambda u: (u @ A1 @ u) / (u @ B1 @ u))(v[0]) * (v[0] @ B1 @ v[0]) ** 2 / 2
    np.testing.assert_allclose(found[0], first, rtol=1e-11, atol=1e-12)


def run(problem, v, rows, rate=0.05, gamma=GAMMA, optimizer=None):
    """All steps on one device: vectors, auxiliary, the metrics of every step."""
    optimizer = optimizer or optimizers.make("sgd", rate, {})
    v = jnp.asarray(v)
    start = (
        v,
        eigengame.initial_optimizers(optimizer, v),
        initial_auxiliary(problem, v, jnp.asarray(rows[0])),
    )

    def one(carry, batch):
        *carry, metrics = step(problem, optimizer, *carry, batch, gamma=gamma)
        return tuple(carry), metrics

    (v, _, auxiliary), metrics = jax.jit(lambda c, x: jax.lax.scan(one, c, x))(start, jnp.asarray(rows))
    return v, auxiliary, metrics


def still(n: int) -> np.ndarray:
    """Rows for problems that look at none."""
    return np.zeros((n, 2, D))


def angles(v, b, truth):
    root = np.linalg.cholesky(b)
    return eigengame.angles(jnp.asarray(v @ root), jnp.asarray(truth @ root))


def test_eigenvectors_are_a_stable_equilibrium():
    _, truth = exact(A1, B1)
    truth = unit(truth[:K])
    settled, _, _ = run(dense(A1, B1), truth, still(1))
    np.testing.assert_allclose(settled, truth, atol=1e-12)
    shaken = unit(truth + 1e-3 * np.random.default_rng(6).standard_normal(truth.shape))
    once, _, _ = run(dense(A1, B1), shaken, still(200))
    before, after = (np.linalg.norm(v - truth, axis=1) for v in (shaken, once))
    assert before.min() > 1e-3
    assert (after < before / 20).all()


def test_the_equilibrium_is_scipys_eigenvectors(vectors):
    values, truth = exact(A1, B1)
    found, auxiliary, metrics = run(dense(A1, B1), vectors, still(4000))
    assert angles(vectors, B1, unit(truth[:K])).max() > 1
    root = np.linalg.cholesky(B1)
    np.testing.assert_allclose(eigengame.angles(found @ root, jnp.asarray(truth[:K] @ root)), 0, atol=1e-6)
    np.testing.assert_allclose(auxiliary.b, found @ B1, atol=1e-6)
    np.testing.assert_allclose(auxiliary.norm, np.sum(found * (found @ B1), 1), rtol=1e-6)
    assert metrics["utility"][-1] == pytest.approx(values[:K].mean(), rel=1e-9)


def test_twenty_steps_equal_the_transcription(vectors):
    """On batches of two views, with the running means."""
    p, epsilon, rate = 3, 0.1, 0.05
    rows = np.random.default_rng(7).standard_normal((20, B, D)) @ symmetric(8, np.linspace(2, 0.3, D))

    def matrices(x):
        c = x.T @ x / len(x)
        a = c.copy()
        a[:p, :p] = a[p:, p:] = 0
        return a, c - a + epsilon * np.eye(D)

    v = vectors.copy()
    running_b = v @ matrices(rows[0])[1]
    running_norm = np.einsum("kd,kd->k", v, running_b)
    for x in rows:
        (a0, b0), (a1, b1) = matrices(x[0::2]), matrices(x[1::2])
        crossed = ((a0, b1), (a1, b0))
        direction = sum(transcribed(a, b, v, running_b, running_norm) for a, b in crossed) / 2
        new = v @ (b0 + b1) / 2
        running_norm = (1 - GAMMA) * running_norm + GAMMA * np.einsum("kd,kd->k", v, new)
        running_b = (1 - GAMMA) * running_b + GAMMA * new
        v = unit(v + rate * direction)
    found, auxiliary, _ = run(problems.cca(p, epsilon), vectors, rows, rate)
    assert np.abs(v - vectors).max() > 0.1
    np.testing.assert_allclose(found, v, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(auxiliary.b, running_b, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(auxiliary.norm, running_norm, rtol=1e-10)


def test_batches_leave_the_mean_direction_as_it_is(vectors):
    """Over all batches of one row for A and one for B, drawn from the same rows; one row for both biases it."""
    rows = np.random.default_rng(9).standard_normal((5, D))
    problem = problems.cca(3, 0.1)
    everything = jnp.asarray(np.repeat(rows, 2, 0))  # the even rows, and the odd ones: the whole set
    running = initial_auxiliary(problem, jnp.asarray(vectors), everything)
    at = lambda batch: directions.direction(
        products(problem, jnp.asarray(vectors), batch), running
    )
    pairs = jnp.asarray([(x, y) for x in rows for y in rows])
    expected = at(everything)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(jax.vmap(at)(pairs).mean(0), expected, rtol=1e-11, atol=1e-12)
    same = jax.vmap(at)(jnp.asarray([(x, x) for x in rows])).mean(0)
    assert np.abs(same - expected).max() > 0.1


def test_one_device_is_two(vectors):
    """Also with an optimiser that looks at norms: every player has one of its own."""
    rows = np.random.default_rng(10).standard_normal((5, B, D))
    problem = problems.cca(3, 0.1)
    optimizer = optimizers.make("adam", 0.02, {}, clip_norm=0.5)
    alone, auxiliary, expected = run(problem, vectors, rows, optimizer=optimizer)
    split = jax.pmap(
        lambda *carry: step(problem, optimizer, *carry, gamma=GAMMA),
        axis_name=devices.AXIS,
        devices=jax.local_devices()[:2],
        out_axes=(0, 0, 0, None),
    )
    share = lambda x: x.reshape(2, len(x) // 2, *x.shape[1:])
    v = jnp.asarray(vectors)
    start = (
        v,
        eigengame.initial_optimizers(optimizer, v),
        initial_auxiliary(problem, v, jnp.asarray(rows[0])),
    )
    carry = jax.tree.map(share, start)
    for x in rows:
        *carry, metrics = jax.block_until_ready(split(*carry, share(x)))
    assert np.abs(alone - vectors).max() > 0.01
    np.testing.assert_allclose(carry[0].reshape(K, D), alone, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(carry[2].b.reshape(K, D), auxiliary.b, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(carry[2].norm.reshape(K), auxiliary.norm, rtol=1e-9)
    for name, value in metrics.items():
        np.testing.assert_allclose(value, expected[name][-1], rtol=1e-10)
