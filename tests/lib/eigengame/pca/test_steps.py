"""Whole steps: against a transcription of the pseudo-code, on devices and groups, to the equilibrium."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lib import eigengame, optimizers
from lib.eigengame import PCA_RULES
from lib.eigengame.pca.steps import step
from lib.runtime import devices

K, D, B, STEPS = 4, 6, 8, 50
RATE, MOMENTUM = 0.02, 0.9
pytestmark = pytest.mark.usefixtures("float64")
EIGENVALUES = np.array([4.0, 3.0, 2.0, 1.2, 0.5, 0.1])
SGD = optimizers.make("sgd", RATE, {"momentum": MOMENTUM, "nesterov": True})


def batches(n: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, B, D)) * np.sqrt(EIGENVALUES)


@pytest.fixture
def start():
    v = np.random.default_rng(1).standard_normal((K, D))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def initial(optimizer, vectors):
    """Returns the (vectors, opt_state) of all players."""
    return jnp.asarray(vectors), eigengame.initial_optimizers(optimizer, jnp.asarray(vectors))


@functools.partial(jax.jit, static_argnames=("rule", "optimizer", "riemannian"))
def run(rule: str, optimizer, carry, rows, riemannian=False):
    """Makes all steps on one device: ((vectors, opt_state), the metrics of every step)."""

    def one(carry, batch):
        *carry, metrics = step(PCA_RULES[rule], optimizer, *carry, batch, riemannian=riemannian)
        return tuple(carry), metrics

    return jax.lax.scan(one, carry, rows)


def transcribed(rule: str, v: np.ndarray, rows: np.ndarray, riemannian: bool) -> np.ndarray:
    """Makes steps of SGD with Nesterov momentum, then the papers' renormalisation, QR, or nothing."""
    v, trace = v.copy(), np.zeros_like(v)
    for x in rows:
        c = x.T @ x / len(x)
        direction = np.empty_like(v)
        for i in range(K):
            parents = range({"sanger": i + 1, "krasulina": K}.get(rule, i))
            if rule == "oja":
                direction[i] = c @ v[i]
            elif rule == "alpha":
                penalty = sum((v[i] @ c @ v[j]) / (v[j] @ c @ v[j]) * v[j] for j in parents)
                direction[i] = 2 * c @ (v[i] - penalty)
            else:
                direction[i] = c @ v[i] - sum((v[i] @ c @ v[j]) * v[j] for j in parents)
            if riemannian:
                direction[i] -= (direction[i] @ v[i]) * v[i]
        trace = MOMENTUM * trace + direction
        v = v + RATE * (MOMENTUM * trace + direction)
        if rule in ("oja", "krasulina"):
            for i in range(K):
                v[i] -= v[:i].T @ (v[:i] @ v[i])
                v[i] /= np.linalg.norm(v[i])
        elif rule != "sanger":
            v /= np.linalg.norm(v, axis=1, keepdims=True)
    return v


@pytest.mark.parametrize(
    "rule, riemannian",
    [(name, False) for name in PCA_RULES]
    + [(name, True) for name, rule in PCA_RULES.items() if rule.on_sphere],
)
def test_fifty_steps_equal_the_pseudo_code(rule, riemannian, start):
    rows = batches(STEPS)
    expected = transcribed(rule, start, rows, riemannian)
    (vectors, _), _ = run(rule, SGD, initial(SGD, start), rows, riemannian=riemannian)
    assert np.abs(expected - start).max() > 0.1
    np.testing.assert_allclose(vectors, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("rule", PCA_RULES)
def test_the_equilibrium_is_the_eigenvectors(rule, start):
    """Makes steps on full batches, whose eigenvectors are known."""
    x = np.linalg.qr(np.random.default_rng(2).standard_normal((B, D)))[0] * np.sqrt(EIGENVALUES * B)
    rows, carry = np.broadcast_to(x, (STEPS, B, D)), initial(SGD, start)
    for _ in range(1500 // STEPS):
        carry, metrics = run(rule, SGD, carry, rows, riemannian=False)
    vectors, exact = carry[0], jnp.eye(D)[:K]
    if rule == "krasulina":  # its vectors do not turn within their span
        assert eigengame.subspace_distance(jnp.asarray(start), exact) > 0.1
        assert eigengame.subspace_distance(vectors, exact) < 1e-10
        return
    assert eigengame.longest_streak(jnp.asarray(start), exact) == 0
    assert eigengame.longest_streak(vectors, exact) == K
    np.testing.assert_allclose(eigengame.angles(vectors, exact), 0, atol=1e-6)
    assert metrics["utility"][-1] == pytest.approx(EIGENVALUES[:K].sum() / EIGENVALUES.sum(), rel=1e-9)


# Also an optimiser that depends on norms: every player has one of its own.
OPTIMIZERS = {
    "plain": optimizers.make("adam", RATE, {}),
    "clipped": optimizers.make("adam", RATE, {}, clip_norm=0.5),
}


@functools.cache
def of_all_rules(groups: int, num_devices: int):
    """Returns the program of a step by every rule with every optimiser, {(rule, optimiser): carry}."""

    def steps(carries, x):
        after = {
            (rule, name): step(PCA_RULES[rule], OPTIMIZERS[name], *carry, x, groups=groups)
            for (rule, name), carry in carries.items()
        }
        return {key: value[:2] for key, value in after.items()}, {key: v[2] for key, v in after.items()}

    if not num_devices:
        return jax.jit(steps)
    return jax.pmap(
        steps, axis_name=devices.AXIS, devices=jax.local_devices()[:num_devices], out_axes=(0, None)
    )


def shares(tree, n: int):
    """Splits every leaf over n devices; 0: none."""
    return jax.tree.map(lambda x: x.reshape(n, len(x) // n, *x.shape[1:]), tree) if n else tree


def five_steps(start, groups: int, num_devices: int):
    """Returns {(rule, optimiser): vectors [k, d]} and {(rule, optimiser): the last metrics}."""
    carries = {
        (r, name): initial(optimizer, start) for r in PCA_RULES for name, optimizer in OPTIMIZERS.items()
    }
    carries = shares(carries, num_devices)
    for x in batches(5):
        carries, metrics = jax.block_until_ready(
            of_all_rules(groups, num_devices)(carries, shares(jnp.asarray(x), num_devices))
        )
    return {key: vectors.reshape(K, D) for key, (vectors, _) in carries.items()}, metrics


@pytest.fixture(scope="module")
def alone():
    """Returns what five steps give without a device axis."""
    with jax.enable_x64(True):
        v = np.random.default_rng(1).standard_normal((K, D))
        return five_steps(v / np.linalg.norm(v, axis=1, keepdims=True), groups=0, num_devices=0)


@pytest.mark.parametrize("num_devices, groups", [(2, 0), (2, 1), (2, 2), (1, 0)])
def test_one_device_is_two_is_groups(num_devices, groups, start, alone):
    expected, expected_metrics = alone
    vectors, metrics = five_steps(start, groups, num_devices)
    for key in expected:
        assert np.abs(expected[key] - start).max() > 0.01
        np.testing.assert_allclose(vectors[key], expected[key], rtol=1e-9, atol=1e-11, err_msg=str(key))
        for name, value in metrics[key].items():
            np.testing.assert_allclose(value, expected_metrics[key][name], rtol=1e-11, err_msg=str(key))
    different = {key: expected[key] - expected[key[0], "plain"] for key in expected if key[1] == "clipped"}
    assert all(np.abs(x).max() > 1e-4 for x in different.values())


def test_the_rate_of_the_metrics_is_the_mean_of_those_that_players_chose(start):
    optimizer = optimizers.make("sgd_hd", RATE, {"beta": 1e-3})
    (_, opt_state), metrics = run("mu", optimizer, initial(optimizer, start), batches(2))
    chosen = optax.tree.get(opt_state, "step_size")
    assert np.ptp(chosen) > 1e-4
    assert float(metrics["learning_rate"][-1]) == pytest.approx(float(chosen.mean()), rel=1e-12)
