"""The flow of a game and the modified flows of its updates, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from toys import BILINEAR, DIRAC, NONLINEAR, PLAYERS, make_rule, take, tanh_gan, toy_game

from lib.games import flows
from lib.games.flows import DRIFTS

pytestmark = pytest.mark.usefixtures("float64")

ROTATION = toy_game(lambda x, y: 0.09 * x**2 / 2 - x * y, lambda x, y: 0.09 * y**2 / 2 + x * y)
ORIGIN = dict.fromkeys(PLAYERS, 0.0)


@functools.cache
def step_of(game, rule):
    """Compiles one step of a rule, `(point, rates) -> point`."""
    return take(make_rule(game, rule, (1.0, 1.0)))


def drifts_of(rule, rates, clock):
    """Returns the drift of a rule on a clock, None for the original flow."""
    return None if rule == "original" else DRIFTS[rule](rates, clock)


def jacobian(rule, clock, rates=(0.2, 0.2)) -> np.ndarray:
    """Computes the matrix of a flow of ROTATION."""
    rates = dict(zip(PLAYERS, rates, strict=True))
    field = flows.modified_flow(ROTATION, ORIGIN, rates, drifts_of(rule, rates, clock), clock)
    return np.asarray(jax.jacfwd(field)(jnp.zeros(2)))


@pytest.mark.parametrize(
    ("rule", "trace"), [("original", -0.18), ("simultaneous", 0.01838), ("alternating", -0.18162)]
)
@pytest.mark.parametrize(("clock", "speed"), [("per_player", 1), ("shared", 0.2)])
def test_modified_flow_of_a_two_dimensional_game(rule, trace, clock, speed):
    # x' = -e x + y, y' = -x - e y at e = 0.09, h = 0.2: the drift of simultaneous updates destabilises it.
    assert np.trace(jacobian(rule, clock)) == pytest.approx(speed * trace, rel=1e-10)


@pytest.mark.parametrize("rule", ["simultaneous", "alternating"])
def test_modified_flow_with_unequal_rates_is_the_second_order_of_the_update(rule):
    # On the shared clock the flow's matrix M has I + M + M^2 / 2 = the update's matrix, to O(h^3).
    errors = []
    for h in (0.02, 0.01):
        rates = (h, 0.3 * h)
        update = jax.jit(jax.jacfwd(step_of(ROTATION, rule)))(jnp.zeros(2), rates)
        m = jacobian(rule, "shared", rates)
        errors.append(np.abs(np.eye(2) + m + m @ m / 2 - update).max())
    assert errors[0] / errors[1] == pytest.approx(8, rel=0.05)


@pytest.mark.parametrize("clock", ["per_player", "shared"])
@pytest.mark.parametrize("rule", ["simultaneous", "alternating"])
@pytest.mark.parametrize(("game", "start"), [(NONLINEAR, (1.1, -0.4)), (DIRAC, (1.2, 0.8))])
def test_one_update_is_near_its_modified_flow(rule, clock, game, start):
    # Eight times nearer at half the rate, four times to the original flow; test_drift measures it finely.
    step, point = step_of(game, rule), dict(zip(PLAYERS, start, strict=True))

    def distance(h, drift):
        rates = dict(zip(PLAYERS, (h, 0.4 * h), strict=True))
        end = flows.game_positions(game, point, rates, 1, drifts_of(drift, rates, clock), clock)[1]
        return np.linalg.norm(end - step(np.array(start), tuple(rates.values())))

    def ratio(drift):
        return distance(0.01, drift) / distance(0.005, drift)

    assert ratio("original") == pytest.approx(4, rel=0.1)
    assert ratio(rule) == pytest.approx(8, rel=0.1)


@pytest.mark.parametrize("rule", ["simultaneous", "alternating"])
def test_many_updates_follow_the_shared_modified_flow(rule):
    # Bilinear, with unequal rates: simultaneous updates spiral out, which only the modified flow does.
    values, steps = (0.1, 0.025), 40
    rates = dict(zip(PLAYERS, values, strict=True))
    step, path = step_of(BILINEAR, rule), [np.array([0.5, -0.8])]
    for _ in range(steps):
        path.append(np.asarray(step(path[-1], values)))
    point = dict(zip(PLAYERS, path[0], strict=True))

    def distance(drifts):
        apart = flows.game_positions(BILINEAR, point, rates, steps, drifts) - path
        return np.linalg.norm(apart, axis=1).max()

    assert distance(None) > 10 * distance(DRIFTS[rule](rates, "shared")) > 0


def test_each_player_is_read_at_its_own_time():
    # Two players who do not meet: x' = -x is read at n h_x.
    apart = toy_game(lambda x, y: x**2 / 2, lambda x, y: 3 * y**2 / 2)
    rates, n = {"disc": 0.3, "gen": 0.1}, np.arange(6)
    for clock in ("per_player", "shared"):
        path = flows.game_positions(apart, {"disc": 2.0, "gen": -1.0}, rates, 5, clock=clock)
        np.testing.assert_allclose(path, np.stack([2 * np.exp(-0.3 * n), -np.exp(-0.3 * n)], 1), rtol=1e-9)


def test_players_of_many_parameters():
    """Compares the velocity of a GAN of two small nets, flattened, with each player's own gradient."""
    game, params, batch = tanh_gan()
    fixed = game._replace(losses=lambda p, s, b, k: game.losses(p, s, batch, k))
    rates = {"disc": 0.1, "gen": 0.02}
    flat, unravel = ravel_pytree(jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params))

    def loss(x, own):
        return fixed.losses({**params, x: own}, {}, None, None)[0][x]

    grads = jax.jit(lambda p: {x: jax.grad(functools.partial(loss, x))(p[x]) for x in PLAYERS})(params)
    expected, _ = ravel_pytree({x: jax.tree.map(lambda g, h=rates[x]: -h * g, grads[x]) for x in PLAYERS})
    field = flows.modified_flow(fixed, params, rates)
    np.testing.assert_allclose(field(flat), expected, rtol=1e-6)
    assert flows.game_positions(fixed, params, rates, 2, clock="per_player").shape == (3, flat.size)
