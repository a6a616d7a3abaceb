"""Toy games: their equilibria, Jacobians and losses against closed forms, and what makes no game."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib.errors import ConfigError
from lib.games import toys
from lib.games.game import gradients

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("name", list(toys.TOYS))
def test_nobody_moves_at_an_equilibrium_and_somebody_does_elsewhere(name):
    toy = toys.make(name, {})
    assert toy.equilibria.shape[1] == toy.size
    for equilibrium in toy.equilibria:
        assert np.abs(toy.gradient(equilibrium)).max() < 1e-12
        assert np.abs(toy.gradient(equilibrium + 0.3)).max() > 1e-3


@pytest.mark.parametrize("name", list(toys.TOYS))
def test_the_joint_gradient_is_that_of_every_player_s_own_loss(name):
    """Rows of the Jacobian of all losses, each at its owner's coordinates."""
    toy = toys.make(name, {})
    point = jnp.arange(1.0, toy.size + 1) / 3
    rows = jax.jacobian(toy.losses)(point)
    owner = np.repeat(np.arange(len(toy.sizes)), list(toy.sizes.values()))
    np.testing.assert_allclose(toy.gradient(point), rows[owner, np.arange(toy.size)], rtol=1e-14)
    _, losses, _ = gradients(toy.game, toy.params(point), {}, None, None)
    np.testing.assert_array_equal(toy.losses(point), [losses[x] for x in toy.sizes])


def test_the_jacobian_of_the_general_quadratic_game():
    """[[A, B], [C, D]]; its equilibrium solves J z = -(a, b)."""
    a, b, c, d = [[2.0, 0.5], [0.5, 1.0]], [[1.0], [3.0]], [[-1.0, 4.0]], [[0.7]]
    toy = toys.quadratic(a, d, b, c, disc_linear=[1.0, -2.0], gen_linear=[0.5])
    jacobian = np.block([[np.array(a), np.array(b)], [np.array(c), np.array(d)]])
    np.testing.assert_allclose(jax.jacobian(toy.gradient)(jnp.zeros(3)), jacobian, rtol=1e-14)
    np.testing.assert_allclose(jacobian @ toy.equilibria[0], [-1.0, 2.0, -0.5], rtol=1e-12)


def test_named_games_are_what_their_papers_say():
    x, y, e = 0.3, -0.7, 0.09
    np.testing.assert_allclose(toys.bilinear(2.0).gradient([x, y]), [2 * y, -2 * x], rtol=1e-14)
    np.testing.assert_allclose(toys.rotational(e).gradient([x, y]), [e * x - y, x + e * y], rtol=1e-14)
    sigmoid = 1 / (1 + np.exp(x * y))  # of -x y
    np.testing.assert_allclose(toys.dirac_gan().gradient([x, y]), [y * sigmoid, -x * sigmoid], rtol=1e-12)
    assert toys.quadratic_loss().losses([x, y])[0] == pytest.approx(x**2 + 0.01 * y**2, rel=1e-14)
    assert toys.banana().losses([x, y])[0] == pytest.approx((1 - x) ** 2 + 5 * (y - x**2) ** 2, rel=1e-14)


def test_the_double_well_keeps_its_minima_alone():
    assert toys.double_well(0.0).equilibria[:, 0] == pytest.approx([-1, 1])
    tilted = toys.double_well(1.0)
    assert len(tilted.equilibria) == 1
    assert jax.hessian(lambda p: tilted.losses(p)[0])(tilted.equilibria[0])[0, 0] > 0


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("bilinar", {}, "game: unknown name 'bilinar'; did you mean 'bilinear'"),
        ("bilinear", {"couplin": 1.0}, "kwargs.couplin: .*did you mean 'coupling'"),
        ("dirac_gan", {"coupling": 1.0}, "kwargs.coupling: .*it takes none"),
        ("bilinear", {"coupling": 0.0}, "kwargs: .*singular"),
        ("bilinear", {"coupling": "a"}, "kwargs.coupling: 'a' must be a finite number"),
        ("banana", {"steepness": True}, "steepness: True must be a finite number"),
        ("double_well", {"tilt": float("nan")}, "tilt: nan must be a finite number"),
        ("quadratic", {"disc": ((1.0, 2.0), (0.0, 1.0))}, "disc: .*must be symmetric"),
        ("quadratic", {"disc": ((1.0,),)}, "disc_gen: .*must be 1 x 2 finite numbers"),
        ("quadratic", {"disc": ((1.0, 2.0),)}, "disc: .*must be symmetric"),
        ("quadratic", {"gen": ((1.0,), (2.0, 3.0))}, "gen: .*must be n x n finite numbers"),
        ("quadratic_loss", {"weights": ()}, "weights: .*n finite numbers"),
        ("quadratic_loss", {"weights": 3.0}, "weights: 3.0 must be n finite numbers"),
    ],
)
def test_what_makes_no_game_is_refused(name, kwargs, message):
    with pytest.raises(ConfigError, match=message):
        toys.make(name, kwargs)
