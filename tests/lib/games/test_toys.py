"""Toy games: their equilibria, Jacobians and losses against closed forms, and what makes no game."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lib.errors import ConfigError
from lib.games import toys
from lib.games.game import gradients

TOYS = list(toys.TOYS)


@pytest.fixture(scope="module")
def measured():
    """Computes everything that is measured of the games in one program: {name: {what: array}}."""
    with jax.enable_x64(True):
        games = {name: toys.make(name, {}) for name in TOYS}

        def measure(points):
            values = {}
            for name, toy in games.items():
                _, own, _ = gradients(toy.game, toy.params(points[name]), {}, None, None)
                values[name] = {
                    "at": jax.vmap(toy.gradient)(jnp.asarray(toy.equilibria)),
                    "beside": jax.vmap(toy.gradient)(jnp.asarray(toy.equilibria) + 0.3),
                    "gradient": toy.gradient(points[name]),
                    "rows": jax.jacobian(toy.losses)(points[name]),
                    "losses": toy.losses(points[name]),
                    "own": jnp.stack([own[x] for x in toy.sizes]),
                }
            return values

        points = {name: jnp.arange(1.0, toy.size + 1) / 3 for name, toy in games.items()}
        return jax.tree.map(np.asarray, jax.jit(measure)(points))


@pytest.mark.parametrize("name", TOYS)
def test_nobody_moves_at_an_equilibrium_and_somebody_does_elsewhere(measured, name):
    assert len(measured[name]["at"]) > 0
    assert measured[name]["at"].shape[1] == measured[name]["gradient"].size
    assert np.abs(measured[name]["at"]).max() < 1e-12
    assert np.abs(measured[name]["beside"]).max(1).min() > 1e-3


@pytest.mark.parametrize("name", TOYS)
def test_the_joint_gradient_is_that_of_every_player_s_own_loss(measured, name):
    toy, values = toys.make(name, {}), measured[name]
    # Rows of the Jacobian of all losses, each at its owner's coordinates.
    owner = np.repeat(np.arange(len(toy.sizes)), list(toy.sizes.values()))
    np.testing.assert_allclose(values["gradient"], values["rows"][owner, np.arange(toy.size)], rtol=1e-14)
    np.testing.assert_array_equal(values["losses"], values["own"])


@pytest.mark.usefixtures("float64")
def test_the_jacobian_of_the_general_quadratic_game():
    a, b, c, d = [[2.0, 0.5], [0.5, 1.0]], [[1.0], [3.0]], [[-1.0, 4.0]], [[0.7]]
    toy = toys.quadratic(a, d, b, c, disc_linear=[1.0, -2.0], gen_linear=[0.5])
    jacobian = np.block([[np.array(a), np.array(b)], [np.array(c), np.array(d)]])
    np.testing.assert_allclose(jax.jit(jax.jacobian(toy.gradient))(jnp.zeros(3)), jacobian, rtol=1e-14)
    # The equilibrium solves J z = -(a, b).
    np.testing.assert_allclose(jacobian @ toy.equilibria[0], [-1.0, 2.0, -0.5], rtol=1e-12)


@pytest.mark.usefixtures("float64")
def test_named_games_are_what_their_papers_say():
    x, y, e = 0.3, -0.7, 0.09

    @jax.jit
    def measure(point):
        two_players = [toys.bilinear(2.0), toys.rotational(e), toys.dirac_gan()]
        one_player = [toys.quadratic_loss(), toys.banana()]
        return [toy.gradient(point) for toy in two_players], [toy.losses(point)[0] for toy in one_player]

    (bilinear, rotational, dirac), (quadratic, banana) = measure(jnp.array([x, y]))
    np.testing.assert_allclose(bilinear, [2 * y, -2 * x], rtol=1e-14)
    np.testing.assert_allclose(rotational, [e * x - y, x + e * y], rtol=1e-14)
    sigmoid = 1 / (1 + np.exp(x * y))  # of -x y
    np.testing.assert_allclose(dirac, [y * sigmoid, -x * sigmoid], rtol=1e-12)
    assert quadratic == pytest.approx(x**2 + 0.01 * y**2, rel=1e-14)
    assert banana == pytest.approx((1 - x) ** 2 + 5 * (y - x**2) ** 2, rel=1e-14)


@pytest.mark.usefixtures("float64")
def test_the_double_well_keeps_its_minima_alone():
    assert toys.double_well(0.0).equilibria[:, 0] == pytest.approx([-1, 1])
    tilted = toys.double_well(1.0)
    assert len(tilted.equilibria) == 1
    curvature = jax.jit(jax.hessian(lambda p: tilted.losses(p)[0]))(jnp.asarray(tilted.equilibria[0]))
    assert curvature[0, 0] > 0


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("bilinar", {}, "game: unknown name 'bilinar'; did you mean 'bilinear'"),
        ("bilinear", {"couplin": 1.0}, "kwargs.couplin: .*did you mean 'coupling'"),
        ("dirac_gan", {"coupling": 1.0}, "kwargs.coupling: .*it takes none"),
        ("bilinear", {"coupling": 0.0}, "kwargs: .*singular"),
        ("bilinear", {"coupling": "a"}, "kwargs.coupling: 'a' must be a finite number"),
        ("banana", {"steepness": True}, "kwargs.steepness: True"),
        ("double_well", {"tilt": float("nan")}, "kwargs.tilt: nan"),
        ("quadratic", {"disc": ((1.0, 2.0), (0.0, 1.0))}, "kwargs.disc: .*symmetric"),
        ("quadratic", {"disc": ((1.0,),)}, "kwargs.disc_gen: .* 1 x 2 "),
        ("quadratic", {"disc": ((1.0, 2.0),)}, "kwargs.disc: .*symmetric"),
        ("quadratic", {"gen": ((1.0,), (2.0, 3.0))}, "kwargs.gen: .* n x n "),
        ("quadratic_loss", {"weights": ()}, "kwargs.weights: "),
        ("quadratic_loss", {"weights": 3.0}, "kwargs.weights: 3.0 "),
    ],
)
def test_what_makes_no_game_is_refused(name, kwargs, message):
    with pytest.raises(ConfigError, match=message) as refused:
        toys.make(name, kwargs)
    assert refused.value.field == message.split(":")[0]
