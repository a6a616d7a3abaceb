"""Whole steps: against a NumPy transcription of the pseudo-code, on devices and groups, to the equilibrium."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lib import eigengame, optimizers
from lib.eigengame import PCA_RULES
from lib.eigengame.pca.steps import step
from lib.runtime import devices

K, D, B = 4, 6, 8
RATE, MOMENTUM = 0.02, 0.9
pytestmark = pytest.mark.usefixtures("float64")
SPECTRUM = np.array([4.0, 3.0, 2.0, 1.2, 0.5, 0.1])


def batches(n: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, B, D)) * np.sqrt(SPECTRUM)


@pytest.fixture
def start():
    v = np.random.default_rng(1).standard_normal((K, D))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def sgd(**kwargs):
    return optimizers.make("sgd", RATE, {"momentum": MOMENTUM, "nesterov": True, **kwargs})


def run(rule: str, vectors, rows, optimizer=None, **kwargs):
    """All steps on one device, float64 [k, d]."""
    optimizer = optimizer or sgd()
    opt_state = eigengame.initial_optimizers(optimizer, jnp.asarray(vectors))

    def one(carry, batch):
        *carry, metrics = step(PCA_RULES[rule], optimizer, *carry, batch, **kwargs)
        return tuple(carry), metrics

    carry, metrics = jax.jit(lambda c, x: jax.lax.scan(one, c, x))(
        (jnp.asarray(vectors), opt_state), jnp.asarray(rows)
    )
    return carry[0], metrics


def transcribed(rule: str, v: np.ndarray, rows: np.ndarray, riemannian: bool) -> np.ndarray:
    """SGD with Nesterov momentum, then the papers' renormalisation, QR, or nothing."""
    v, trace = v.copy(), np.zeros_like(v)
    for x in rows:
        c = x.T @ x / len(x)
        direction = np.empty_like(v)
        for i in range(K):
            parents = range(i + 1) if rule == "sanger" else range(i)
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
        if rule == "oja":
            for i in range(K):
                v[i] -= v[:i].T @ (v[:i] @ v[i])
                v[i] /= np.linalg.norm(v[i])
        elif rule != "sanger":
            v /= np.linalg.norm(v, axis=1, keepdims=True)
    return v


@pytest.mark.parametrize(
    "rule, riemannian",
    [(name, False) for name in PCA_RULES] + [(name, True) for name, rule in PCA_RULES.items() if rule.on_sphere],
)
def test_fifty_steps_equal_the_pseudo_code(rule, riemannian, start):
    rows = batches(50)
    expected = transcribed(rule, start, rows, riemannian)
    found, _ = run(rule, start, rows, riemannian=riemannian)
    assert np.abs(expected - start).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("rule", PCA_RULES)
def test_the_equilibrium_is_the_eigenvectors(rule, start):
    """Full batches, whose eigenvectors are known."""
    x = np.linalg.qr(np.random.default_rng(2).standard_normal((B, D)))[0] * np.sqrt(SPECTRUM * B)
    found, metrics = run(rule, start, np.broadcast_to(x, (1500, B, D)))
    truth = jnp.eye(D)[:K]
    assert eigengame.longest_streak(jnp.asarray(start), truth) == 0
    assert eigengame.longest_streak(found, truth) == K
    np.testing.assert_allclose(eigengame.angles(found, truth), 0, atol=1e-6)
    assert metrics["utility"][-1] == pytest.approx(SPECTRUM[:K].sum() / SPECTRUM.sum(), rel=1e-9)


@pytest.mark.parametrize("groups", (0, 1, 2))
@pytest.mark.parametrize("clip", (0.0, 0.5), ids=("", "clipped"))
@pytest.mark.parametrize("rule", PCA_RULES)
def test_one_device_is_two_is_groups(rule, clip, groups, start):
    """Also with an optimiser that looks at norms: every player has one of its own."""
    optimizer = optimizers.make("adam", RATE, {}, clip_norm=clip)
    rows = batches(5)
    split = jax.pmap(
        lambda v, s, x: step(PCA_RULES[rule], optimizer, v, s, x, groups=groups),
        axis_name=devices.AXIS,
        devices=jax.local_devices()[:2],
        out_axes=(0, 0, None),
    )
    share = lambda x: x.reshape(2, len(x) // 2, *x.shape[1:])
    vectors = jnp.asarray(start)
    carry = jax.tree.map(share, (vectors, eigengame.initial_optimizers(optimizer, vectors)))
    for x in rows:
        *carry, metrics = jax.block_until_ready(split(*carry, share(x)))
    alone, expected = run(rule, start, rows, optimizer)
    assert np.abs(alone - start).max() > 0.01
    np.testing.assert_allclose(carry[0].reshape(K, D), alone, rtol=1e-9, atol=1e-11)
    for name, value in metrics.items():
        np.testing.assert_allclose(value, expected[name][-1], rtol=1e-11)


def test_the_rate_of_the_metrics_is_the_mean_of_those_that_players_chose(start):
    optimizer = optimizers.make("sgd_hd", RATE, {"beta": 1e-3})
    carry = jnp.asarray(start), eigengame.initial_optimizers(optimizer, jnp.asarray(start))
    for rows in batches(2):
        *carry, metrics = step(PCA_RULES["mu"], optimizer, *carry, jnp.asarray(rows))
    chosen = optax.tree.get(carry[1], "step_size")
    assert np.ptp(chosen) > 1e-4
    assert float(metrics["learning_rate"]) == pytest.approx(float(chosen.mean()), rel=1e-12)
