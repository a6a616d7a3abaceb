"""The game abstraction, drift and update rules, on games with closed forms, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from lib import optimizers
from lib.games import drift, updates
from lib.games.drift import Coefficients
from lib.games.game import Aux, Game, gradients
from lib.games.regularizers import TERMS, regularizer_gradients
from lib.games.updates import Regularizers

PLAYERS = ("disc", "gen")
KEY = jax.random.key(0)


pytestmark = pytest.mark.usefixtures("float64")


def toy_game(disc, gen) -> Game:
    """A game of two scalars without data."""
    losses = lambda p, s, b, k: (
        {"disc": disc(p["disc"], p["gen"]), "gen": gen(p["disc"], p["gen"])},
        Aux(s, {}),
    )
    return Game(PLAYERS, losses)


BILINEAR = toy_game(lambda x, y: x * y, lambda x, y: -x * y)
# Smooth, not zero-sum, and with every second derivative different from zero.
NONLINEAR = toy_game(
    lambda x, y: jnp.sin(x) * jnp.exp(0.3 * y) + 0.4 * x**2,
    lambda x, y: -jnp.cos(x) * jnp.sin(1.3 * y) + 0.3 * y**2 * x + 0.2 * y**3,
)


def tanh_gan() -> tuple[Game, dict, jax.Array]:
    """A GAN of two tiny tanh nets on data that is in the batch, latents included: no randomness."""
    keys = jax.random.split(KEY, 5)
    params = {
        "disc": {"a": jax.random.normal(keys[0], (2, 3)), "b": jax.random.normal(keys[1], (3,))},
        "gen": {"a": jax.random.normal(keys[2], (2, 2)), "c": jax.random.normal(keys[3], (2, 2))},
    }
    disc = lambda p, x: jnp.tanh(x @ p["a"]) @ p["b"]
    gen = lambda p, z: jnp.tanh(z @ p["a"]) @ p["c"]

    def losses(p, state, batch, key):
        real, fake = disc(p["disc"], batch[:, :2]), disc(p["disc"], gen(p["gen"], batch[:, 2:]))
        first = jax.nn.softplus(-real).mean() + jax.nn.softplus(fake).mean()
        return {"disc": first, "gen": jax.nn.softplus(-fake).mean()}, Aux(state, {})

    return Game(PLAYERS, losses), params, jax.random.normal(keys[4], (6, 4))


def test_gradients_are_every_player_s_own():
    game, params, batch = tanh_gan()
    grads, losses, _ = gradients(game, params, {}, batch, KEY)
    for x in PLAYERS:
        own = lambda p, x=x: game.losses({**params, x: p}, {}, batch, KEY)[0][x]
        expected = jax.grad(own)(params[x])
        assert min(jnp.abs(g).max() for g in jax.tree.leaves(expected)) > 1e-3
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), grads[x], expected)
        assert losses[x] == own(params[x])


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


@pytest.mark.parametrize("estimator", ["biased", "biased_averaged", "unbiased", "unbiased_averaged"])
@pytest.mark.parametrize("terms", [*[(t,) for t in TERMS], TERMS])
def test_regularizers_equal_dense_jacobians(estimator, terms):
    game, params, batch = tanh_gan()
    coefficients = {"disc": Coefficients(0.7, -0.4, 1.3), "gen": Coefficients(-0.2, 0.9, 0.5)}
    result = regularizer_gradients(
        game, coefficients, {x: terms for x in PLAYERS}, params, {}, batch, KEY, estimator
    )
    halves = (batch, batch) if estimator.startswith("biased") else (batch[:3], batch[3:])
    for x, y in (PLAYERS, PLAYERS[::-1]):
        dense = dense_terms(game, params, *halves, x, y)
        expected = sum(getattr(coefficients[x], term) * dense[term] for term in terms)
        assert np.abs(expected).max() > 1e-4
        flat, _ = jax.flatten_util.ravel_pytree(result[x])
        np.testing.assert_allclose(flat, expected, rtol=1e-10, atol=1e-12)


def make_step(game, rule, rates, multiplier, num_updates=None):
    """(step on a vector (x, y)) of SGD with drift multipliers (self_norm, other_norm, other_dot_prod)."""
    players = game.players
    optimizer = {x: optimizers.make("sgd", rates[x], {}, "") for x in players}
    terms = {x: Coefficients(*multiplier) for x in players}
    regularizers = Regularizers(terms, Regularizers.none(players).explicit, "biased")
    if rule == "simultaneous":
        step = updates.simultaneous(game, optimizer, regularizers)
    else:
        step = updates.alternating(game, optimizer, regularizers, num_updates or dict.fromkeys(players, 1))

    def run(point):
        params = dict(zip(players, jnp.asarray(point, jnp.float64), strict=True))
        state = updates.init(params, {}, optimizer, regularizers)
        # The rates as float64: optax keeps them in float32, too coarse for orders of convergence.
        opt_state = {
            x: s._replace(hyperparams={"learning_rate": jnp.float64(rates[x])})
            for x, s in state.opt_state.items()
        }
        state, _ = step(state._replace(opt_state=opt_state), jnp.zeros((2, 0)), KEY)
        return np.array([state.params[x] for x in players])

    return run


def flow(game, point, time):
    """The game's continuous flow, x' = -grad_x L_x."""

    def field(t, v):
        params = dict(zip(game.players, v, strict=True))
        grads, _, _ = gradients(game, params, {}, jnp.zeros((2, 0)), KEY)
        return -np.array([grads[x] for x in game.players])

    return solve_ivp(field, (0, time), np.asarray(point), rtol=1e-12, atol=1e-13).y[:, -1]


@pytest.mark.parametrize("rule", ["simultaneous", "alternating"])
@pytest.mark.parametrize(("multiplier", "order"), [((0, 0, 0), 2), ((-1, 0, -1), 3)])
def test_cancelling_all_drift_gains_an_order(rule, multiplier, order):
    """One update against the flow: error O(h^2) plain, O(h^3) with all of its drift cancelled."""
    point, rates = (0.4, -0.7), np.array([0.02, 0.01, 0.005])
    errors = [
        np.linalg.norm(
            make_step(NONLINEAR, rule, {"disc": h, "gen": h}, multiplier)(point) - flow(NONLINEAR, point, h)
        )
        for h in rates
    ]
    slope = np.polyfit(np.log(rates), np.log(errors), 1)[0]
    assert abs(slope - order) < 0.1


@pytest.mark.parametrize(
    ("rule", "rates", "squared_radius"),
    [
        ("simultaneous", (0.3, 0.3), 1 + 0.3**2),
        ("simultaneous", (0.3, 0.1), 1 + 0.3 * 0.1),
        ("alternating", (0.3, 0.3), 1.0),
        ("alternating", (1.9, 1.9), 1.0),
        ("alternating", (1.5, 0.2), 1.0),
    ],
)
def test_bilinear_spectral_radius(rule, rates, squared_radius):
    step = make_step(BILINEAR, rule, dict(zip(PLAYERS, rates, strict=True)), (0, 0, 0))
    matrix = np.stack([step(e) for e in np.eye(2)], 1)
    radius = np.abs(np.linalg.eigvals(matrix)).max()
    assert radius**2 == pytest.approx(squared_radius, rel=1e-8)


def test_alternating_moves_see_each_other_and_several_updates_their_own_batches():
    """L_disc = x b, L_gen = x y: disc walks down its batches' means, gen sees where it ended."""

    def losses(p, state, batch, key):
        return {"disc": p["disc"] * batch.mean(), "gen": p["disc"] * p["gen"]}, Aux(state, {})

    game = Game(PLAYERS, losses)
    optimizer = {x: optimizers.make("sgd", 0.5, {}, "") for x in PLAYERS}
    none = Regularizers.none(PLAYERS)
    step = updates.alternating(game, optimizer, none, {"disc": 2, "gen": 1})
    params = {"disc": jnp.float64(1.0), "gen": jnp.float64(2.0)}
    state, metrics = step(updates.init(params, {}, optimizer, none), jnp.array([1.0, 3.0, 4.0, 6.0]), KEY)
    assert state.params["disc"] == pytest.approx(1 - 0.5 * 2 - 0.5 * 5)
    assert state.params["gen"] == pytest.approx(2 - 0.5 * state.params["disc"])


def test_coefficients_of_the_paper():
    rates = {"disc": 0.01, "gen": 0.005}
    assert drift.simultaneous(rates) == {
        "disc": Coefficients(0.005, 0.0, 0.005),
        "gen": Coefficients(0.0025, 0.0, 0.0025),
    }
    alternating = drift.alternating(rates, {"disc": 2, "gen": 1})
    assert alternating["disc"] == Coefficients(0.0025, 0.0, 0.005)
    assert alternating["gen"] == Coefficients(0.0025, 0.0, pytest.approx(-0.0075))
    added = drift.total(
        drift.simultaneous(rates),
        {x: Coefficients(-1.0, 0.0, 2.0) for x in rates},
        {x: Coefficients(0.0, 0.3, 0.1) for x in rates},
    )
    np.testing.assert_allclose(added["disc"], (-0.005, 0.3, 0.11), rtol=1e-6)


def test_a_term_with_coefficient_zero_is_not_computed():
    game, params, batch = tanh_gan()

    def program(multiplier):
        optimizer = {x: optimizers.make("sgd", 0.1, {}, "") for x in PLAYERS}
        terms = {x: Coefficients(*multiplier) for x in PLAYERS}
        regularizers = Regularizers(terms, Regularizers.none(PLAYERS).explicit)
        step = updates.simultaneous(game, optimizer, regularizers)
        state = updates.init(params, {}, optimizer, regularizers)
        return str(jax.make_jaxpr(step)(state, batch, KEY)).count("dot_general")

    plain, interaction, every = program((0, 0, 0)), program((0, 0, -1)), program((-1, 1, -1))
    assert 0 < plain < interaction < every
    # Simultaneous updates have no drift in the other's norm, so its multiplier computes nothing.
    assert program((0, 1, 0)) == plain
