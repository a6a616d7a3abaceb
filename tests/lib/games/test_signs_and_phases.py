"""Complex momentum and steps of alternating signs on the bilinear game, against closed forms."""

import numpy as np
import pytest
from toys import BILINEAR, PLAYERS, START, squared_radius, walked

from lib import optimizers
from lib.games import updates
from lib.games.updates import Regularizers
from lib.optimizers import schedules

pytestmark = pytest.mark.usefixtures("float64")


def test_complex_momentum_on_the_bilinear_game():
    """Checks the spectrum against the matrix of (z, Re mu, Im mu), and the limits of the phase."""
    h, size, phase = 0.1, 0.8, np.pi / 5

    def radius(name, kwargs):
        made = {x: optimizers.make(name, h, kwargs) for x in PLAYERS}
        return squared_radius(updates.make("simultaneous", BILINEAR, made, Regularizers.none(PLAYERS)))

    v, one, zero = np.array([[0.0, 1.0], [-1.0, 0.0]]), np.eye(2), np.zeros((2, 2))
    c, s = size * np.cos(phase), size * np.sin(phase)
    buffer = np.block([[v, c * one, -s * one], [zero, s * one, c * one]])
    moved = np.block([one, zero, zero]) - h * buffer[:2]
    expected = np.abs(np.linalg.eigvals(np.vstack([moved, buffer]))).max() ** 2
    assert radius("sgd_complex", {"momentum": size, "phase": phase}) == pytest.approx(expected, abs=1e-9)
    for phase, momentum in ((0.0, size), (np.pi, -size)):
        plain = radius("sgd", {"momentum": momentum})
        assert radius("sgd_complex", {"momentum": size, "phase": phase}) == pytest.approx(plain, abs=1e-8)


def test_some_complex_momentum_converges_where_no_real_one_does():
    """Simultaneous updates of the bilinear game, as the paper has them."""

    def radius(name, kwargs):
        made = {x: optimizers.make(name, 0.1, kwargs) for x in PLAYERS}
        return squared_radius(updates.make("simultaneous", BILINEAR, made, Regularizers.none(PLAYERS)))

    real = [radius("sgd", {"momentum": b}) for b in np.linspace(-0.95, 0.95, 20)]
    assert min(real) > 1
    assert radius("sgd_complex", {"momentum": 0.8, "phase": np.pi / 8}) < 0.96


def test_steps_of_alternating_signs_shrink_a_rotation():
    """Expects two steps of opposite signs to be (1 - h^2) times the identity."""
    h = 0.3
    made = {
        x: optimizers.make("sgd", h, {}, schedule=schedules.make("slingshot", {"first": first}))
        for x, first in zip(PLAYERS, (1, -1), strict=True)
    }
    points = walked(updates.make("simultaneous", BILINEAR, made, Regularizers.none(PLAYERS)))
    np.testing.assert_allclose(points[2], (1 - h**2) * START, rtol=1e-12)
    np.testing.assert_allclose(points[6], (1 - h**2) ** 3 * START, rtol=1e-12)
    assert np.abs(points[1] - START).min() > 0.1
