"""ARPACK's eigenvalues against dense ones, closed forms, and operators that need preparation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import BILINEAR, KEY, NO_DATA, PLAYERS, both, initial, make_rule, toy_game

from lib import optimizers
from lib.games import updates
from lib.games.eigenvalues import (
    balanced,
    dense,
    eigenvalues,
    spectral_radius,
    top_eigenpairs,
    where_differentiable,
)
from lib.games.game import Aux, Game
from lib.games.operators import Operator, game_jacobian, update_jacobian
from lib.games.updates import Regularizers

pytestmark = pytest.mark.usefixtures("float64")
REGULARIZED = {"explicit": both(0.3, 0.2, 0.1), "multiplier": both(-1.0, 0.0, -1.0)}
# Of the vectors x [9] and y [8] of a game that is neither zero-sum nor quadratic.
MATRICES = [np.random.default_rng(i).normal(size=shape) / 3 for i, shape in enumerate([(9, 8), (9, 9)])]


def vector_game() -> tuple[Game, dict]:
    """Makes (game, params) of 17 parameters, cheaper to compile than nets."""

    def losses(params, state, batch, key):
        x, y = params["disc"], params["gen"]
        across, within = map(jnp.asarray, MATRICES)
        coupling = jnp.sin(x) @ across @ y
        disc = coupling + jnp.sum((within @ x) ** 2) / 2
        return {"disc": disc, "gen": -coupling + jnp.sum(jnp.cos(y)) + x[0] * y[0]}, Aux(state, {})

    rng = np.random.default_rng(5)
    return Game(PLAYERS, losses), {
        x: jnp.asarray(rng.normal(size=n)) for x, n in zip(PLAYERS, (9, 8), strict=True)
    }


def rule_of(game, optimizer, name="simultaneous", **kwargs):
    """Makes a rule with one optimiser for both players."""
    optimizer = {x: optimizers.make(optimizer, 0.05, kwargs) for x in PLAYERS}
    return updates.make(name, game, optimizer, Regularizers.none(PLAYERS))


def trained(rule, params, steps=3):
    """Returns the state after some steps: with momenta and moments that are not zero."""

    @jax.jit
    def train(params):
        def once(i, state):
            return rule.step(state, None, KEY)[0]

        return jax.lax.fori_loop(0, steps, once, rule.init(params, {}))

    return train(params)


def assert_same_spectrum(values, expected):
    """Checks that two spectra are equal as sets, sizes apart: of conjugates, either may come first."""
    values, expected = (
        sorted(np.where(x.imag < 0, x.conj(), x), key=lambda z: (z.real, z.imag))
        for x in (values, expected)
    )
    np.testing.assert_allclose(values, expected, atol=1e-9)


def extreme(values, k, which):
    """Returns the first k in the order of `which`, by hand."""
    size = {"LM": np.abs(values), "LR": values.real, "SR": -values.real}[which]
    return values[np.argsort(-size)][:k]


CASES = [  # (rule, optimiser, its arguments, size of the augmented state)
    *(
        (name, *case)
        for name in ("simultaneous", "alternating")
        for case in (
            ("sgd", {"momentum": -0.4}, 34),
            ("adam", {"b1": 0.5}, 51),
            ("sgd_hd", {"beta": 0.01}, 17 + 17 + 2),
        )
    ),
    ("optimistic", "sgd", {}, 34),
]


def check_arpack(operator, size):
    """Checks the ends of an operator's spectrum against all of its eigenvalues."""
    assert operator.size == size
    everything = eigenvalues(operator)
    np.testing.assert_allclose(everything.sum(), np.trace(dense(operator)), atol=1e-9)
    for which in ("LM", "LR", "SR"):
        expected = extreme(everything, 6, which)
        k = next(k for k in (5, 6, 4) if abs(expected[:k].imag.sum()) < 1e-9)  # parts no conjugates
        assert_same_spectrum(eigenvalues(operator, k, which), expected[:k])
    radius = spectral_radius(eigenvalues(operator, 4))
    assert radius == pytest.approx(spectral_radius(everything), abs=1e-9)


@pytest.mark.parametrize("weights", [{}, REGULARIZED])
def test_arpack_finds_the_eigenvalues_of_a_game(weights):
    game, params = vector_game()
    rule = make_rule(game, "simultaneous", (0.1, 0.3), **weights)
    check_arpack(game_jacobian(rule, rule.init(params, {}), None, KEY), 17)


@pytest.mark.parametrize(("name", "optimizer", "kwargs", "size"), CASES)
def test_arpack_finds_the_eigenvalues_of_an_update(name, optimizer, kwargs, size):
    game, params = vector_game()
    rule = rule_of(game, optimizer, name, **kwargs)
    check_arpack(update_jacobian(rule, trained(rule, params), None, KEY), size)


def test_momentum_augments_the_state():
    # b <- beta b + g, theta <- theta - h b: [[1 - h mu, -h beta], [mu, beta]] in (theta, b)
    h, beta = 0.3, -0.4
    game = toy_game(lambda x, y: x**2, lambda x, y: 0.5 * y**2)
    rule = make_rule(game, "simultaneous", (h, h), momentum=beta)
    values = eigenvalues(update_jacobian(rule, initial(rule, (0.7, -0.2)), NO_DATA, KEY))
    expected = [np.linalg.eigvals([[1 - h * mu, -h * beta], [mu, beta]]) for mu in (2.0, 1.0)]
    assert_same_spectrum(values, np.concatenate(expected).astype(complex))


def test_rotation_of_the_bilinear_game():
    """Expects of v = (y, -x) the eigenvalues +-i, neither attracted nor repelled by the flow."""
    rule = make_rule(BILINEAR, "simultaneous", (0.1, 0.1))
    values = eigenvalues(game_jacobian(rule, initial(rule, (0.4, 0.1)), NO_DATA, KEY))
    assert_same_spectrum(values, np.array([1j, -1j]))


def test_adam_has_no_derivative_where_a_gradient_has_always_been_zero():
    rule = rule_of(toy_game(lambda x, y: x**2, lambda x, y: 0 * y), "adam")
    state, _ = jax.jit(rule.step)(initial(rule, (1.0, 1.0)), NO_DATA, KEY)
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
    """Scales B to S^-1 B S over 24 orders: its eigenvalues stay B's."""
    rng, n = np.random.default_rng(3), 60
    b = rng.standard_normal((n, n)) / np.sqrt(n) + np.diag(np.linspace(0, 3, n))
    s = 10 ** rng.uniform(-12, 12, n)
    matrix = jnp.asarray(b * s / s[:, None], jnp.float32)
    operator = Operator(n, lambda v: matrix @ v, False, np.dtype(np.float32))
    exact = spectral_radius(np.linalg.eigvals(b))
    assert abs(spectral_radius(eigenvalues(operator, 4, restarts=40)) - exact) > 0.05
    assert spectral_radius(eigenvalues(balanced(operator), 4)) == pytest.approx(exact, abs=1e-5)


def test_what_has_not_converged_is_left_out_with_a_warning():
    diagonal = jnp.concatenate([jnp.linspace(0.0, 1.0, 398), jnp.array([50.0, 100.0])])
    operator = Operator(400, lambda v: diagonal * v, True, np.dtype(np.float64))
    with pytest.warns(UserWarning, match=r"2 of 30 eigenvalues \(LM\) have converged"):
        values = eigenvalues(operator, 30, restarts=1)
    np.testing.assert_allclose(values, [100, 50], rtol=1e-12)


def test_an_unknown_end_of_the_spectrum():
    with pytest.raises(ValueError, match="which: unknown 'SI'; known: LM, LR, SR"):
        eigenvalues(Operator(3, lambda v: v, True, np.dtype(float)), which="SI")


@pytest.mark.parametrize("k", [3, 16])  # by ARPACK, and from the dense matrix
def test_top_eigenpairs_are_those_of_the_dense_matrix(k):
    game, params = vector_game()
    matrix = np.random.default_rng(7).normal(size=(17, 17))
    matrix = matrix + matrix.T
    operator = game_jacobian(rule_of(game, "sgd"), rule_of(game, "sgd").init(params, {}), None, KEY)
    operator = operator._replace(apply=lambda v: jnp.asarray(matrix) @ v, symmetric=True)
    values, vectors = top_eigenpairs(operator, k)
    exact, basis = np.linalg.eigh(matrix)
    np.testing.assert_allclose(values, exact[::-1][:k], atol=1e-10)
    np.testing.assert_allclose(np.abs(np.sum(vectors * basis.T[::-1][:k], 1)), 1, atol=1e-8)
    with pytest.raises(ValueError, match="symmetric"):
        top_eigenpairs(operator._replace(symmetric=False), k)
