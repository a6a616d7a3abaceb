"""Jacobians of games and of updates against brute force, and ARPACK's eigenvalues against dense ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from toys import BILINEAR, KEY, NO_DATA, PLAYERS, both, initial, make_rule, tanh_gan, toy_game

from lib import optimizers
from lib.games import updates
from lib.games.game import Aux, Game
from lib.games.eigenvalues import balanced, dense, eigenvalues, spectral_radius, where_differentiable
from lib.games.operators import Operator, game_jacobian, hessian, update_jacobian
from lib.games.updates import Regularizers
from lib.losses import classifier_cross_entropy
from lib.nets.mlp import MLP

pytestmark = pytest.mark.usefixtures("float64")
REGULARIZED = {"explicit": both(0.3, 0.2, 0.1), "multiplier": both(-1.0, 0.0, -1.0)}


def rule_of(game, optimizer, name="simultaneous", players=PLAYERS, **kwargs):
    optimizer = {x: optimizers.make(optimizer, 0.05, kwargs) for x in players}
    return updates.make(name, game, optimizer, Regularizers.none(players))


def trained(rule, params, batch, steps=3):
    """The state after some steps: with momenta and moments that are not zero."""
    state, step = rule.init(params, {}), jax.jit(rule.step)
    for i in range(steps):
        state, _ = step(state, batch, jax.random.fold_in(KEY, i))
    return state


def classifier():
    """(rule, state, batch) of a small net of one hidden layer, 43 parameters, trained a little."""
    keys = jax.random.split(KEY, 3)
    net = MLP(3, hidden=(4,), activation="tanh")
    image, label = jax.random.normal(keys[0], (10, 2, 3, 1)), jax.random.randint(keys[1], (10,), 0, 3)

    def losses(params, state, batch, key):
        logits, _ = net.apply({"params": params["model"]}, batch[0], train=True)
        return {"model": classifier_cross_entropy(logits, batch[1]).mean()}, Aux(state, {})

    rule = rule_of(Game(("model",), losses), "sgd", players=("model",), momentum=0.9)
    params = net.init(keys[2], image, train=True)["params"]
    params = jax.tree.map(lambda x: x.astype(float), params)
    return rule, trained(rule, {"model": params}, (image, label)), (image, label)


def assert_same_spectrum(found, expected):
    """Equal as sets, sizes apart: of conjugates, either may come first."""
    found, expected = (
        sorted(np.where(x.imag < 0, x.conj(), x), key=lambda z: (z.real, z.imag)) for x in (found, expected)
    )
    np.testing.assert_allclose(found, expected, atol=1e-9)


def extreme(values, k, which):
    """The first k in the order of `which`, by hand."""
    size = {"LM": np.abs(values), "LR": values.real, "SR": -values.real}[which]
    return values[np.argsort(-size)][:k]


@pytest.mark.parametrize("weights", [{}, REGULARIZED])
def test_game_jacobian_is_the_derivative_of_the_regularised_field(weights):
    game, params, batch = tanh_gan()
    rule = make_rule(game, "alternating", (0.1, 0.3), estimator="unbiased_averaged", **weights)
    state = rule.init(params, {})
    flat, unravel = ravel_pytree(state.params)

    def field(v):
        there = state._replace(params=unravel(v))
        return ravel_pytree(rule.dynamics.evaluate(there, rule.dynamics.coefficients(state), batch, KEY).grads)[
            0
        ]

    expected = jax.jit(jax.jacfwd(field))(flat)
    operator = game_jacobian(rule, state, batch, KEY)
    assert operator.size == flat.size == 17
    assert operator.dtype == np.float64
    assert not operator.symmetric
    assert np.abs(expected - expected.T).max() > 0.1
    np.testing.assert_allclose(dense(operator), expected, rtol=1e-10, atol=1e-12)


def test_regularisers_change_the_jacobian():
    game, params, batch = tanh_gan()
    matrices = []
    for weights in ({}, REGULARIZED):
        rule = make_rule(game, "simultaneous", (0.1, 0.3), **weights)
        matrices.append(dense(game_jacobian(rule, rule.init(params, {}), batch, KEY)))
    assert np.abs(matrices[0] - matrices[1]).max() > 0.01


def test_hessians_are_the_jacobian_s_diagonal_blocks():
    game, params, batch = tanh_gan()
    rule = make_rule(game, "simultaneous", (0.1, 0.3))
    state = rule.init(params, {})
    whole, n = dense(game_jacobian(rule, state, batch, KEY)), 0
    for x in PLAYERS:
        operator = hessian(rule, state, batch, KEY, x)
        block, n = whole[n:, n:][: operator.size, : operator.size], n + operator.size
        assert operator.symmetric
        assert np.abs(block).max() > 0.01
        np.testing.assert_allclose(dense(operator), block, rtol=1e-10, atol=1e-12)


def test_hessian_of_a_classifier():
    """One player's field is a gradient: its Jacobian is the Hessian, and symmetric."""
    rule, state, batch = classifier()
    flat, unravel = ravel_pytree(state.params["model"])
    loss = lambda v: rule.dynamics.game.losses({"model": unravel(v)}, {}, batch, KEY)[0]["model"]
    expected = np.asarray(jax.jit(jax.hessian(loss))(flat))
    assert np.linalg.norm(expected) > 0.1
    for operator in (hessian(rule, state, batch, KEY, "model"), game_jacobian(rule, state, batch, KEY)):
        assert operator.symmetric
        np.testing.assert_allclose(dense(operator), expected, rtol=1e-10, atol=1e-12)
        for which in ("LM", "LR", "SR"):
            found = eigenvalues(operator, 3, which)
            assert found.dtype == np.float64
            np.testing.assert_allclose(found, extreme(np.linalg.eigvalsh(expected), 3, which), atol=1e-9)


def cases():
    """{name: (operator, its size)} on a GAN of 17 parameters."""
    game, params, batch = tanh_gan()
    found = {}
    for name, weights in (("jacobian", {}), ("regularised", REGULARIZED)):
        rule = make_rule(game, "simultaneous", (0.1, 0.3), **weights)
        found[name] = game_jacobian(rule, rule.init(params, {}), batch, KEY), 17
    for name in ("simultaneous", "alternating"):
        for optimizer, kwargs, size in (
            ("sgd", {"momentum": -0.4}, 34),
            ("adam", {"b1": 0.5}, 51),
            ("sgd_hd", {"beta": 0.01}, 17 + 17 + 2),
        ):
            rule = rule_of(game, optimizer, name, **kwargs)
            found[f"{name} {optimizer}"] = (
                update_jacobian(rule, trained(rule, params, batch), batch, KEY),
                size,
            )
    rule = rule_of(game, "sgd", "optimistic")
    found["optimistic"] = update_jacobian(rule, trained(rule, params, batch), batch, KEY), 34
    return found


def test_arpack_finds_the_eigenvalues_of_the_dense_matrix():
    for name, (operator, size) in cases().items():
        assert operator.size == size, name
        everything = eigenvalues(operator)
        np.testing.assert_allclose(everything.sum(), np.trace(dense(operator)), atol=1e-9)
        for which in ("LM", "LR", "SR"):
            expected = extreme(everything, 6, which)
            k = next(k for k in (5, 6, 4) if abs(expected[:k].imag.sum()) < 1e-9)  # parts no conjugates
            assert_same_spectrum(eigenvalues(operator, k, which), expected[:k])
        assert spectral_radius(eigenvalues(operator, 4)) == pytest.approx(
            spectral_radius(everything), abs=1e-9
        )


def test_update_of_gradient_descent_is_one_minus_h_mu():
    game, params, batch = tanh_gan()
    rule = rule_of(game, "sgd")
    state = rule.init(params, {})
    update, field = update_jacobian(rule, state, batch, KEY), game_jacobian(rule, state, batch, KEY)
    np.testing.assert_allclose(dense(update), np.eye(17) - 0.05 * dense(field), atol=1e-13)


def test_momentum_augments_the_state():
    """b <- beta b + g, theta <- theta - h b:  [[1 - h mu, -h beta], [mu, beta]] in (theta, b)."""
    h, beta = 0.3, -0.4
    game = toy_game(lambda x, y: x**2, lambda x, y: 0.5 * y**2)
    rule = make_rule(game, "simultaneous", (h, h), momentum=beta)
    found = eigenvalues(update_jacobian(rule, initial(rule, (0.7, -0.2)), NO_DATA, KEY))
    expected = [np.linalg.eigvals([[1 - h * mu, -h * beta], [mu, beta]]) for mu in (2.0, 1.0)]
    assert_same_spectrum(found, np.concatenate(expected).astype(complex))


def test_rotation_of_the_bilinear_game():
    """v = (y, -x): eigenvalues +-i, neither attracted nor repelled by the flow."""
    rule = make_rule(BILINEAR, "simultaneous", (0.1, 0.1))
    found = eigenvalues(game_jacobian(rule, initial(rule, (0.4, 0.1)), NO_DATA, KEY))
    assert_same_spectrum(found, np.array([1j, -1j]))


def test_adam_has_no_derivative_where_a_gradient_has_always_been_zero():
    rule = rule_of(toy_game(lambda x, y: x**2, lambda x, y: 0 * y), "adam")
    state, _ = rule.step(initial(rule, (1.0, 1.0)), NO_DATA, KEY)
    operator = update_jacobian(rule, state, NO_DATA, KEY)
    with pytest.raises(FloatingPointError, match="not finite"):
        eigenvalues(operator)
    with_held, count = where_differentiable(operator)
    assert (count, operator.size) == (1, 6)
    matrix = dense(with_held)
    (row,) = np.flatnonzero(np.isnan(dense(operator)).any(1))
    np.testing.assert_array_equal(matrix[row], np.eye(6)[row])
    assert np.isfinite(matrix).all()
    nowhere = operator._replace(apply=lambda v: v * jnp.nan)
    with pytest.raises(FloatingPointError, match="not finite"):
        where_differentiable(nowhere)


def test_balancing_rescues_what_float32_loses():
    """S^-1 B S with scales over 24 orders: its eigenvalues are B's."""
    rng, n = np.random.default_rng(3), 60
    b, s = (
        rng.standard_normal((n, n)) / np.sqrt(n) + np.diag(np.linspace(0, 3, n)),
        10 ** rng.uniform(-12, 12, n),
    )
    matrix = jnp.asarray(b * s / s[:, None], jnp.float32)
    operator = Operator(n, lambda v: matrix @ v, False, np.dtype(np.float32))
    truth = spectral_radius(np.linalg.eigvals(b))
    assert abs(spectral_radius(eigenvalues(operator, 4, restarts=40)) - truth) > 0.05
    assert spectral_radius(eigenvalues(balanced(operator), 4)) == pytest.approx(truth, abs=1e-5)


def test_what_has_not_converged_is_left_out_with_a_warning():
    diagonal = jnp.concatenate([jnp.linspace(0.0, 1.0, 398), jnp.array([50.0, 100.0])])
    operator = Operator(400, lambda v: diagonal * v, True, np.dtype(np.float64))
    with pytest.warns(UserWarning, match=r"2 of 30 eigenvalues \(LM\) have converged"):
        found = eigenvalues(operator, 30, restarts=1)
    np.testing.assert_allclose(found, [100, 50], rtol=1e-12)


def test_an_unknown_end_of_the_spectrum():
    with pytest.raises(ValueError, match="which: unknown 'SI'; known: LM, LR, SR"):
        eigenvalues(Operator(3, lambda v: v, True, np.dtype(float)), which="SI")
