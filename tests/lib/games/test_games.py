"""The game abstraction, its regularisers and SGA, against dense Jacobians in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import KEY, PLAYERS, both, make_rule, tanh_gan

from lib.games import symplectic
from lib.games.drift import Coefficients
from lib.games.game import gradients
from lib.games.regularizers import TERMS, regularizer_gradients

pytestmark = pytest.mark.usefixtures("float64")


def test_gradients_are_every_player_s_own():
    game, params, batch = tanh_gan()
    grads, losses = jax.jit(lambda p: gradients(game, p, {}, batch, KEY)[:2])(params)
    for x in PLAYERS:
        own = lambda p, x=x: game.losses({**params, x: p}, {}, batch, KEY)[0][x]
        expected = jax.jit(jax.grad(own))(params[x])
        assert min(np.abs(g).max() for g in jax.tree.leaves(expected)) > 1e-3
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), grads[x], expected)
        assert float(losses[x]) == pytest.approx(float(own(params[x])), rel=1e-12)


def dense_terms(game, params, differentiated, stopped, x, y) -> dict[str, np.ndarray]:
    """Every term's gradient for player x from dense Jacobians of the flattened gradients."""
    flat, unflatten = {}, {}
    for z in PLAYERS:
        flat[z], unflatten[z] = jax.flatten_util.ravel_pytree(params[z])

    def grad(player, of, batch, point):
        """grad_player L_of as a vector, at a flattened point {player: vector}."""
        loss = lambda v: game.losses(
            {z: unflatten[z](v if z == player else point[z]) for z in PLAYERS}, {}, batch, KEY
        )[0][of]
        return jax.grad(loss)(point[player])

    def jacobian(player, of):
        """d (grad_player L_of) / d theta_x, a matrix, on the differentiated batch."""
        return jax.jacobian(lambda v: grad(player, of, differentiated, {**flat, x: v}))(flat[x])

    return {
        "self_norm": jacobian(x, x).T @ grad(x, x, stopped, flat),
        "other_norm": jacobian(y, y).T @ grad(y, y, stopped, flat),
        "other_dot_prod": jacobian(y, x).T @ grad(y, y, stopped, flat),
    }


@functools.cache
def cached_dense_terms(biased, x, y):
    game, params, batch = tanh_gan()
    halves = (batch, batch) if biased else (batch[:4], batch[4:])
    return jax.jit(lambda: dense_terms(game, params, *halves, x, y))()


@pytest.mark.parametrize("estimator", ["biased", "biased_averaged", "unbiased", "unbiased_averaged"])
@pytest.mark.parametrize("terms", [*[(t,) for t in TERMS], TERMS])
def test_regularizers_equal_dense_jacobians(estimator, terms):
    game, params, batch = tanh_gan()
    coefficients = {"disc": Coefficients(0.7, -0.4, 1.3), "gen": Coefficients(-0.2, 0.9, 0.5)}
    active = {x: terms for x in PLAYERS}
    result = jax.jit(
        lambda p: regularizer_gradients(game, coefficients, active, p, {}, batch, KEY, estimator)
    )(params)
    for x, y in (PLAYERS, PLAYERS[::-1]):
        dense = cached_dense_terms(estimator.startswith("biased"), x, y)
        expected = sum(getattr(coefficients[x], term) * dense[term] for term in terms)
        assert np.abs(expected).max() > 1e-4
        flat, _ = jax.flatten_util.ravel_pytree(result[x])
        np.testing.assert_allclose(flat, expected, rtol=1e-10, atol=1e-12)


def dense_game(game, params, batch):
    """(xi, J) of the joint gradient at all parameters, dense."""
    flat, unravel = jax.flatten_util.ravel_pytree(params)

    def xi(v):
        grads, _, _ = gradients(game, unravel(v), {}, batch, KEY)
        return jax.flatten_util.ravel_pytree(grads)[0]

    return np.asarray(xi(flat)), np.asarray(jax.jit(jax.jacfwd(xi))(flat))


@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize("flip", [1, -1])
def test_sga_equals_dense_jacobians(align, flip):
    """One step of it at rate 1: xi + 0.7 s A^T xi. Flipping all losses flips the sign of the alignment."""
    game, params, batch = tanh_gan()
    plain = game.losses
    scaled = lambda *args: (lambda v, aux: ({x: 9.0 * flip * loss for x, loss in v.items()}, aux))(
        *plain(*args)
    )
    game = game._replace(losses=scaled)
    xi, jacobian = dense_game(game, params, batch)
    adjustment = (jacobian - jacobian.T).T @ xi / 2
    grad_h = jacobian.T @ xi
    product = (xi @ grad_h) * (adjustment @ grad_h) / xi.size
    assert abs(product) > 0.2  # so that the sign is not epsilon's
    sign = np.sign(product + 0.1)
    assert np.abs(adjustment).max() > 1e-2
    rule = make_rule(game, "simultaneous", (1.0, 1.0), sga=0.7, align=align)
    state, _ = jax.jit(rule.step)(rule.init(params, {}), batch, KEY)
    moved, _ = jax.flatten_util.ravel_pytree(jax.tree.map(jnp.subtract, params, state.params))
    np.testing.assert_allclose(moved, xi + 0.7 * (sign if align else 1) * adjustment, rtol=1e-9, atol=1e-12)


def test_alignment_has_both_signs():
    v = {"disc": jnp.array([1.0, 2.0]), "gen": jnp.array(3.0)}
    opposite = jax.tree.map(jnp.negative, v)
    assert symplectic.alignment(v, v, v) == 1
    assert symplectic.alignment(v, opposite, v) == -1
    zero = jax.tree.map(jnp.zeros_like, v)
    assert symplectic.alignment(v, zero, v) == 1


def test_consensus_descends_the_norm_of_the_joint_gradient():
    game, params, batch = tanh_gan()
    xi, jacobian = dense_game(game, params, batch)
    rule = make_rule(game, "simultaneous", (1.0, 1.0), explicit=both(self_norm=0.3, other_norm=0.3))
    state, _ = jax.jit(rule.step)(rule.init(params, {}), batch, KEY)
    moved, _ = jax.flatten_util.ravel_pytree(jax.tree.map(jnp.subtract, params, state.params))
    np.testing.assert_allclose(moved, xi + 0.3 * jacobian.T @ xi, rtol=1e-9, atol=1e-12)


def test_a_term_with_coefficient_zero_is_not_computed():
    game, params, batch = tanh_gan()

    def cost(**weights):
        rule = make_rule(game, "simultaneous", (0.1, 0.1), **weights)
        return str(jax.make_jaxpr(rule.step)(rule.init(params, {}), batch, KEY)).count("dot_general")

    plain = cost()
    assert 0 < plain < cost(multiplier=both(0, 0, -1)) < cost(multiplier=both(-1, 1, -1))
    # No rule here has a drift in the other's norm, so its multiplier computes nothing.
    assert cost(multiplier=both(other_norm=1)) == plain
    assert plain < cost(sga=0.1, align=False) < cost(sga=0.1)
