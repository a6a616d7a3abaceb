"""Discretisation drift: coefficients, and the order with which steps follow the flows, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from toys import NONLINEAR, PLAYERS, both, make_rule, take, toy_game, turns

from lib.games import drift
from lib.games.drift import Coefficients

pytestmark = pytest.mark.usefixtures("float64")

POINT = (1.1, -0.4)  # where no player's error of third order happens to be nearly zero
SIZES = np.array([0.01, 0.005, 0.0025])


@functools.cache
def field():
    """({point}, {player: (c_self, c_dot)}) -> modified gradients [2], from a dense Jacobian."""

    def gradient(point):
        losses = lambda v: NONLINEAR.losses(dict(zip(PLAYERS, v, strict=True)), {}, None, None)[0]
        return jnp.stack([jax.grad(lambda v, x=x: losses(v)[x])(point)[i] for i, x in enumerate(PLAYERS)])

    @jax.jit
    def modified(point, c_self, c_dot):
        g, jac = gradient(point), jax.jacfwd(gradient)(point)
        return g + c_self * jnp.diag(jac) * g + c_dot * jnp.array([jac[0, 1] * g[1], jac[1, 0] * g[0]])

    return modified


def flow(coefficients, speeds, times):
    """Where the modified flow x' = -speed_x (modified gradient of x) leads each player at its own time."""
    c_self = np.array([coefficients[x].self_norm for x in PLAYERS])
    c_dot = np.array([coefficients[x].other_dot_prod for x in PLAYERS])
    slope = lambda t, v: -np.asarray(speeds) * np.asarray(field()(v, c_self, c_dot))
    ends = [
        solve_ivp(slope, (0, t), POINT, method="DOP853", rtol=1e-12, atol=1e-14).y[:, -1] for t in times
    ]
    return np.array([ends[0][0], ends[1][1]])


@functools.cache
def stepper(rule, num, first, clock, cancel):
    multiplier = both(self_norm=-1.0, other_dot_prod=-1.0) if cancel else both()
    options = turns(*num, first)
    return take(make_rule(NONLINEAR, rule, (1.0, 1.0), options=options, clock=clock, multiplier=multiplier))


def error(rule, first, num, ratio, clock, h, *, cancel=False, modified=False, read=None):
    """|one step - flow| of each player, [2]. `clock`: of the coefficients; `read`: on which the flow is read.

    rates: disc h / m and gen ratio h / k of each update, so that the whole turns' are h and ratio h.
    """
    whole = np.array([h, ratio * h])
    rates = whole / num
    coefficients, options = both(), turns(*num, first)
    if modified:
        in_turn = {x: rates[PLAYERS.index(x)] for x in options.order}
        coefficients = (
            drift.alternating(in_turn, options.num_updates, clock)
            if rule == "alternating"
            else drift.simultaneous(in_turn, clock)
        )
    shared = (read or clock) == "shared"
    end = flow(coefficients, whole if shared else (1, 1), (1, 1) if shared else whole)
    return np.abs(np.asarray(stepper(rule, num, first, clock, cancel)(np.array(POINT), rates)) - end)


def slopes(*args, sizes=SIZES, **kwargs) -> np.ndarray:
    """The fitted order of each player's local error, [2]."""
    errors = np.stack([error(*args, h, **kwargs) for h in sizes])
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
    """Error O(h^2) from the flow, O(h^3) from the modified flow, and from the flow if drift is cancelled."""
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
    found = slopes(rule, "disc", (1, 1), 0.4, "shared", sizes=scale * SIZES)
    assert found == pytest.approx([order, order], abs=0.1)


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
    dots = lambda c: [c[x].other_dot_prod for x in PLAYERS]
    assert dots(drift.simultaneous(rates, "shared")) == [0.002, 0.005]
    assert dots(drift.alternating(rates, one_each, "shared")) == [0.002, -0.005]
    assert drift.simultaneous({"model": 0.1}, "shared") == {"model": Coefficients(0.05, 0.0, 0.0)}
    with pytest.raises(ValueError, match="at most two players"):
        drift.simultaneous(dict.fromkeys("abc", 0.1), "shared")


@pytest.mark.parametrize(("e", "squared_radius"), [(0.2, 0.9616), (0.09, (1 - 0.018) ** 2 + 0.04)])
def test_discrete_spectrum_of_a_two_dimensional_game(e, squared_radius):
    game = toy_game(lambda x, y: e * x**2 / 2 - x * y, lambda x, y: e * y**2 / 2 + x * y)
    matrix = jax.jacfwd(take(make_rule(game, "simultaneous", (0.2, 0.2))))(jnp.zeros(2), (0.2, 0.2))
    assert np.abs(np.linalg.eigvals(matrix)).max() ** 2 == pytest.approx(squared_radius, rel=1e-12)
