"""gamma-EigenGame against a transcription in NumPy, automatic differentiation, and scipy, float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from lib import eigengame, optimizers
from lib.eigengame.generalized import directions, problems
from lib.eigengame.generalized.auxiliary import Auxiliary, estimate, initial_auxiliary
from lib.eigengame.generalized.products import Products, products
from lib.eigengame.generalized.steps import step
from lib.eigengame.players import Players
from lib.runtime import devices

K, D, B, GAMMA, STEPS = 4, 7, 12, 0.3, 50
pytestmark = pytest.mark.usefixtures("float64")


def symmetric(seed: int, eigenvalues) -> np.ndarray:
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((D, D)))[0]
    return q * eigenvalues @ q.T


A1, A2 = symmetric(0, np.linspace(3, -1, D)), symmetric(1, np.linspace(2, -2, D))
B1, B2 = symmetric(2, np.linspace(2, 0.5, D)), symmetric(3, np.linspace(3, 1, D))


def dense(vectors, rows):
    """Multiplies with A1 and B1, whatever the batch."""
    del rows
    return vectors @ A1, vectors @ B1


CCA = problems.cca(3, 0.1)


def exact(a, b):
    """Returns (lambda [d], rows of v^T B v = 1), the largest first."""
    values, vectors = scipy.linalg.eigh(a, b)
    return values[::-1], vectors.T[::-1]


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.fixture
def vectors():
    return unit(np.random.default_rng(4).standard_normal((K, D)))


def halves_of(v) -> tuple[Products, Products]:
    """Returns the products with A1 and B1, which both halves share."""
    return products(dense, jnp.asarray(v), jnp.zeros((2, D)))


def transcribed(a, b, v, running_b, running_norm) -> np.ndarray:
    """Computes the direction, player by player, with whole matrices."""
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
    halves = tuple(Products.of(players, vectors @ a, vectors @ b) for a, b in ((A1, B1), (A2, B2)))
    expected = (transcribed(A1, B2, vectors, *running) + transcribed(A2, B1, vectors, *running)) / 2
    direction = jax.jit(directions.direction)(halves, running)
    assert np.abs(expected).max(1).min() > 0.1
    np.testing.assert_allclose(direction, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.sum(direction * vectors, 1), 0, atol=1e-12)  # whatever the batch


def test_utility(vectors):
    def quotient(v):
        return (v @ A1 @ v) / (v @ B1 @ v)

    def cosine2(u, v):
        return (v @ B1 @ u) ** 2 / ((v @ B1 @ v) * (u @ B1 @ u))

    expected = [
        quotient(v) - sum(quotient(u) * cosine2(u, v) for u in vectors[:i]) for i, v in enumerate(vectors)
    ]
    assert np.abs(expected).min() > 1e-2
    np.testing.assert_allclose(utilities(vectors), expected, rtol=1e-12)


@jax.jit
def utilities(v):
    """Returns the utilities of all players."""
    return directions.utility(halves_of(v)[0])


@jax.jit
def directions_and_gradients(v):
    """Returns directions, with means of now, and the gradient of each utility along its own vector."""
    jacobian = jax.jacrev(utilities)(v)
    halves = halves_of(v)
    return directions.direction(halves, estimate(halves[0])), jacobian[jnp.arange(K), jnp.arange(K)]


@pytest.mark.parametrize("parents_are_exact", (True, False))
def test_with_exact_parents_it_is_the_gradient_of_the_utility(parents_are_exact, vectors):
    """Compares it times |v_i|_B^4 / 2; with parents that are no eigenvectors it is a pseudo-gradient."""
    v = vectors.copy()
    if parents_are_exact:
        v[:-1] = unit(exact(A1, B1)[1][: K - 1])

    direction, gradients = directions_and_gradients(v)
    gradient = gradients[-1] * (v[-1] @ B1 @ v[-1]) ** 2 / 2
    assert np.abs(gradient).max() > 0.1
    difference = np.abs(direction[-1] - gradient).max()
    assert difference < 1e-12 if parents_are_exact else difference > 0.1
    # The first player has no parents: always a gradient.
    first = gradients[0] * (v[0] @ B1 @ v[0]) ** 2 / 2
    np.testing.assert_allclose(direction[0], first, rtol=1e-11, atol=1e-12)


def initial(problem, optimizer, v, batch):
    """Returns the (vectors, opt_state, auxiliary) of all players."""
    v = jnp.asarray(v)
    return v, eigengame.initial_optimizers(optimizer, v), initial_auxiliary(problem, v, jnp.asarray(batch))


SGD = optimizers.make("sgd", 0.05, {})
ADAM = optimizers.make("adam", 0.02, {}, clip_norm=0.5)


@functools.partial(jax.jit, static_argnums=(0, 1))
def run(problem, optimizer, carry, rows):
    """Makes all steps on one device: ((vectors, opt_state, auxiliary), the metrics of every step)."""

    def one(carry, batch):
        *carry, metrics = step(problem, optimizer, *carry, batch, gamma=GAMMA)
        return tuple(carry), metrics

    return jax.lax.scan(one, carry, rows)


def run_dense(v, steps: int):
    """Makes steps with A1 and B1: (vectors, auxiliary, the last utility)."""
    carry, rows = initial(dense, SGD, v, np.zeros((2, D))), np.zeros((STEPS, 2, D))
    for _ in range(steps // STEPS):
        carry, metrics = run(dense, SGD, carry, rows)
    return carry[0], carry[2], metrics["utility"][-1]


def angles(v, exact):
    """Returns the angles to exact eigenvectors in the inner product of B1."""
    root = np.linalg.cholesky(B1)
    return eigengame.angles(jnp.asarray(v @ root), jnp.asarray(exact @ root))


def test_eigenvectors_are_a_stable_equilibrium():
    _, eigenvectors = exact(A1, B1)
    eigenvectors = unit(eigenvectors[:K])
    settled, _, _ = run_dense(eigenvectors, STEPS)
    np.testing.assert_allclose(settled, eigenvectors, atol=1e-12)
    shaken = unit(eigenvectors + 1e-3 * np.random.default_rng(6).standard_normal(eigenvectors.shape))
    once, _, _ = run_dense(shaken, 200)
    before, after = (np.linalg.norm(v - eigenvectors, axis=1) for v in (shaken, once))
    assert before.min() > 1e-3
    assert (after < before / 20).all()


def test_the_equilibrium_is_scipys_eigenvectors(vectors):
    values, eigenvectors = exact(A1, B1)
    settled, auxiliary, utility = run_dense(vectors, 4000)
    assert angles(vectors, unit(eigenvectors[:K])).max() > 1
    np.testing.assert_allclose(angles(settled, eigenvectors[:K]), 0, atol=1e-6)
    np.testing.assert_allclose(auxiliary.b, settled @ B1, atol=1e-6)
    np.testing.assert_allclose(auxiliary.norm, np.sum(settled * (settled @ B1), 1), rtol=1e-6)
    assert utility == pytest.approx(values[:K].mean(), rel=1e-9)


def test_twenty_steps_equal_the_transcription(vectors):
    """Makes them on batches of two views, with the running means."""
    p, epsilon, rate = 3, 0.1, 0.05  # of CCA and SGD
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
    carry, _ = run(CCA, SGD, initial(CCA, SGD, vectors, rows[0]), rows)
    moved, _, auxiliary = carry
    assert np.abs(v - vectors).max() > 0.1
    np.testing.assert_allclose(moved, v, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(auxiliary.b, running_b, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(auxiliary.norm, running_norm, rtol=1e-10)


def test_batches_leave_the_mean_direction_as_it_is(vectors):
    """Averages over all batches of one row for A and one for B; the same row for both biases the mean."""
    rows = np.random.default_rng(9).standard_normal((5, D))
    everything = jnp.asarray(np.repeat(rows, 2, 0))  # the even rows, and the odd ones: the whole set
    running = initial_auxiliary(CCA, jnp.asarray(vectors), everything)

    @jax.jit
    def mean_direction(batches):
        halves = jax.vmap(lambda batch: products(CCA, jnp.asarray(vectors), batch))(batches)
        return jax.vmap(directions.direction, (0, None))(halves, running).mean(0)

    expected = mean_direction(everything[None])
    assert np.abs(expected).max() > 0.1
    pairs = jnp.asarray([(x, y) for x in rows for y in rows])
    np.testing.assert_allclose(mean_direction(pairs), expected, rtol=1e-11, atol=1e-12)
    same = mean_direction(jnp.asarray([(x, x) for x in rows]))
    assert np.abs(same - expected).max() > 0.1


@pytest.mark.parametrize("num_devices", (1, 2))
def test_one_device_is_two(num_devices, vectors):
    """Uses an optimiser that depends on norms: every player has one of its own."""
    rows = np.random.default_rng(10).standard_normal((5, B, D))
    start = initial(CCA, ADAM, vectors, rows[0])
    (alone, _, auxiliary), expected = run(CCA, ADAM, start, jnp.asarray(rows))
    split = jax.pmap(
        lambda *carry: step(CCA, ADAM, *carry, gamma=GAMMA),
        axis_name=devices.AXIS,
        devices=jax.local_devices()[:num_devices],
        out_axes=(0, 0, 0, None),
    )

    def share(x):
        return x.reshape(num_devices, len(x) // num_devices, *x.shape[1:])

    carry = jax.tree.map(share, start)
    for x in rows:
        *carry, metrics = jax.block_until_ready(split(*carry, share(x)))
    assert np.abs(alone - vectors).max() > 0.01
    np.testing.assert_allclose(carry[0].reshape(K, D), alone, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(carry[2].b.reshape(K, D), auxiliary.b, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(carry[2].norm.reshape(K), auxiliary.norm, rtol=1e-9)
    for name, value in metrics.items():
        np.testing.assert_allclose(value, expected[name][-1], rtol=1e-10)


def test_a_biased_step_has_all_factors_of_the_whole_batch(vectors):
    rows = np.random.default_rng(9).standard_normal((B, D))
    sgd = optimizers.make("sgd", 0.1, {})
    auxiliary = initial_auxiliary(CCA, jnp.asarray(vectors), jnp.asarray(rows))
    start = eigengame.initial_optimizers(sgd, jnp.asarray(vectors))
    arguments = CCA, sgd, jnp.asarray(vectors), start, auxiliary, jnp.asarray(rows)
    biased, unbiased = (step(*arguments, gamma=GAMMA, unbiased=u)[0] for u in (False, True))
    a, b = map(np.asarray, CCA(jnp.asarray(vectors), jnp.asarray(rows)))
    expected = []
    for i, v in enumerate(vectors):
        norm = v @ b[i]
        up = norm * a[i] - (v @ a[i]) * b[i]
        for j in range(i):
            length = np.sqrt(vectors[j] @ b[j])
            y, by = vectors[j] / length, b[j] / length
            up -= (a[i] @ y) * (norm * by - (v @ by) * b[i])
        expected.append(v + 0.1 * up)
    np.testing.assert_allclose(biased, unit(np.array(expected)), rtol=1e-10, atol=1e-12)
    assert np.abs(biased - unbiased).max() > 1e-3
