"""The newer update rules: NumPy's transcriptions of their steps, and closed forms of their spectra."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import (
    BILINEAR,
    KEY,
    NONLINEAR,
    PLAYERS,
    ROWS,
    START,
    initial,
    make_rule,
    squared_radius,
    toy_game,
    walked,
)

from lib import optimizers
from lib.games import updates
from lib.games.eigenvalues import eigenvalues
from lib.games.game import gradients
from lib.games.operators import update_jacobian
from lib.games.updates import UPDATE_RULES, Options, Regularizers
from lib.games.updates.lookahead import _INNER
from lib.optimizers import schedules

pytestmark = pytest.mark.usefixtures("float64")

RATES, STEPS = np.array([0.2, 0.15]), 6
# Min-max of a x^2 / 2 + b x y - c y^2 / 2: the follower's Hessian is c.
A, B, C = 0.5, 1.3, 0.8
QUADRATIC = toy_game(
    lambda x, y: A * x**2 / 2 + B * x * y - C * y**2 / 2,
    lambda x, y: -A * x**2 / 2 - B * x * y + C * y**2 / 2,
)


def rule_of(game, name, rates=RATES, order=PLAYERS, momentum=None, **arguments):
    """Makes a rule with arguments of its own."""
    chosen = UPDATE_RULES[name].arguments(**arguments)
    options = Options(order, dict.fromkeys(PLAYERS, 1), arguments=chosen)
    return make_rule(game, name, rates, options=options, momentum=momentum)


@functools.cache
def compiled_field(game):
    """Returns the compiled (v, J) of a game as functions of a vector."""

    def v(z):
        grads, _, _ = gradients(game, dict(zip(PLAYERS, z, strict=True)), {}, None, KEY)
        return jnp.stack([grads[x] for x in PLAYERS])

    return jax.jit(lambda z: (v(z), jax.jacfwd(v)(z)))


def field(z, game=NONLINEAR):
    """Returns (v, J), as NumPy's arrays."""
    return tuple(map(np.asarray, compiled_field(game)(jnp.asarray(z))))


def gradient(z):
    return field(z)[0]


def off_diagonal(matrix):
    return matrix - np.diag(np.diag(matrix))


def lookahead(z, memory, every=3, alpha=0.4):
    slow = z
    for _ in range(every):
        z = z - RATES * gradient(z)
    return slow + alpha * (z - slow), memory


def lead(z, memory, alpha=0.3, momentum=0.25):
    move = z - z if memory is None else memory
    v, jacobian = field(z)
    new = z + momentum * move - RATES * v - alpha * off_diagonal(jacobian) @ move
    return new, new - z


def competitive(z, memory):
    v, jacobian = field(z)
    return z - RATES * np.linalg.solve(np.eye(2) + off_diagonal(jacobian) * RATES, v), memory


def anchored(z, memory):
    start, k = (z, 0) if memory is None else memory
    drawn = z + (start - z) / (k + 2)
    ahead = drawn - RATES * gradient(z)
    return drawn - RATES * gradient(ahead), (start, k + 1)


def ridge(z, memory):
    (vx, vy), jacobian = field(z)
    answer = jacobian[1, 0] * vx / jacobian[1, 1]
    return z - RATES * np.array([vx, vy]) + np.array([0, RATES[0] * answer]), memory


def surgery(z, memory, xi_1=0.1, xi_2=0.2):
    v, jacobian = field(z)
    system = jacobian.T @ jacobian + xi_1 * (1 - np.exp(-v @ v)) * np.eye(2)
    w = jacobian.T @ np.linalg.solve(system, jacobian.T @ v)
    return z - RATES * (v + np.exp(-xi_2 * w @ w) * w), memory


TRANSCRIPTIONS = {
    "lookahead": (lookahead, {"every": 3, "alpha": 0.4}),
    "lead": (lead, {"alpha": 0.3, "momentum": 0.25}),
    "competitive": (competitive, {}),
    "anchored_extragradient": (anchored, {}),
    "follow_the_ridge": (ridge, {}),
    "local_symplectic_surgery": (surgery, {"regularization": 0.1, "damping": 0.2}),
}


@pytest.mark.parametrize("name", TRANSCRIPTIONS)
def test_steps_are_their_transcription(name):
    transcription, arguments = TRANSCRIPTIONS[name]
    points = walked(rule_of(NONLINEAR, name, **arguments))
    z, memory, expected = START, None, [START]
    for _ in range(STEPS):
        z, memory = transcription(z, memory)
        expected.append(z)
    np.testing.assert_allclose(points, expected, rtol=1e-6, atol=1e-8)
    plain = walked(make_rule(NONLINEAR, "simultaneous", RATES))
    assert np.abs(points[2:] - plain[2:]).min() > 1e-4


def extragradient(z):
    return z - RATES * gradient(z - RATES * gradient(z))


def alternating(z):
    z = z - RATES * gradient(z) * [1, 0]
    return z - RATES * gradient(z) * [0, 1]


def simultaneous(z):
    return z - RATES * gradient(z)


INNER = {"simultaneous": simultaneous, "alternating": alternating, "extragradient": extragradient}


@pytest.mark.parametrize("inner", INNER)
def test_lookahead_keeps_a_part_of_any_inner_way(inner):
    assert set(INNER) == set(_INNER)
    z = functools.reduce(lambda z, _: INNER[inner](z), range(3), START)
    new = walked(rule_of(NONLINEAR, "lookahead", every=3, alpha=0.4, inner=inner), steps=1)[1]
    np.testing.assert_allclose(new, START + 0.4 * (z - START), rtol=1e-6)


def lead_on_bilinear(h, alpha, momentum):
    """Returns max |mu|^2 of mu^2 - mu (1 + beta - i (h + alpha)) + beta - i alpha = 0."""
    roots = np.roots([1, -(1 + momentum - 1j * (h + alpha)), momentum - 1j * alpha])
    return np.abs(roots).max() ** 2


@pytest.mark.parametrize("h", [0.1, 0.3])
def test_squared_radii_on_the_bilinear_game(h):
    rates = (h, h)
    radius = {
        "competitive": squared_radius(rule_of(BILINEAR, "competitive", rates)),
        "lookahead": squared_radius(rule_of(BILINEAR, "lookahead", rates, every=5, alpha=0.5)),
        "lead": squared_radius(rule_of(BILINEAR, "lead", rates, alpha=0.3, momentum=0.1)),
        "surgery": squared_radius(rule_of(BILINEAR, "local_symplectic_surgery", rates)),
        "alternating": squared_radius(
            rule_of(BILINEAR, "lookahead", rates, every=4, alpha=1.0, inner="alternating")
        ),
    }
    expected = {
        "competitive": 1 / (1 + h**2),  # implicit Euler
        "lookahead": abs(0.5 + 0.5 * (1 + 1j * h) ** 5) ** 2,
        "lead": lead_on_bilinear(h, 0.3, 0.1),
        "surgery": 1.0,  # J + J^T = 0
        "alternating": 1.0,
    }
    assert radius == pytest.approx(expected, abs=1e-8)


def test_curvature_takes_the_rotation_out_of_a_quadratic_game():
    rates = (0.2, 0.2)
    jacobian = update_jacobian(
        rule := rule_of(QUADRATIC, "follow_the_ridge", rates), initial(rule, (0.0, 0.0)), ROWS, KEY
    )
    # The leader's loss along the ridge has curvature a + b^2 / c, the follower's own is c.
    expected = sorted([1 - 0.2 * (A + B**2 / C), 1 - 0.2 * C])
    np.testing.assert_allclose(sorted(eigenvalues(jacobian).real), expected, atol=1e-8)
    np.testing.assert_allclose(eigenvalues(jacobian).imag, 0, atol=1e-8)
    jacobian = update_jacobian(
        rule := rule_of(QUADRATIC, "local_symplectic_surgery", rates),
        initial(rule, (0.0, 0.0)),
        ROWS,
        KEY,
    )
    np.testing.assert_allclose(
        sorted(eigenvalues(jacobian).real), sorted([1 - 0.4 * A, 1 - 0.4 * C]), atol=1e-6
    )


def test_who_leads_is_the_first_in_the_order():
    orders = (PLAYERS, PLAYERS[::-1])
    first, second = (walked(rule_of(QUADRATIC, "follow_the_ridge", order=order)) for order in orders)
    assert np.abs(first[1:, 0] - second[1:, 0]).min() > 1e-3  # gen's answer moves gen alone in the first
    plain = walked(make_rule(QUADRATIC, "simultaneous", RATES))
    np.testing.assert_allclose(first[1, 0], plain[1, 0], rtol=1e-12)
    np.testing.assert_allclose(second[1, 1], plain[1, 1], rtol=1e-12)


def test_anchored_steps_have_the_bound_of_the_paper():
    """Expects ||v(z_k)||^2 <= 260 ||z_0||^2 / ((k + 1)(k + 2)) for h = 1 / 8: Theorem 2, with R = 1."""
    points = walked(rule_of(BILINEAR, "anchored_extragradient", (1 / 8, 1 / 8)), steps=400)
    k = np.arange(len(points))
    norms = (points**2).sum(1)  # v is z, rotated
    assert (norms <= 260 * norms[0] / ((k + 1) * (k + 2))).all()
    assert norms[-1] < 1e-3 * norms[0]


def by_optimizer(rule, **arguments):
    """Returns the points of Adam's steps by an extragradient rule on the nonlinear game."""
    chosen = UPDATE_RULES[rule].arguments(**arguments)
    adam = {x: optimizers.make("adam", h, {"b1": 0.5}) for x, h in zip(PLAYERS, RATES, strict=True)}
    options = Options(PLAYERS, dict.fromkeys(PLAYERS, 1), arguments=chosen)
    return walked(updates.make(rule, NONLINEAR, adam, Regularizers.none(PLAYERS), options))


class Adam:
    """Adam in NumPy: each call advances its moments and returns the step."""

    def __init__(self):
        self.m, self.v, self.t = 0.0, 0.0, 0

    def __call__(self, g):
        self.t += 1
        self.m, self.v = 0.5 * self.m + 0.5 * g, 0.999 * self.v + 0.001 * g**2
        m, v = self.m / (1 - 0.5**self.t), self.v / (1 - 0.999**self.t)
        return RATES * m / (np.sqrt(v) + 1e-8)


def test_extra_adam_advances_its_moments_twice_a_step():
    z, adam, expected = START, Adam(), [START]
    for _ in range(STEPS):
        ahead = z - adam(gradient(z))
        z = z - adam(gradient(ahead))
        expected.append(z)
    np.testing.assert_allclose(by_optimizer("extragradient", advance=True), expected, rtol=1e-9)
    assert np.abs(by_optimizer("extragradient")[2:] - expected[2:]).min() > 1e-4


def test_past_extra_adam_extrapolates_with_the_last_gradient():
    z, ahead, adam, expected = START, START, Adam(), [START]
    for _ in range(STEPS):
        g = gradient(ahead)
        z = z - adam(g)
        ahead = z - adam(g)
        expected.append(z)
    np.testing.assert_allclose(by_optimizer("optimistic", extrapolate="optimizer"), expected, rtol=1e-9)


def test_with_plain_sgd_the_optimizer_s_extrapolation_is_the_plain_one():
    plain, ours = (
        walked(rule_of(NONLINEAR, "optimistic", extrapolate=how)) for how in ("plain", "optimizer")
    )
    np.testing.assert_allclose(ours, plain, rtol=1e-10)
    plain, ours = (walked(rule_of(NONLINEAR, "extragradient", advance=a)) for a in (False, True))
    np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize("name", TRANSCRIPTIONS)
def test_steps_are_finite_at_an_equilibrium_and_where_rates_begin_at_0(name):
    rule = rule_of(QUADRATIC, name, **TRANSCRIPTIONS[name][1])
    np.testing.assert_allclose(walked(rule, np.zeros(2), steps=2), 0, atol=1e-12)
    rising = {"init_value": 0.0, "end_value": 1.0, "transition_steps": 2}
    warm_up = schedules.make("linear_schedule", rising)
    made = {x: optimizers.make("sgd", 0.1, {}, schedule=warm_up) for x in PLAYERS}
    points = walked(updates.make(name, QUADRATIC, made, Regularizers.none(PLAYERS)), steps=3)
    assert np.isfinite(points).all()
    assert np.abs(points[3] - points[0]).min() > 1e-4
    if name != "lookahead":  # whose rates rise with each inner step
        np.testing.assert_allclose(points[1], points[0], atol=1e-12)
