"""Correlations and covariances of two views against an SVD and scikit-learn, float64."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from sklearn.cross_decomposition import CCA

from lib.data import exact_pca
from lib.data.dataset import Dataset
from lib.eigengame.generalized import exact, problems

N, P, Q, K = 400, 4, 5, 3
pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture(scope="module")
def rows():
    """Returns centred rows with three correlated pairs of features, mixed."""
    generator = np.random.default_rng(0)
    latents = generator.standard_normal((N, 3))
    x = np.hstack([latents, np.zeros((N, 1))]) + [0.3, 0.6, 1.0, 1.0] * generator.standard_normal((N, P))
    y = np.hstack([latents, np.zeros((N, 2))]) + 0.5 * generator.standard_normal((N, Q))
    mixed = np.hstack([x @ generator.standard_normal((P, P)), y @ generator.standard_normal((Q, Q))])
    return mixed - mixed.mean(0)


def parts(rows):
    """Returns the rows in parts that are not equally long."""
    return np.split(rows, [150, 370])


def covariances(rows):
    x, y = rows[:, :P], rows[:, P:]
    return x.T @ x / N, y.T @ y / N, x.T @ y / N


@pytest.mark.parametrize("problem", ("cca", "pls", "mlr"))
def test_products_are_those_of_the_blocks(problem, rows):
    cxx, cyy, cxy = covariances(rows)
    a = np.block([[np.zeros((P, P)), cxy], [cxy.T, np.zeros((Q, Q))]])
    ridge = 0.1 * np.eye(P)
    multiply, b = {
        "cca": (problems.cca(P, 0.1), scipy.linalg.block_diag(cxx + ridge, cyy + 0.1 * np.eye(Q))),
        "pls": (problems.pls(P), np.eye(P + Q)),
        "mlr": (problems.mlr(P, 0.1), scipy.linalg.block_diag(cxx + ridge, np.eye(Q))),
    }[problem]
    vectors = np.random.default_rng(1).standard_normal((K, P + Q))
    av, bv = multiply(jnp.asarray(vectors), jnp.asarray(rows))
    np.testing.assert_allclose(av, vectors @ a, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(bv, vectors @ b, rtol=1e-11, atol=1e-12)
    for one, other in zip(exact.matrices(multiply, parts(rows), N), (a, b), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("epsilon", (1e-12, 0.5))
def test_correlations_are_singular_values_of_the_whitened_cross_covariance(epsilon, rows):
    cxx, cyy, cxy = covariances(rows)
    left, right = (
        scipy.linalg.fractional_matrix_power(c + epsilon * np.eye(len(c)), -0.5) for c in (cxx, cyy)
    )
    singular = np.linalg.svd(left @ cxy @ right, compute_uv=False)
    pairs = exact.exact_eigenpairs(problems.cca(P, epsilon), parts(rows), N, K)
    assert (np.diff(singular[: K + 1]) < -0.03).all()
    np.testing.assert_allclose(pairs.eigenvalues, singular[:K], rtol=1e-8)
    _, b = exact.matrices(problems.cca(P, epsilon), parts(rows), N)
    np.testing.assert_allclose(pairs.eigenvectors @ b @ pairs.eigenvectors.T, np.eye(K), atol=1e-9)
    in_root = pairs.eigenvectors @ pairs.root
    np.testing.assert_allclose(in_root @ in_root.T, np.eye(K), atol=1e-9)


def test_scikit_learn_finds_the_same_correlations_and_weights(rows):
    x, y = rows[:, :P], rows[:, P:]
    model = CCA(K, scale=False, tol=1e-12, max_iter=10_000).fit(x, y)
    expected = [
        np.corrcoef(*variates)[0, 1] for variates in zip(*(s.T for s in model.transform(x, y)), strict=True)
    ]
    pairs = exact.exact_eigenpairs(problems.cca(P, 1e-12), parts(rows), N, K)
    np.testing.assert_allclose(pairs.eigenvalues, expected, rtol=1e-5)
    weights, rotations = (
        v / np.linalg.norm(v, axis=1, keepdims=True)
        for v in (pairs.eigenvectors[:, :P], model.x_rotations_.T)
    )
    cosines = np.sum(weights * rotations, 1)
    np.testing.assert_allclose(np.abs(cosines), 1, atol=1e-5)


def test_pls_finds_singular_values_of_the_cross_covariance(rows):
    pairs = exact.exact_eigenpairs(problems.pls(P), parts(rows), N, K)
    np.testing.assert_allclose(
        pairs.eigenvalues, np.linalg.svd(covariances(rows)[2], compute_uv=False)[:K], rtol=1e-10
    )


def test_mlr_finds_what_a_linear_regression_explains(rows):
    x, y = rows[:, :P], rows[:, P:]
    pairs = exact.exact_eigenpairs(problems.mlr(P, 1e-12), parts(rows), N, K)
    fitted = x @ np.linalg.lstsq(x, y, rcond=None)[0]
    singular = np.linalg.svd(fitted, compute_uv=False) / np.sqrt(N)
    np.testing.assert_allclose(pairs.eigenvalues, singular[:K], rtol=1e-8)


def test_eigenpairs_of_a_set_stand_for_its_rows(rows, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIENT_DYNAMICS_CACHE", str(tmp_path))
    shifted = rows + np.arange(P + Q)
    components = exact_pca(Dataset(shifted, np.zeros(N, np.int32), 1), P + Q)
    few = exact.representatives(components)
    assert few.shape == (P + Q, P + Q)
    np.testing.assert_allclose(few.T @ few / len(few), rows.T @ rows / N, rtol=1e-9, atol=1e-10)
