"""Jacobians of games and of updates against brute force, on a GAN of 17 parameters."""

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from toys import KEY, PLAYERS, both, dense_tanh_gan, make_rule, tanh_gan

from lib import optimizers
from lib.games import operators, updates
from lib.games.eigenvalues import dense, eigenvalues
from lib.games.game import Aux, Game
from lib.games.operators import game_jacobian, hessian, update_jacobian
from lib.games.updates import Regularizers
from lib.losses import classifier_cross_entropy

pytestmark = pytest.mark.usefixtures("float64")
REGULARIZED = {"explicit": both(0.3, 0.2, 0.1), "multiplier": both(-1.0, 0.0, -1.0)}


def classifier():
    """Makes (rule, state, batch) of a small net of one hidden layer, 43 parameters, trained a little."""
    rng = np.random.default_rng(0)
    shapes = {"a": (6, 4), "b": (4,), "c": (4, 3), "d": (3,)}
    params = {name: jnp.asarray(rng.normal(size=shape)) for name, shape in shapes.items()}
    batch = jnp.asarray(rng.normal(size=(10, 6))), jnp.asarray(rng.integers(0, 3, 10))

    def losses(params, state, batch, key):
        p = params["model"]
        logits = jnp.tanh(batch[0] @ p["a"] + p["b"][None]) @ p["c"] + p["d"][None]
        return {"model": classifier_cross_entropy(logits, batch[1]).mean()}, Aux(state, {})

    optimizer = {"model": optimizers.make("sgd", 0.05, {"momentum": 0.9})}
    game = Game(("model",), losses)
    rule = updates.make("simultaneous", game, optimizer, Regularizers.none(("model",)))
    state, step = rule.init({"model": params}, {}), jax.jit(rule.step)
    for i in range(3):
        state, _ = step(state, batch, jax.random.fold_in(KEY, i))
    return rule, state, batch


def test_game_jacobian_is_the_derivative_of_the_regularised_field():
    game, params, batch = tanh_gan()
    matrices = []
    for weights in ({}, REGULARIZED):
        rule = make_rule(game, "alternating", (0.1, 0.3), estimator="unbiased_averaged", **weights)
        state = rule.init(params, {})
        flat, unravel = ravel_pytree(state.params)

        def field(v, rule=rule, state=state, unravel=unravel):
            there = state._replace(params=unravel(v))
            coefficients = rule.dynamics.coefficients(state)
            return ravel_pytree(rule.dynamics.evaluate(there, coefficients, batch, KEY).grads)[0]

        expected = jax.jit(jax.jacfwd(field))(flat)
        operator = game_jacobian(rule, state, batch, KEY)
        assert operator.size == flat.size == 17
        assert operator.dtype == np.float64
        assert not operator.symmetric
        assert np.abs(expected - expected.T).max() > 0.1
        matrices.append(dense(operator))
        np.testing.assert_allclose(matrices[-1], expected, rtol=1e-10, atol=1e-12)
    # Regularisers change the Jacobian.
    assert np.abs(matrices[0] - matrices[1]).max() > 0.01


def test_hessians_are_the_jacobian_s_diagonal_blocks():
    game, params, batch = tanh_gan()
    rule = make_rule(game, "simultaneous", (0.1, 0.3))
    state = rule.init(params, {})
    whole, n = dense_tanh_gan()[1], 0
    for x in PLAYERS:
        operator = hessian(rule, state, batch, KEY, x)
        block, n = whole[n:, n:][: operator.size, : operator.size], n + operator.size
        assert operator.symmetric
        assert np.abs(block).max() > 0.01
        np.testing.assert_allclose(dense(operator), block, rtol=1e-10, atol=1e-12)


def test_hessian_of_a_classifier():
    # One player's field is a gradient: its Jacobian is the Hessian, and symmetric.
    rule, state, batch = classifier()
    flat, unravel = ravel_pytree(state.params["model"])

    def loss(v):
        return rule.dynamics.game.losses({"model": unravel(v)}, {}, batch, KEY)[0]["model"]

    expected = np.asarray(jax.jit(jax.hessian(loss))(flat))
    assert expected.shape == (43, 43)
    assert np.linalg.norm(expected) > 0.1
    ordered = np.linalg.eigvalsh(expected)
    extreme = {
        "LM": ordered[np.argsort(-np.abs(ordered))][:3],
        "LR": ordered[::-1][:3],
        "SR": ordered[:3],
    }
    for operator in (hessian(rule, state, batch, KEY, "model"), game_jacobian(rule, state, batch, KEY)):
        assert operator.symmetric
        np.testing.assert_allclose(dense(operator), expected, rtol=1e-10, atol=1e-12)
        for which, values in extreme.items():
            computed = eigenvalues(operator, 3, which)
            assert computed.dtype == np.float64
            np.testing.assert_allclose(computed, values, atol=1e-9)


def test_update_of_gradient_descent_is_one_minus_h_mu():
    game, params, batch = tanh_gan()
    rule = make_rule(game, "simultaneous", (0.05, 0.05))
    update = update_jacobian(rule, rule.init(params, {}), batch, KEY)
    np.testing.assert_allclose(dense(update), np.eye(17) - 0.05 * dense_tanh_gan()[1], atol=1e-13)


def test_the_example_of_the_module():
    with jax.enable_x64(False):
        results = doctest.testmod(operators)
    assert results.attempted > 5
    assert results.failed == 0
