"""Rules that solve linear systems, where these are tiny or singular, in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import BILINEAR, KEY, PLAYERS, ROWS, initial, make_rule, toy_game

from lib.games.operators import update_jacobian
from lib.games.updates.systems import solve

H = 0.2
A, B, C = 0.5, 1.3, 0.8
QUADRATIC = toy_game(
    lambda x, y: A * x**2 / 2 + B * x * y - C * y**2 / 2,
    lambda x, y: -A * x**2 / 2 - B * x * y + C * y**2 / 2,
)
MATRICES = {  # of a step on the quadratic game, whose Jacobian is ((A, B), (-B, C))
    "competitive": np.eye(2) - H * np.linalg.inv([[1, H * B], [-H * B, 1]]) @ [[A, B], [-B, C]],
    "follow_the_ridge": np.eye(2) - H * np.array([[A, B], [-B - A * -B / C, C - B * -B / C]]),
    "local_symplectic_surgery": np.eye(2) - 2 * H * np.diag([A, C]),
}


@pytest.mark.parametrize("size", [1e-3, 1e-7, 1e-15, 1e-25])
@pytest.mark.parametrize("name", MATRICES)
def test_steps_are_linear_however_near_they_are(name, size):
    rule = make_rule(QUADRATIC, name, (H, H))
    state, _ = jax.jit(rule.step)(initial(rule, (size, -0.5 * size)), ROWS, KEY)
    point = np.array([state.params[x] for x in PLAYERS], float) / size
    np.testing.assert_allclose(point, MATRICES[name] @ [1.0, -0.5], rtol=2e-5)


@pytest.mark.parametrize("name", MATRICES)
def test_the_equilibrium_stays(name):
    rule = make_rule(QUADRATIC, name, (H, H))
    state, _ = jax.jit(rule.step)(initial(rule, (0.0, 0.0)), ROWS, KEY)
    assert [float(state.params[x]) for x in PLAYERS] == [0.0, 0.0]


def test_without_a_ridge_steps_are_plain():
    points = []
    for name in ("follow_the_ridge", "simultaneous"):
        rule = make_rule(BILINEAR, name, (H, H))
        state, _ = rule.step(initial(rule, (1.0, 0.5)), ROWS, KEY)
        operator = update_jacobian(rule, initial(rule, (0.0, 0.0)), ROWS, KEY)
        columns = [operator.apply(column) for column in jnp.eye(2)]
        points.append(np.array([*state.params.values(), *columns[0], *columns[1]]))
    np.testing.assert_allclose(*points, rtol=1e-6)


@pytest.mark.parametrize("derivative", [jax.jacfwd, jax.jacrev])
def test_systems_have_derivatives_in_both_directions(derivative):
    matrix, right = jnp.array([[2.0, 1.0], [-0.5, 1.5]]), jnp.array([1.0, 2.0])
    found = derivative(lambda b: solve(lambda v: matrix @ v, b, 5))(right)
    np.testing.assert_allclose(found, np.linalg.inv(matrix), rtol=1e-5)
