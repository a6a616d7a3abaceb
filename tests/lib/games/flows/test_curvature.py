"""The largest Hessian eigenpairs of a loss, and along a path, against the dense Hessian."""

import jax
import numpy as np
import pytest
from small_network import SIZE, loss, place

from lib.games.flows import curvature

pytestmark = pytest.mark.usefixtures("float64")
HESSIAN = jax.jit(jax.hessian(loss))


@pytest.mark.parametrize("k", [1, 3, SIZE])  # of all SIZE by the dense Hessian
def test_the_largest_eigenpairs(k):
    theta = place()
    pairs = curvature.largest(loss, theta, k)
    expected = np.linalg.eigvalsh(HESSIAN(theta))[::-1][:k]
    np.testing.assert_allclose(pairs.values, expected, atol=1e-6 * expected[0])
    residual = pairs.vectors @ HESSIAN(theta) - pairs.values[:, None] * pairs.vectors
    assert np.linalg.norm(residual, axis=1).max() < 2e-4 * expected[0]
    np.testing.assert_allclose(pairs.vectors @ pairs.vectors.T, np.eye(k), atol=1e-8)


def test_along_a_path_in_float64_whatever_the_caller_s_precision():
    path = [place(1) + t * (place(2) - place(1)) for t in np.linspace(0, 1, 6)]
    expected = [np.linalg.eigvalsh(HESSIAN(theta))[::-1][:2] for theta in path]
    with jax.enable_x64(False):
        values = curvature.along(loss, path, 2)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, expected, rtol=1e-6)
