"""The papers' metrics against closed forms and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import subspace_angles

from lib import eigengame

angles_to = jax.jit(eigengame.angles)
longest_streak = jax.jit(eigengame.longest_streak)
pytestmark = pytest.mark.usefixtures("float64")


def rotated(degrees: list[float]) -> jnp.ndarray:
    """Returns vectors [k, 2 k], each at its angle from the k-th unit vector, of other signs and lengths."""
    angles, k = np.radians(degrees), len(degrees)
    vectors = np.hstack([np.diag(np.cos(angles)), np.diag(np.sin(angles))])
    return jnp.asarray(vectors * (-2.0) ** np.arange(k)[:, None])


def test_angles_ignore_sign_and_length():
    degrees = [0, 1e-5, 22, 90]
    measured = angles_to(rotated(degrees), jnp.eye(4, 8))
    np.testing.assert_allclose(measured, np.radians(degrees), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    "degrees, streak", [([1, 2, 3], 3), ([1, 23, 3], 1), ([22, 22, 23], 2), ([50, 1, 1], 0)]
)
def test_the_streak_ends_at_the_first_vector_off_by_more_than_an_eighth_of_pi(degrees, streak):
    assert longest_streak(rotated(degrees), jnp.eye(3, 6)) == streak


def test_subspace_distance_is_the_mean_squared_sine_of_the_principal_angles():
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((3, 8))
    exact = np.linalg.qr(generator.standard_normal((8, 3)))[0].T
    expected = np.mean(np.sin(subspace_angles(vectors.T, exact.T)) ** 2)
    assert 0.1 < expected < 0.9
    assert eigengame.subspace_distance(jnp.asarray(vectors), jnp.asarray(exact)) == pytest.approx(expected)
    mixed = generator.standard_normal((3, 3)) @ exact  # the same span
    assert abs(eigengame.subspace_distance(jnp.asarray(mixed), jnp.asarray(exact))) < 1e-12


def test_the_largest_error_is_that_of_eigenvalues_above_rounding():
    eigenvalues = np.array([4.0, 2.0, 1e-9])
    found = eigengame.largest_error(np.array([4.4, 1.0, 1e-3]), eigenvalues)
    assert found == {"eigenvalue_error": pytest.approx(0.5)}
    assert eigengame.largest_error(eigenvalues, eigenvalues) == {"eigenvalue_error": 0}
    below = np.array([-4.0, -2.0])
    assert eigengame.largest_error(below * 1.1, below) == {"eigenvalue_error": pytest.approx(0.1)}


def test_there_is_no_error_of_eigenvalues_that_are_all_rounding():
    rounding = np.array([0.0, 1e-9])
    assert eigengame.largest_error(np.array([1e-3, 1e-3]), rounding, scale=1.0) == {}
    assert eigengame.largest_error(np.zeros(2), np.zeros(2)) == {}
