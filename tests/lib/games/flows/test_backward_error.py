"""The modified flows of updates up to third order: measured orders, dense formulas, the drift."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_network import loss, place
from toys import BILINEAR, KEY, NONLINEAR, PLAYERS, make_rule, take, tanh_gan

from lib.errors import ConfigError
from lib.games import flows
from lib.games.flows import DRIFTS
from lib.games.flows.backward_error import RULES
from lib.games.flows.players import flatten
from lib.games.game import Aux, Game, gradients

pytestmark = pytest.mark.usefixtures("float64")

POINT = {"disc": 1.1, "gen": -0.4}
SIZES = (0.005, 0.0025)  # the discriminator is steep: at 0.1 the series has not set in


def rates_of(h) -> dict[str, float]:
    return {"disc": h, "gen": 0.4 * h}


@functools.cache
def network():
    """Returns the tanh GAN on its batch, and its parameters in float64."""
    game, params, batch = tanh_gan()
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
    return flows.frozen(game, {}, jnp.asarray(batch, jnp.float64), KEY), params


@functools.partial(jax.jit, static_argnums=(0, 1))
def updated(game, players, params, rates):
    """Returns the parameters after the players' gradient steps, in the groups of `players` in turn."""
    for movers in players:
        grads, _, _ = gradients(game, params, {}, None, KEY, movers)
        moved = {x: jax.tree.map(lambda p, g, h=rates[x]: p - h * g, params[x], grads[x]) for x in movers}
        params = {**params, **moved}
    return params


GROUPS = {"simultaneous": (PLAYERS,), "alternating": tuple((x,) for x in PLAYERS)}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_order_of_the_local_error_on_a_gan(rule, order):
    game, params = network()

    def distance(h):
        end = flows.update_positions(rule, game, params, rates_of(h), 1, order)[1]
        return np.linalg.norm(end - flatten(updated(game, GROUPS[rule], params, rates_of(h)))[0])

    larger, smaller = map(distance, SIZES)
    assert smaller > 1e-12  # not rounding
    assert np.log2(larger / smaller) == pytest.approx(order + 1, abs=0.1)


@pytest.mark.parametrize("rule", RULES)
def test_the_second_order_is_the_drift_of_the_players(rule):
    theta, rates = np.array([1.1, -0.4]), rates_of(0.1)
    plain, second = (flows.update_flow(rule, NONLINEAR, POINT, rates, n)(theta) for n in (1, 2))
    drift = flows.modified_flow(NONLINEAR, POINT, rates, DRIFTS[rule](rates, "shared"))(theta)
    assert np.abs(second - plain).min() > 1e-4
    np.testing.assert_allclose(second, drift, rtol=1e-12)


def test_the_third_order_of_simultaneous_updates_is_the_dense_formula():
    """Compares it with f''(f, f)/12 + f'f'f/3, all derivatives as arrays."""
    rates, theta = rates_of(0.3), jnp.array([1.1, -0.4])
    field = flows.update_flow("simultaneous", NONLINEAR, POINT, rates, 1)
    f, jacobian = field(theta), jax.jacfwd(field)(theta)
    second = jax.jacfwd(jax.jacfwd(field))(theta)
    expected = jnp.einsum("ijk,j,k->i", second, f, f) / 12 + jacobian @ jacobian @ f / 3
    assert np.abs(expected).min() > 1e-4
    third, two = (flows.update_flow("simultaneous", NONLINEAR, POINT, rates, n)(theta) for n in (3, 2))
    np.testing.assert_allclose(third - two, expected, rtol=1e-10)


@pytest.mark.parametrize("rule", RULES)
def test_linear_updates_have_the_series_of_the_matrix_logarithm(rule):
    """Compares the flow of the bilinear game with the logarithm of the update's matrix M: M - I = O(h)."""
    rates = rates_of(0.1)
    step = take(make_rule(BILINEAR, rule, (1.0, 1.0)))
    matrix = jax.jacfwd(lambda x: step(x, tuple(rates.values())))(jnp.array([0.3, 0.2]))
    d = matrix - np.eye(2)
    logarithm = sum((-1) ** (k + 1) / k * np.linalg.matrix_power(d, k) for k in range(1, 30))
    for order, bound in ((1, 6e-3), (2, 3e-4), (3, 2e-5)):
        flow = jax.jacfwd(flows.update_flow(rule, BILINEAR, POINT, rates, order))(jnp.array([0.3, 0.2]))
        error = np.abs(flow - logarithm).max()
        assert bound / 30 < error < bound


@pytest.mark.parametrize("rule", RULES)
def test_many_updates_of_a_gan_follow_the_flows_of_higher_order_better(rule):
    game, params = network()
    rates, path = rates_of(0.02), [params]
    for _ in range(10):
        path.append(updated(game, GROUPS[rule], path[-1], rates))
    points = np.stack([flatten(point)[0] for point in path])
    first, second, third = (
        np.linalg.norm(flows.update_positions(rule, game, params, rates, 10, n) - points, axis=1)[-1]
        for n in (1, 2, 3)
    )
    assert first > 5 * second > 25 * third > 0


@pytest.mark.parametrize("rule", RULES)
def test_of_one_player_the_second_order_is_implicit_gradient_regularisation(rule):
    game, theta, h = (
        Game(("model",), lambda p, *_: ({"model": loss(p["model"])}, Aux({}, {}))),
        place(),
        0.1,
    )
    velocity = flows.update_flow(rule, game, {"model": theta}, {"model": h}, 2)(theta)
    np.testing.assert_allclose(velocity, h * flows.igr(loss, h)(theta), rtol=1e-12)


def test_what_is_refused():
    with pytest.raises(ConfigError, match="rule: unknown name 'runge_kutta'"):
        flows.update_flow("runge_kutta", NONLINEAR, POINT, rates_of(0.1))
    with pytest.raises(ValueError, match="order: 4"):
        flows.update_flow("simultaneous", NONLINEAR, POINT, rates_of(0.1), 4)
