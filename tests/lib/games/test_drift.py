"""Discretisation drift: coefficients, and the order with which steps follow the flows, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import (
    KEY,
    NO_DATA,
    NONLINEAR,
    PLAYERS,
    both,
    initial,
    make_rule,
    take,
    toy_game,
    turns,
    with_rates,
)

from lib.games import drift
from lib.games.drift import Coefficients

pytestmark = pytest.mark.usefixtures("float64")

POINT = (1.1, -0.4)  # where no player's error of third order happens to be nearly zero
SIZES = np.array([0.01, 0.005, 0.0025])
SUBSTEPS = 20  # of the classical Runge-Kutta oracle: its error, (0.05 h)^5, is rounding


def gradient(point):
    """Returns each player's derivative of its own loss at a point [2]."""

    def losses(v):
        return NONLINEAR.losses(dict(zip(PLAYERS, v, strict=True)), {}, None, None)[0]

    return jnp.stack([jax.grad(lambda v, x=x: losses(v)[x])(point)[i] for i, x in enumerate(PLAYERS)])


@jax.jit
@functools.partial(jax.vmap, in_axes=(0, 0, 0))
def flow(c, speeds, times):
    """Follows x' = -speed_x (modified gradient of x), from a dense Jacobian, each player to its own time.

    c: [2, 2], self_norm and other_dot_prod of both players; speeds, times: [2].
    """

    def velocity(v):
        g, jac = gradient(v), jax.jacfwd(gradient)(v)
        interaction = jnp.array([jac[0, 1] * g[1], jac[1, 0] * g[0]])
        return -speeds * (g + c[0] * jnp.diag(jac) * g + c[1] * interaction)

    def place(time):
        h = time / SUBSTEPS

        def substep(_, v):
            a = velocity(v)
            b = velocity(v + h / 2 * a)
            d = velocity(v + h / 2 * b)
            return v + h / 6 * (a + 2 * b + 2 * d + velocity(v + h * d))

        return jax.lax.fori_loop(0, SUBSTEPS, substep, jnp.array(POINT))

    return jnp.diag(jax.vmap(place)(times))


@functools.cache
def stepper(rule, num, first, clock):
    """Compiles `(rates [n, 2], multiplier) -> points [n, 2]` after one step from POINT."""
    options = turns(*num, first)
    drifting = both(self_norm=-1.0, other_dot_prod=-1.0)
    rule = make_rule(NONLINEAR, rule, (1.0, 1.0), options=options, clock=clock, multiplier=drifting)

    def step(rates, multiplier):
        state = with_rates(initial(rule, POINT), rates)
        weights = state.weights._replace(multiplier=both(multiplier, 0.0, multiplier))
        state, _ = rule.step(state._replace(weights=weights), NO_DATA, KEY)
        return jnp.stack([state.params[x] for x in PLAYERS])

    return jax.jit(jax.vmap(step, in_axes=(0, None)))


def slopes(rule, first, num, ratio, clock, *, cancel=False, modified=False, read=None, sizes=SIZES):
    """Fits the order of each player's local error |one step - flow|, [2].

    `clock`: of the coefficients; `read`: on which the flow is read. Rates: disc h / m and gen ratio h / k
    of each update, so that the whole turns' are h and ratio h.
    """
    whole = np.outer(sizes, [1.0, ratio])
    rates, options = whole / num, turns(*num, first)
    c = np.zeros([len(sizes), 2, 2])
    for i, pair in enumerate(rates if modified else ()):
        in_turn = {x: pair[PLAYERS.index(x)] for x in options.order}
        coefficients = (
            drift.alternating(in_turn, options.num_updates, clock)
            if rule == "alternating"
            else drift.simultaneous(in_turn, clock)
        )
        c[i] = np.array([[coefficients[x].self_norm, coefficients[x].other_dot_prod] for x in PLAYERS]).T
    ones = np.ones_like(whole)
    ends = flow(c, *((whole, ones) if (read or clock) == "shared" else (ones, whole)))
    errors = np.abs(stepper(rule, num, first, clock)(rates, -1.0 if cancel else 0.0) - ends)
    return np.polyfit(np.log(sizes), np.log(errors), 1)[0]


# (rule, first player, updates of disc and gen)
WAYS = [
    ("simultaneous", "disc", (1, 1)),
    ("runge_kutta_1", "disc", (1, 1)),
    ("alternating", "disc", (1, 1)),
    ("alternating", "gen", (1, 1)),
    ("alternating", "disc", (3, 2)),
]


@pytest.mark.parametrize("ratio", [1.0, 0.4])
@pytest.mark.parametrize("clock", ["per_player", "shared"])
@pytest.mark.parametrize(("rule", "first", "num"), WAYS)
def test_a_step_follows_the_modified_flow_to_third_order(rule, first, num, clock, ratio):
    # Errors O(h^2) from the flow, O(h^3) from the modified flow, and from the flow if drift is cancelled.
    measure = functools.partial(slopes, rule, first, num, ratio, clock)
    assert measure() == pytest.approx([2, 2], abs=0.1)
    assert measure(modified=True) == pytest.approx([3, 3], abs=0.1)
    assert measure(cancel=True) == pytest.approx([3, 3], abs=0.1)


@pytest.mark.parametrize("rule", ["simultaneous", "alternating"])
@pytest.mark.parametrize(("clock", "read"), [("per_player", "shared"), ("shared", "per_player")])
def test_with_unequal_rates_one_clock_s_coefficients_are_wrong_on_the_other(rule, clock, read):
    for way in ({"modified": True}, {"cancel": True}):
        assert slopes(rule, "disc", (1, 1), 0.4, clock, read=read, **way) == pytest.approx([2, 2], abs=0.1)
        # The same coefficients, read on their own clock.
        assert slopes(rule, "disc", (1, 1), 0.4, clock, **way) == pytest.approx([3, 3], abs=0.1)


@pytest.mark.parametrize(("rule", "order", "scale"), [("runge_kutta_2", 3, 2), ("runge_kutta_4", 5, 4)])
def test_runge_kutta_follows_the_flow_of_unequal_rates_on_the_shared_clock(rule, order, scale):
    orders = slopes(rule, "disc", (1, 1), 0.4, "shared", sizes=scale * SIZES)
    assert orders == pytest.approx([order, order], abs=0.1)


def test_coefficients_of_the_paper():
    rates = {"disc": 0.01, "gen": 0.005}
    assert drift.simultaneous(rates) == {
        "disc": Coefficients(0.005, 0.0, 0.005),
        "gen": Coefficients(0.0025, 0.0, 0.0025),
    }
    # Two updates of disc: its whole turn has the rate 0.02.
    alternating = drift.alternating(rates, {"disc": 2, "gen": 1})
    assert alternating["disc"] == Coefficients(0.02 / (2 * 2), 0.0, 0.02 / 2)
    assert alternating["gen"] == Coefficients(0.0025, 0.0, pytest.approx(0.0025 * (1 - 2 * 0.02 / 0.005)))
    added = drift.total(
        drift.simultaneous(rates),
        {x: Coefficients(-1.0, 0.0, 2.0) for x in rates},
        {x: Coefficients(0.0, 0.3, 0.1) for x in rates},
    )
    np.testing.assert_allclose(added["disc"], (-0.005, 0.3, 0.11), rtol=1e-6)


def test_coefficients_on_the_shared_clock():
    rates, one_each = {"disc": 0.01, "gen": 0.004}, {"disc": 1, "gen": 1}

    def interactions(coefficients):
        return [coefficients[x].other_dot_prod for x in PLAYERS]

    assert interactions(drift.simultaneous(rates, "shared")) == [0.002, 0.005]
    assert interactions(drift.alternating(rates, one_each, "shared")) == [0.002, -0.005]
    assert drift.simultaneous({"model": 0.1}, "shared") == {"model": Coefficients(0.05, 0.0, 0.0)}
    with pytest.raises(ValueError, match="at most two players"):
        drift.simultaneous(dict.fromkeys("abc", 0.1), "shared")


def test_discrete_spectrum_of_a_two_dimensional_game():
    def squared_radius(e):
        game = toy_game(lambda x, y: e * x**2 / 2 - x * y, lambda x, y: e * y**2 / 2 + x * y)
        matrix = jax.jacfwd(take(make_rule(game, "simultaneous", (0.2, 0.2))))(jnp.zeros(2), (0.2, 0.2))
        return np.abs(np.linalg.eigvals(matrix)).max() ** 2

    assert squared_radius(0.2) == pytest.approx(0.9616, rel=1e-12)
    assert squared_radius(0.09) == pytest.approx((1 - 0.018) ** 2 + 0.04, rel=1e-12)
