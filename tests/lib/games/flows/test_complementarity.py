"""The solver of semidefinite complementarity problems: its conditions, closed forms and scipy's."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls

from lib.games.flows.complementarity import solve_complementarity

pytestmark = pytest.mark.usefixtures("float64")


def problem(m, seed, rows=None):
    """Returns a random (a, b), a indefinite and b the Gram matrix of random symmetric slopes."""
    rng = np.random.default_rng(seed)
    slopes = rng.standard_normal((m, m, rows or 3 * m * m))
    slopes = slopes + slopes.transpose(1, 0, 2)
    a = rng.standard_normal((m, m))
    return jnp.asarray(a + a.T), jnp.einsum("ijd,kld->ijkl", slopes, slopes)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("m", [1, 2, 3, 5])
def test_the_three_conditions(m, seed):
    a, b = problem(m, seed)
    x = np.asarray(solve_complementarity(a, b))
    room = np.asarray(a + jnp.einsum("ijkl,kl->ij", b, x))
    size = np.abs(np.linalg.eigvalsh(a)).max()
    assert np.linalg.eigvalsh(x).min() >= -1e-12
    assert np.linalg.eigvalsh(room).min() >= -1e-6 * size
    assert abs((x * room).sum()) <= 1e-6 * size * np.trace(x)
    assert (np.trace(x) > 1e-4) == (np.linalg.eigvalsh(a).min() < 0)  # 0 where there is room without it


@pytest.mark.parametrize(("a", "expected"), [(-3.0, 1.5), (3.0, 0.0)])
def test_of_one_row_it_is_the_closed_form(a, expected):
    x = solve_complementarity(jnp.full((1, 1), a), jnp.full((1, 1, 1, 1), 2.0), iterations=1)
    np.testing.assert_allclose(x, [[expected]], rtol=1e-12)


def test_of_diagonal_problems_it_is_scipy_s_nonnegative_least_squares():
    """Compares it with nnls, which minimises |G y - c|^2 over y >= 0, where only diagonals are coupled."""
    rng, m = np.random.default_rng(1), 4
    g, c = rng.standard_normal((7, m)), rng.standard_normal(7)
    expected, _ = nnls(g, c)
    assert 0 < (expected > 0).sum() < m
    b = np.zeros((m, m, m, m))
    for i, j in np.ndindex(m, m):
        b[i, i, j, j] = (g.T @ g)[i, j]
    x = solve_complementarity(jnp.asarray(np.diag(-g.T @ c)), jnp.asarray(b))
    np.testing.assert_allclose(x, np.diag(expected), atol=1e-8)


def constructed(m, rows, seed):
    """Returns (a, b, x, room): a problem made so that x solves it and leaves that room."""
    _, b = problem(m, seed, rows)
    basis, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((m, m)))
    x, room = (jnp.asarray(basis[:, part] @ basis[:, part].T) for part in (slice(2), slice(2, m)))
    return room - jnp.einsum("ijkl,kl->ij", b, x), b, x, room


@pytest.mark.parametrize("seed", range(3))
def test_a_known_solution_is_recovered(seed):
    a, b, x, _ = constructed(4, 40, seed)
    np.testing.assert_allclose(solve_complementarity(a, b), x, atol=1e-6)


def test_slopes_that_span_little_leave_the_room_that_is_known():
    """Checks what is unique where four slopes span fewer directions than there are symmetric matrices."""
    a, b, _, room = constructed(3, 4, 0)
    x = solve_complementarity(a, b)
    assert np.linalg.eigvalsh(x).min() > -1e-12
    np.testing.assert_allclose(a + jnp.einsum("ijkl,kl->ij", b, x), room, atol=1e-4)
