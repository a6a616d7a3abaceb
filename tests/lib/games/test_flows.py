"""Flows against closed forms, against the iterates they model, and the order with which they leave them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from toys import BILINEAR, DIRAC, NONLINEAR, PLAYERS, make_rule, take, tanh_gan, toy_game

from lib.errors import ConfigError
from lib.games import flows
from lib.games.flows import DRIFTS, FLOWS, FlowError

pytestmark = pytest.mark.usefixtures("float64")

THREE = ("gradient_flow", "igr", "principal_flow")
START = np.array([0.9, -0.6, 0.4, 0.7])


def quadratic(matrix):
    return lambda theta: theta @ (jnp.asarray(matrix) @ theta) / 2


def rotated(*eigenvalues) -> np.ndarray:
    """A symmetric matrix with these eigenvalues and eigenvectors of no particular direction."""
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(len(eigenvalues), len(eigenvalues))))
    return q @ np.diag(eigenvalues) @ q.T


def nonlinear(theta):
    """Analytic, with all second and third derivatives different from zero."""
    x, y = theta
    return jnp.exp(0.5 * x) * jnp.cos(y) + 0.3 * x**2 * y + 0.2 * y**4


QUADRATICS = {
    "diagonal": np.diag([1.0, 0.3, 0.01, 0.0]),
    "rotated": rotated(1.0, 0.3, 0.01, 0.0),
    "degenerate": rotated(1.0, 1.0, 0.3, 0.3),
    "indefinite": rotated(1.0, 0.3, -0.2, 0.0),
}


@pytest.mark.parametrize("h", [0.2, 0.7, 1.0, 1.3, 1.9, 2.0, 2.3])  # h lam of the top eigenvalue
@pytest.mark.parametrize("name", QUADRATICS)
def test_principal_flow_passes_through_every_iterate_on_a_quadratic(name, h):
    loss = quadratic(QUADRATICS[name])
    iterates = flows.gradient_descent(loss, h, START, 12)
    assert np.abs(iterates[-1] - START).max() > 0.3
    np.testing.assert_allclose(
        flows.loss_positions("principal_flow", loss, h, START, 12), iterates, rtol=0, atol=1e-6
    )
    assert np.abs(flows.loss_positions("igr", loss, h, START, 12) - iterates).max() > 1e-3


@pytest.mark.parametrize(("h", "steps"), [(0.2, 100), (0.5, 20), (0.9, 200), (1.05, 5)])
def test_the_quadratic_of_the_paper(h, steps):
    """x^T A x, A = diag(1, 0.01): h lam is 2 h; steps that jump over the minimum, and that diverge."""
    loss, start = quadratic(2 * np.diag([1, 0.01])), [-0.35, -0.2]
    iterates = flows.gradient_descent(loss, h, start, steps)
    n = np.arange(steps + 1)[:, None]
    np.testing.assert_allclose(iterates, start * (1 - h * np.array([2, 0.02])) ** n, atol=1e-13)
    distance = {
        name: np.abs(flows.loss_positions(name, loss, h, start, steps) - iterates).max() for name in THREE
    }
    assert distance["principal_flow"] < 1e-9
    assert min(distance["gradient_flow"], distance["igr"]) > 1e6 * distance["principal_flow"]


@pytest.mark.parametrize("h", [0.3, 1.3])
def test_closed_forms_between_the_iterates_of_a_quadratic(h):
    """theta(t) = exp(t r(h H) H) theta(0), with r = -1, -(1 + z/2), and (1 - h lam)^(t/h) of the principal flow."""
    lam, u = np.linalg.eigh(QUADRATICS["rotated"])
    times = np.array([0.0, 0.37, 1.1, 4.2])
    solution = lambda rate: np.exp(np.outer(times, rate)) * (u.T @ START) @ u.T
    of = lambda name: flows.integrate(FLOWS[name](quadratic(QUADRATICS["rotated"]), h), START, times)
    np.testing.assert_allclose(of("gradient_flow"), solution(-lam), atol=1e-9)
    np.testing.assert_allclose(of("igr"), solution(-(1 + h * lam / 2) * lam), atol=1e-9)
    expected = (1 - h * lam + 0j) ** (times[:, None] / h) * (u.T @ START) @ u.T
    np.testing.assert_allclose(of("principal_flow"), expected, atol=1e-9)
    assert (np.abs(expected.imag).max() > 0.1) == (h > 1)


def test_principal_coefficient():
    z = np.array([-3.0, -1e-3, 1e-3, 0.5, 0.999, 1.001, 1.5, 1.999, 2.001, 5.0])
    r = flows.principal_coefficient(z)
    np.testing.assert_allclose(np.exp(z * r), 1 - z, rtol=1e-12)
    np.testing.assert_allclose(r, np.emath.log(1 - z) / z, rtol=1e-12)
    assert ((r.real > 0) == (z > 2)).all()  # unstable where gradient descent diverges
    assert ((r.imag != 0) == (z > 1)).all()
    # Its series -(1 + z/2 + z^2/3 + ..), where 1 - z has lost most digits of z.
    small = np.array([0.0, 1e-300, 1e-12, -1e-9, 1e-6])
    np.testing.assert_allclose(
        flows.principal_coefficient(small), -(1 + small / 2 + small**2 / 3), rtol=1e-15
    )
    assert abs(np.exp(flows.principal_coefficient(1.0))) < 1e-15
    # Smooth across real arguments on either side of 1, where the principal logarithm jumps by 2 pi.
    above, below = (flows.principal_coefficient(z + 1e-9j * side) for side in (1, -1))
    np.testing.assert_allclose(above, below, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "order"),
    [("gradient_flow", 2), ("igr", 3), ("principal_flow", 3), ("principal_flow_third_order", 4)],
)
def test_order_of_the_local_error(name, order):
    sizes, errors = np.array([0.02, 0.01, 0.005]), []
    for h in sizes:
        step = flows.gradient_descent(nonlinear, h, [0.7, -0.4], 1)[1]
        errors.append(np.linalg.norm(flows.loss_positions(name, nonlinear, h, [0.7, -0.4], 1)[1] - step))
    assert np.polyfit(np.log(sizes), np.log(errors), 1)[0] == pytest.approx(order, abs=0.1)


@pytest.mark.parametrize("theta", [np.array([0.7, -0.4]), np.array([0.7 + 0.3j, -0.4 + 0.8j])])
@pytest.mark.parametrize("h", [0.05, 0.2])
def test_principal_flow_equals_its_series(theta, h):
    """r(h H) g = -(g + (h/2) H g + (h^2/3) H H g + ..) and the third derivative, at complex theta too."""
    x, y = theta
    e, c, s = np.exp(0.5 * x), np.cos(y), np.sin(y)
    g = np.array([0.5 * e * c + 0.6 * x * y, -e * s + 0.3 * x**2 + 0.8 * y**3])
    mixed = -0.5 * e * s + 0.6 * x
    H = np.array([[0.25 * e * c + 0.6 * y, mixed], [mixed, -e * c + 2.4 * y**2]])
    assert 0.01 < h * np.abs(np.linalg.eigvals(H)).max() < 0.75
    series = -sum(np.linalg.matrix_power(h * H, k) @ g / (k + 1) for k in range(120))
    np.testing.assert_allclose(FLOWS["principal_flow"](nonlinear, h)(theta), series, rtol=1e-10)
    xxx, xxy = 0.125 * e * c, -0.25 * e * s + 0.6
    xyy, yyy = -0.5 * e * c, e * s + 4.8 * y
    third = np.array(
        [
            xxx * g[0] ** 2 + 2 * xxy * g[0] * g[1] + xyy * g[1] ** 2,
            xxy * g[0] ** 2 + 2 * xyy * g[0] * g[1] + yyy * g[1] ** 2,
        ]
    )
    added = FLOWS["principal_flow_third_order"](nonlinear, h)(theta) - FLOWS["principal_flow"](
        nonlinear, h
    )(theta)
    np.testing.assert_allclose(added, -(h**2) / 12 * third, rtol=1e-9)
    np.testing.assert_allclose(FLOWS["igr"](nonlinear, h)(theta), -(g + h / 2 * H @ g), rtol=1e-12)


def test_a_path_above_one_goes_round_smoothly_where_the_loss_is_not_quadratic():
    """With the principal logarithm the field jumps at every real place with h lam > 1, and the flow stops."""
    loss = lambda theta: (theta[0] ** 2 - 1) ** 2 / 4
    iterates = flows.gradient_descent(loss, 0.7, [0.3], 30)  # h lam = 1.4 at the minimum 1
    path = flows.loss_positions("principal_flow", loss, 0.7, [0.3], 30)
    assert np.abs(path.imag).max() > 1e-3
    assert np.abs(path - iterates).max() < 0.06
    assert path[-1] == pytest.approx(1, abs=1e-5)


def test_flows_that_run_away_or_are_not_finite_are_refused():
    blow_up = lambda theta: -(theta[0] ** 3)  # theta' = 3 theta^2 leaves every bound at time 1/3
    assert flows.loss_positions("gradient_flow", blow_up, 0.1, [1.0], 3)[-1] == pytest.approx(10, rel=1e-8)
    with pytest.raises(FlowError, match=r"the flow from \[1.\] stopped after time 0.3 of 0.5.*fewer steps"):
        flows.loss_positions("gradient_flow", blow_up, 0.1, [1.0], 5)
    with pytest.raises(FlowError, match="its velocity is not finite"):
        flows.loss_positions("igr", lambda theta: jnp.log(theta[0]), 0.1, [0.0], 5)
    with pytest.raises(
        ConfigError, match="flow: unknown name 'principle_flow'; did you mean 'principal_flow'"
    ):
        flows.loss_positions("principle_flow", blow_up, 0.1, [1.0], 5)


def test_a_flow_that_takes_for_ever_is_refused(monkeypatch):
    monkeypatch.setattr("lib.games.flows.integration._MAX_EVALUATIONS", 1000)
    assert flows.loss_positions("igr", quadratic(np.eye(1)), 1.0, [1.0], 20).shape == (21, 1)
    with pytest.raises(FlowError, match="of 2e.*: 1,000 evaluations"):
        flows.loss_positions("igr", quadratic(np.eye(1)), 1.0, [1.0], 20000)


def test_float64_whatever_the_caller_s_precision():
    with jax.enable_x64(False):
        found = flows.loss_positions("igr", nonlinear, 0.1, [0.7, -0.4], 3)
    np.testing.assert_array_equal(found, flows.loss_positions("igr", nonlinear, 0.1, [0.7, -0.4], 3))
    assert flows.loss_positions("igr", nonlinear, 0.1, [0.7, -0.4], 0).shape == (1, 2)


ROTATION = toy_game(lambda x, y: 0.09 * x**2 / 2 - x * y, lambda x, y: 0.09 * y**2 / 2 + x * y)
ORIGIN = dict.fromkeys(PLAYERS, 0.0)


def drifts_of(rule, rates, clock):
    return None if rule == "original" else DRIFTS[rule](rates, clock)


def jacobian(rule, clock, rates=(0.2, 0.2)) -> np.ndarray:
    rates = dict(zip(PLAYERS, rates, strict=True))
    field = flows.modified_flow(ROTATION, ORIGIN, rates, drifts_of(rule, rates, clock), clock)
    return np.asarray(jax.jacfwd(field)(jnp.zeros(2)))


@pytest.mark.parametrize(
    ("rule", "trace"), [("original", -0.18), ("simultaneous", 0.01838), ("alternating", -0.18162)]
)
@pytest.mark.parametrize(("clock", "speed"), [("per_player", 1), ("shared", 0.2)])
def test_modified_flow_of_a_two_dimensional_game(rule, trace, clock, speed):
    """x' = -e x + y, y' = -x - e y at e = 0.09, h = 0.2: the drift of simultaneous updates destabilises it."""
    assert np.trace(jacobian(rule, clock)) == pytest.approx(speed * trace, rel=1e-10)


@pytest.mark.parametrize("rule", ["simultaneous", "alternating"])
def test_modified_flow_with_unequal_rates_is_the_second_order_of_the_update(rule):
    """On the shared clock the flow's matrix M has I + M + M^2 / 2 = the update's matrix, to O(h^3)."""
    errors = []
    for h in (0.02, 0.01):
        rates = (h, 0.3 * h)
        update = jax.jacfwd(take(make_rule(ROTATION, rule, rates)))(jnp.zeros(2), rates)
        m = jacobian(rule, "shared", rates)
        errors.append(np.abs(np.eye(2) + m + m @ m / 2 - update).max())
    assert errors[0] / errors[1] == pytest.approx(8, rel=0.05)


@pytest.mark.parametrize("clock", ["per_player", "shared"])
@pytest.mark.parametrize("rule", ["simultaneous", "alternating"])
@pytest.mark.parametrize(("game", "start"), [(NONLINEAR, (1.1, -0.4)), (DIRAC, (1.2, 0.8))])
def test_one_update_is_near_its_modified_flow(rule, clock, game, start):
    """Eight times nearer at half the rate, and four times to the original flow, which test_drift measures finely."""
    step, point = take(make_rule(game, rule, (1.0, 1.0))), dict(zip(PLAYERS, start, strict=True))

    def distance(h, drift):
        rates = dict(zip(PLAYERS, (h, 0.4 * h), strict=True))
        end = flows.game_positions(game, point, rates, 1, drifts_of(drift, rates, clock), clock)[1]
        return np.linalg.norm(end - step(np.array(start), tuple(rates.values())))

    ratio = lambda drift: distance(0.01, drift) / distance(0.005, drift)
    assert ratio("original") == pytest.approx(4, rel=0.1)
    assert ratio(rule) == pytest.approx(8, rel=0.1)


@pytest.mark.parametrize("rule", ["simultaneous", "alternating"])
def test_many_updates_follow_the_shared_modified_flow(rule):
    """A bilinear game with unequal rates: simultaneous updates spiral out, which only the modified flow does."""
    values, steps = (0.1, 0.025), 40
    rates = dict(zip(PLAYERS, values, strict=True))
    step, path = take(make_rule(BILINEAR, rule, values)), [np.array([0.5, -0.8])]
    for _ in range(steps):
        path.append(np.asarray(step(path[-1], values)))
    point = dict(zip(PLAYERS, path[0], strict=True))

    def distance(drifts):
        return np.linalg.norm(
            flows.game_positions(BILINEAR, point, rates, steps, drifts) - path, axis=1
        ).max()

    assert distance(None) > 10 * distance(DRIFTS[rule](rates, "shared")) > 0


def test_each_player_is_read_at_its_own_time():
    """Two players who do not meet: x' = -x is read at n h_x."""
    apart = toy_game(lambda x, y: x**2 / 2, lambda x, y: 3 * y**2 / 2)
    rates, n = {"disc": 0.3, "gen": 0.1}, np.arange(6)
    for clock in ("per_player", "shared"):
        found = flows.game_positions(apart, {"disc": 2.0, "gen": -1.0}, rates, 5, clock=clock)
        np.testing.assert_allclose(found, np.stack([2 * np.exp(-0.3 * n), -np.exp(-0.3 * n)], 1), rtol=1e-9)


def test_players_of_many_parameters():
    """The velocity of a GAN of two small nets, flattened, against each player's own gradient."""
    game, params, batch = tanh_gan()
    fixed = game._replace(losses=lambda p, s, b, k: game.losses(p, s, batch, k))
    rates = {"disc": 0.1, "gen": 0.02}
    flat, unravel = ravel_pytree(jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params))
    loss = lambda x, own: fixed.losses({**params, x: own}, {}, None, None)[0][x]
    grads = {x: jax.grad(functools.partial(loss, x))(params[x]) for x in PLAYERS}
    expected, _ = ravel_pytree({x: jax.tree.map(lambda g, h=rates[x]: -h * g, grads[x]) for x in PLAYERS})
    field = flows.modified_flow(fixed, params, rates)
    np.testing.assert_allclose(field(flat), expected, rtol=1e-6)
    assert flows.game_positions(fixed, params, rates, 2, clock="per_player").shape == (3, flat.size)
