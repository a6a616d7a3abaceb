"""Gauss-Newton matrices and spectral densities against dense matrices of a classifier's small network."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import small_config
from jax.flatten_util import ravel_pytree

from experiments import registry
from lib.data import Dataset, DataSpec
from lib.games.density import spectral_density
from lib.games.eigenvalues import dense
from lib.games.operators import Operator, game_jacobian, gauss_newton, hessian

pytestmark = pytest.mark.usefixtures("float64")

KEY, N, M = jax.random.key(0), 6, 3
NETWORK = ["classifier.model.name=mlp", "classifier.model.kwargs={'hidden': (4,), 'activation': 'tanh'}"]


@functools.cache
def problem(config: str = "classifier/digits", *overrides: str):
    """Returns (rule, state, batches [M, N, ..]) of an experiment on random data, in float64."""
    rng = np.random.default_rng(0)
    data = Dataset(rng.integers(0, 256, (N * M, 8, 8, 1), np.uint8), rng.integers(0, 3, N * M, np.int32), 3)
    chosen = registry.validated(small_config(config, *overrides))
    experiment = registry.build(chosen, DataSpec.of(data))
    batch = {"image": data.image, "label": data.label}
    state = jax.jit(experiment.init)(KEY, batch)
    state = jax.tree.map(lambda x: x.astype(float) if x.dtype == jnp.float32 else x, state)
    seen = jax.tree.map(lambda x: x.astype(float) if x.ndim > 1 else x, experiment.game.batch(batch))
    return experiment.game.rule, state, jax.tree.map(lambda x: x.reshape(M, N, *x.shape[1:]), seen)


def one(batches, i: int = 0):
    return jax.tree.map(lambda x: x[i], batches)


def dense_gauss_newton(rule, state, batch, player: str) -> np.ndarray:
    """Returns J^T H J by brute force."""
    head = rule.dynamics.game.head
    flat, unravel = ravel_pytree(state.params[player])
    keys = jax.random.split(KEY)

    def outputs(p):
        out = head.outputs({**state.params, player: unravel(p)}, state.net_state, batch, keys[0])
        return ravel_pytree(out)[0]

    shape = head.outputs(state.params, state.net_state, batch, keys[0])
    unflatten = ravel_pytree(shape)[1]
    jacobian = np.asarray(jax.jacfwd(outputs)(flat))
    curvature = jax.hessian(lambda o: head.losses(unflatten(o), batch)[player])(outputs(flat))
    return jacobian.T @ np.asarray(curvature) @ jacobian


def test_gauss_newton_products_are_those_of_the_dense_matrix():
    rule, state, batches = problem("classifier/digits", *NETWORK)
    batch = one(batches)
    matrix = dense(gauss_newton(rule, state, batch, KEY, "model"))
    np.testing.assert_allclose(matrix, dense_gauss_newton(rule, state, batch, "model"), atol=1e-10)
    values = np.linalg.eigvalsh(matrix)
    assert values.min() > -1e-10  # the cross entropy is convex
    assert values.max() > 1e-2
    whole = dense(hessian(rule, state, batch, KEY, "model"))
    assert np.abs(whole - matrix).max() > 1e-4  # the network's own curvature


@pytest.mark.parametrize("player", ["disc", "gen"])
def test_gauss_newton_of_both_players_of_a_gan(player):
    gan = ("gan.nets.kwargs={'num_units': 3}", "gan.num_latents=2", "gan.diagnostics=()")
    rng = np.random.default_rng(0)
    config = registry.validated(small_config("gan/ring8", *gan))
    data = Dataset(rng.normal(size=(N, 2)).astype(np.float32), np.zeros(N, np.int32), 1)
    experiment = registry.build(config, DataSpec.of(data))
    state = jax.jit(experiment.init)(KEY, {"image": data.image, "label": data.label})
    state = jax.tree.map(lambda x: x.astype(float) if x.dtype == jnp.float32 else x, state)
    rule, batch = experiment.game.rule, jnp.asarray(data.image, float)
    device_key = KEY
    matrix = dense(gauss_newton(rule, state, batch, device_key, player))
    np.testing.assert_allclose(matrix, dense_gauss_newton(rule, state, batch, player), atol=1e-10)
    assert np.abs(matrix).max() > 1e-4


@pytest.mark.parametrize("matrix", [hessian, gauss_newton])
def test_operators_in_parts_are_those_of_the_whole_batch(matrix):
    batches = problem("classifier/digits", *NETWORK)[2]
    together = jax.tree.map(lambda x: x.reshape(N * M, *x.shape[2:]), batches)
    whole, parts = (
        dense(matrix(*problem("classifier/digits", *NETWORK, *part)[:2], together, KEY, "model"))
        for part in ([], [f"classifier.microbatch={N}"])
    )
    np.testing.assert_allclose(parts, whole, atol=1e-12)
    assert np.abs(whole).max() > 1e-2


@pytest.mark.parametrize("matrix", [hessian, gauss_newton])
def test_the_density_has_the_moments_of_the_dense_matrix(matrix):
    rule, state, batches = problem("classifier/digits", *NETWORK)
    operator = matrix(rule, state, one(batches), KEY, "model")
    values = np.linalg.eigvalsh(dense(operator))
    density = spectral_density(operator, probes=40, depth=60)
    np.testing.assert_allclose(density.weights.sum(1), 1, rtol=1e-12)
    for power in (1, 2, 3):
        moment, error = density.moment(power)
        assert 0 < error < np.abs(values**power).sum() / 4
        assert abs(moment - (values**power).sum()) < 4 * error
    assert density.nodes.max() == pytest.approx(values.max(), rel=1e-6)
    at = np.linspace(values.min() - 1, values.max() + 1, 4001)
    smooth = density.at(at, width=0.05)
    assert smooth.sum() * (at[1] - at[0]) == pytest.approx(operator.size, rel=1e-6)
    exact = np.exp(-((at[:, None] - values) ** 2) / (2 * 0.05**2)).sum(1) / (0.05 * np.sqrt(2 * np.pi))
    assert np.abs(smooth - exact).sum() < 0.1 * exact.sum()


def test_a_full_iteration_is_exact_for_each_probe():
    rule, state, batches = problem("classifier/digits", "classifier.model.name=logistic")
    operator = gauss_newton(rule, state, one(batches), KEY, "model")
    matrix = dense(operator)
    density = spectral_density(operator, probes=3, depth=40)
    for i, key in enumerate(jax.random.split(jax.random.key(0), 3)):
        v = np.asarray(jax.random.rademacher(key, (operator.size,), float))
        for power in (1, 2, 5):
            exact = v @ np.linalg.matrix_power(matrix, power) @ v
            assert operator.size * density.weights[i] @ density.nodes[i] ** power == pytest.approx(exact)


def test_only_symmetric_operators_have_a_density():
    rule, state, _ = problem("classifier/digits", *NETWORK)
    batch = one(problem("classifier/digits", *NETWORK)[2])
    operator = game_jacobian(rule, state, batch, KEY)._replace(symmetric=False)
    with pytest.raises(ValueError, match="symmetric"):
        spectral_density(operator)


def test_an_operator_that_is_0_has_its_whole_density_there():
    """Takes 0 for A, as the Gauss-Newton matrix of losses that are linear in the outputs is."""
    density = spectral_density(Operator(7, jnp.zeros_like, True, np.dtype(float)), probes=2, depth=5)
    np.testing.assert_array_equal(density.nodes, 0)
    np.testing.assert_array_equal(density.weights.sum(1), 1)
    assert density.moment(1) == (0, 0)


def test_products_that_are_not_finite_are_refused():
    for apply in (lambda v: v * np.nan, lambda v: v.at[3].set(np.inf)):
        with pytest.raises(FloatingPointError):
            spectral_density(Operator(7, apply, True, np.dtype(float)), probes=1, depth=5)
