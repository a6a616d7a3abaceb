"""The game abstraction, its regularisers and SGA, against dense Jacobians in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from toys import KEY, PLAYERS, both, dense_tanh_gan, make_rule, tanh_gan

from lib.games import symplectic
from lib.games.drift import Coefficients
from lib.games.game import gradients
from lib.games.regularizers import TERMS, regularizer_gradients

pytestmark = pytest.mark.usefixtures("float64")


def test_gradients_are_every_player_s_own():
    game, params, batch = tanh_gan()

    @jax.jit
    def measure(params):
        grads, losses, _ = gradients(game, params, {}, batch, KEY)
        own = {}
        for x in PLAYERS:
            own[x] = jax.value_and_grad(lambda p, x=x: game.losses({**params, x: p}, {}, batch, KEY)[0][x])(
                params[x]
            )
        return grads, losses, own

    grads, losses, own = measure(params)
    for x, (loss, expected) in own.items():
        assert min(np.abs(g).max() for g in jax.tree.leaves(expected)) > 1e-3
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), grads[x], expected)
        assert float(losses[x]) == pytest.approx(float(loss), rel=1e-12)


def dense_terms(game, params, differentiated, stopped, x, y) -> dict[str, np.ndarray]:
    """Computes every term's gradient for player x from dense Jacobians of the flattened gradients."""
    flat, unflatten = {}, {}
    for z in PLAYERS:
        flat[z], unflatten[z] = ravel_pytree(params[z])

    def grad(player, of, batch, point):
        """Returns grad_player L_of as a vector, at a flattened point {player: vector}."""

        def loss(v):
            there = {z: unflatten[z](v if z == player else point[z]) for z in PLAYERS}
            return game.losses(there, {}, batch, KEY)[0][of]

        return jax.grad(loss)(point[player])

    def jacobian(player, of):
        """Returns d (grad_player L_of) / d theta_x, a matrix, on the differentiated batch."""
        return jax.jacobian(lambda v: grad(player, of, differentiated, {**flat, x: v}))(flat[x])

    return {
        "self_norm": jacobian(x, x).T @ grad(x, x, stopped, flat),
        "other_norm": jacobian(y, y).T @ grad(y, y, stopped, flat),
        "other_dot_prod": jacobian(y, x).T @ grad(y, y, stopped, flat),
    }


ESTIMATORS = ("biased", "biased_averaged", "unbiased", "unbiased_averaged")
SETS_OF_TERMS = [*[(t,) for t in TERMS], TERMS]
COEFFICIENTS = {"disc": Coefficients(0.7, -0.4, 1.3), "gen": Coefficients(-0.2, 0.9, 0.5)}


@pytest.fixture(scope="module")
def terms():
    """Computes ({(estimator, terms): gradients}, {(biased, player): dense terms}) in two programs."""
    with jax.enable_x64(True):
        game, params, batch = tanh_gan()

        def computed(p):
            return {
                (estimator, names): regularizer_gradients(
                    game, COEFFICIENTS, dict.fromkeys(PLAYERS, names), p, {}, batch, KEY, estimator
                )
                for estimator, names in itertools.product(ESTIMATORS, SETS_OF_TERMS)
            }

        def dense(p):
            halves = {True: (batch, batch), False: (batch[:4], batch[4:])}
            return {
                (biased, x): dense_terms(game, p, *halves[biased], x, y)
                for biased in halves
                for x, y in (PLAYERS, PLAYERS[::-1])
            }

        return compiled(computed, params), compiled(dense, params)


def compiled(function, params) -> dict:
    """Compiles and calls a function that returns a dict whose keys JAX cannot sort."""
    keys = []

    def values(p):
        results = function(p)
        keys.extend(results)
        return list(results.values())

    results = jax.jit(values)(params)
    return dict(zip(keys, results, strict=True))


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("names", SETS_OF_TERMS)
def test_regularizers_equal_dense_jacobians(terms, estimator, names):
    computed, dense = terms
    for x in PLAYERS:
        of_player = dense[estimator.startswith("biased"), x]
        expected = sum(getattr(COEFFICIENTS[x], name) * of_player[name] for name in names)
        assert np.abs(expected).max() > 1e-4
        flat, _ = ravel_pytree(computed[estimator, names][x])
        np.testing.assert_allclose(flat, expected, rtol=1e-10, atol=1e-12)


def movement(game, **kwargs):
    """Returns the movement of all parameters of `tanh_gan` by one simultaneous step at rate 1."""
    _, params, batch = tanh_gan()
    rule = make_rule(game, "simultaneous", (1.0, 1.0), **kwargs)
    state, _ = rule.step(rule.init(params, {}), batch, KEY)
    return ravel_pytree(jax.tree.map(jnp.subtract, params, state.params))[0]


def test_sga_equals_dense_jacobians():
    game, _, _ = tanh_gan()
    cases = list(itertools.product((1, -1), (True, False)))

    def scaled(factor):
        def losses(*args):
            values, aux = game.losses(*args)
            return {x: factor * loss for x, loss in values.items()}, aux

        return game._replace(losses=losses)

    # One step at rate 1: xi + 0.7 s A^T xi. Flipping all losses flips the sign of the alignment.
    moved = jax.jit(lambda: [movement(scaled(9.0 * flip), sga=0.7, align=align) for flip, align in cases])()
    signs = set()
    for (flip, align), step in zip(cases, moved, strict=True):
        xi, jacobian = (9.0 * flip * x for x in dense_tanh_gan())
        adjustment = (jacobian - jacobian.T).T @ xi / 2
        grad_h = jacobian.T @ xi
        product = (xi @ grad_h) * (adjustment @ grad_h) / xi.size
        assert abs(product) > 0.2  # so that the sign is not epsilon's
        sign = np.sign(product + 0.1)
        signs.add(sign)
        assert np.abs(adjustment).max() > 1e-2
        expected = xi + 0.7 * (sign if align else 1) * adjustment
        np.testing.assert_allclose(step, expected, rtol=1e-9, atol=1e-12)
    assert signs == {1, -1}


def test_alignment_has_both_signs():
    v = {"disc": jnp.array([1.0, 2.0]), "gen": jnp.array(3.0)}
    opposite = jax.tree.map(jnp.negative, v)
    assert symplectic.alignment(v, v, v) == 1
    assert symplectic.alignment(v, opposite, v) == -1
    zero = jax.tree.map(jnp.zeros_like, v)
    assert symplectic.alignment(v, zero, v) == 1


def test_consensus_descends_the_norm_of_the_joint_gradient():
    xi, jacobian = dense_tanh_gan()
    moved = jax.jit(lambda: movement(tanh_gan()[0], explicit=both(self_norm=0.3, other_norm=0.3)))()
    assert np.abs(jacobian.T @ xi).max() > 1e-2
    np.testing.assert_allclose(moved, xi + 0.3 * jacobian.T @ xi, rtol=1e-9, atol=1e-12)


def test_a_term_with_coefficient_zero_is_not_computed():
    game, params, batch = tanh_gan()

    def cost(**weights):
        """Counts the products of one step."""
        rule = make_rule(game, "simultaneous", (0.1, 0.1), **weights)
        state = jax.eval_shape(lambda p: rule.init(p, {}), params)
        return str(jax.make_jaxpr(rule.step)(state, batch, KEY)).count("dot_general")

    plain = cost()
    assert 0 < plain < cost(multiplier=both(0, 0, -1)) < cost(multiplier=both(-1, 1, -1))
    # No rule here has a drift in the other's norm, so its multiplier computes nothing.
    assert cost(multiplier=both(other_norm=1)) == plain
    assert plain < cost(sga=0.1, align=False) < cost(sga=0.1)
