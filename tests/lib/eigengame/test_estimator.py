"""The estimator: scikit-learn's own checks, its exact PCA as the oracle, streams, and refusals."""

import pickle

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from lib.eigengame import estimator
from lib.eigengame.estimator import SPHERE_RULES, EigenGamePCA

K = 8


@parametrize_with_checks([EigenGamePCA(random_state=0)])
def test_is_a_transformer_as_scikit_learn_understands_it(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits():
    return load_digits().data


@pytest.fixture(scope="module")
def exact(digits):
    return PCA(K, svd_solver="full").fit(digits)


@pytest.fixture(scope="module")
def fitted(digits):
    return EigenGamePCA(K, random_state=0).fit(digits)


def angles(components, exact):
    """Returns the angles between rows, in radians, [k], whatever the signs."""
    near = exact * np.sign(np.sum(components * exact, 1, keepdims=True))
    return 2 * np.arcsin(np.minimum(np.linalg.norm(components - near, axis=1) / 2, 1))


@pytest.mark.parametrize("dtype", (np.float64, np.float32))
@pytest.mark.parametrize("rule", SPHERE_RULES)
def test_equals_exact_pca_with_its_signs(rule, dtype, digits, exact):
    before = jax.config.jax_enable_x64
    model = EigenGamePCA(K, rule=rule, random_state=0).fit(digits.astype(dtype))
    assert jax.config.jax_enable_x64 == before
    for name in ("components_", "explained_variance_", "mean_"):
        assert getattr(model, name).dtype == dtype
    assert 1 < model.n_iter_ < model.max_iter
    assert angles(model.components_, exact.components_).max() < 2e-3
    assert np.sum(model.components_ * exact.components_, 1).min() > 0.99  # the signs, too
    np.testing.assert_allclose(model.components_ @ model.components_.T, np.eye(K), atol=2e-6)
    np.testing.assert_allclose(model.explained_variance_, exact.explained_variance_, rtol=2e-6)
    np.testing.assert_allclose(model.explained_variance_ratio_, exact.explained_variance_ratio_, rtol=2e-6)
    np.testing.assert_allclose(model.mean_, exact.mean_, rtol=1e-6)


def test_a_smaller_tolerance_gives_what_float64_can(digits, exact):
    model = EigenGamePCA(K, tol=1e-10, random_state=0).fit(digits)
    assert angles(model.components_, exact.components_).max() < 1e-8
    np.testing.assert_allclose(model.explained_variance_, exact.explained_variance_, rtol=1e-12)


@pytest.mark.parametrize("scale", (1e4, 1e-9))
def test_the_unit_of_the_data_does_not_matter(scale, digits, fitted):
    scaled = EigenGamePCA(K, random_state=0).fit(scale * digits)
    assert scaled.n_iter_ == fitted.n_iter_
    np.testing.assert_allclose(scaled.components_, fitted.components_, atol=1e-9)
    np.testing.assert_allclose(scaled.explained_variance_, scale**2 * fitted.explained_variance_, rtol=1e-9)


@pytest.mark.parametrize("rule", SPHERE_RULES)
def test_an_eigenvalue_far_below_the_first_is_found_too(rule):
    eigenvalues = np.array([1e4, 1e2, 1.0, 1e-2])
    rows = np.random.default_rng(0).standard_normal((400, 4)) * np.sqrt(eigenvalues)
    model = EigenGamePCA(rule=rule, random_state=0).fit(rows)
    exact_fit = PCA().fit(rows)
    assert model.n_iter_ < 200
    assert angles(model.components_, exact_fit.components_).max() < 1e-3
    np.testing.assert_allclose(model.explained_variance_, exact_fit.explained_variance_, rtol=1e-3)


@pytest.mark.parametrize("rule, dtype", zip(SPHERE_RULES, (np.float64, np.float32), strict=True))
def test_components_beyond_the_rank_are_orthonormal_and_explain_nothing(rule, dtype):
    r = np.random.default_rng(0)
    rows = (r.standard_normal((400, 2)) @ r.standard_normal((2, 4))).astype(dtype)
    model = EigenGamePCA(4, rule=rule, random_state=0).fit(rows)
    assert model.n_iter_ < 200
    np.testing.assert_allclose(model.components_ @ model.components_.T, np.eye(4), atol=1e-6)
    assert model.explained_variance_[1] > 0.1
    assert model.explained_variance_[2:].max() < 1e-6 * model.explained_variance_[1]


def test_data_without_variance_explain_nothing():
    model = EigenGamePCA(2, random_state=0).fit(np.ones((20, 4)))
    np.testing.assert_array_equal(model.explained_variance_ratio_, 0)
    np.testing.assert_allclose(model.components_ @ model.components_.T, np.eye(2), atol=1e-12)


@pytest.mark.parametrize("rule", SPHERE_RULES)
def test_batches_that_are_parts_of_the_data(rule, digits, exact):
    model = EigenGamePCA(K, rule=rule, batch_size=128, tol=2e-2, random_state=0).fit(digits)
    assert angles(model.components_, exact.components_).max() < 0.1
    np.testing.assert_allclose(model.explained_variance_, exact.explained_variance_, rtol=1e-3)


@pytest.fixture(scope="module")
def stream():
    """Returns rows with eigenvalues 16, 8, 4, ... along the axes of a random basis."""
    r = np.random.default_rng(0)
    basis, _ = np.linalg.qr(r.standard_normal((10, 10)))
    return r.standard_normal((40_000, 10)) * 2.0 ** np.linspace(2, -2.5, 10) @ basis + 3


def test_a_stream_seen_once_approaches_exact_pca(stream):
    model = EigenGamePCA(3, random_state=0)
    exact_fit = PCA(3).fit(stream)
    errors = []
    for chunk in np.split(stream, 400):
        model.partial_fit(chunk)
        errors.append(angles(model.components_, exact_fit.components_).max())
    assert errors[10] > 0.05 > errors[-1]
    assert model.n_samples_seen_ == len(stream)
    np.testing.assert_allclose(model.mean_, stream.mean(0), rtol=1e-12)
    np.testing.assert_allclose(model.explained_variance_, exact_fit.explained_variance_, rtol=2e-2)
    np.testing.assert_allclose(
        model.explained_variance_ratio_, exact_fit.explained_variance_ratio_, rtol=2e-2
    )


def test_chunks_of_one_shape_compile_once(stream):
    model = EigenGamePCA(3, random_state=0).partial_fit(stream[:77])
    compiled = estimator._advance._cache_size()
    assert compiled > 0
    for chunk in np.split(stream[77 : 77 * 4], 3):
        model.partial_fit(chunk)
    assert estimator._advance._cache_size() == compiled


def test_partial_fit_goes_on_after_fit_and_through_a_pickle(stream):
    model = EigenGamePCA(3, random_state=0).fit(stream[:1000])
    restored = pickle.loads(pickle.dumps(model))
    for one in (model, restored):
        one.partial_fit(stream[1000:1100])
    assert model.n_samples_seen_ == 1100
    np.testing.assert_allclose(model.mean_, stream[:1100].mean(0), rtol=1e-12)
    np.testing.assert_array_equal(restored.components_, model.components_)
    exact_fit = PCA(3).fit(stream[:1100])
    assert angles(model.components_, exact_fit.components_).max() < 0.1


def test_transform_and_back(digits, fitted):
    coordinates = fitted.transform(digits)
    assert coordinates.shape == (len(digits), K)
    np.testing.assert_allclose(coordinates.mean(0), 0, atol=1e-10)
    np.testing.assert_allclose(coordinates.var(0, ddof=1), fitted.explained_variance_, rtol=1e-10)
    back = fitted.inverse_transform(coordinates)
    left = digits - back
    assert np.abs(left).max() > 1
    np.testing.assert_allclose(left @ fitted.components_.T, 0, atol=1e-9)
    again = EigenGamePCA(K, random_state=0).fit_transform(digits)
    np.testing.assert_array_equal(again, coordinates)
    names = fitted.get_feature_names_out()
    assert list(names[:2]) == ["eigengamepca0", "eigengamepca1"] and len(names) == K


def test_all_components_lose_nothing():
    rows = np.random.default_rng(1).standard_normal((400, 4)) @ np.diag([3.0, 2.0, 1.0, 0.5])
    whole = EigenGamePCA(random_state=0).fit(rows)
    np.testing.assert_allclose(whole.inverse_transform(whole.transform(rows)), rows, atol=1e-11)
    assert whole.explained_variance_ratio_.sum() == pytest.approx(1, rel=1e-12)


def test_warns_where_epochs_run_out(digits):
    with pytest.warns(ConvergenceWarning, match="max_iter=3"):
        model = EigenGamePCA(K, max_iter=3, random_state=0).fit(digits)
    assert model.n_iter_ == 3


@pytest.mark.parametrize(
    "parameters, error, text",
    [
        ({"n_components": 7}, ValueError, "at most min"),
        ({"n_components": 0}, ValueError, "n_components == 0"),
        ({"n_components": 0.5}, TypeError, "n_components"),
        ({"rule": "mo"}, ValueError, "unknown name 'mo'"),
        ({"learning_rate": 0}, ValueError, "learning_rate == 0"),
        ({"momentum": 1}, ValueError, "momentum == 1"),
        ({"decay": -1}, ValueError, "decay == -1"),
        ({"batch_size": 0}, ValueError, "batch_size == 0"),
        ({"max_iter": 0}, ValueError, "max_iter == 0"),
        ({"tol": -1}, ValueError, "tol == -1"),
    ],
)
def test_refuses_parameters(parameters, error, text):
    with pytest.raises(error, match=text):
        EigenGamePCA(**parameters).fit(np.eye(6))


def test_refuses_data():
    rows = np.random.default_rng(0).standard_normal((20, 4))
    model = EigenGamePCA(2, random_state=0).fit(rows)
    for bad in (rows[0], np.where(rows > 1, np.nan, rows), rows[:1], np.empty((0, 4))):
        with pytest.raises(ValueError):
            EigenGamePCA(2).fit(bad)
    with pytest.raises(ValueError, match="4 features"):
        model.partial_fit(rows[:, :3])
    with pytest.raises(ValueError, match="3 columns"):
        model.inverse_transform(rows[:, :3])
    with pytest.raises(ValueError, match="at most n_features=4"):
        EigenGamePCA(5).partial_fit(rows)
    with pytest.raises(ValueError, match="too large for float32"):
        EigenGamePCA(2).fit((1e30 * rows).astype(np.float32))
    with pytest.raises(NotFittedError):
        EigenGamePCA(2).transform(rows)
