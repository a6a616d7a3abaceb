"""Distances and scores against closed forms, SciPy and TF-GAN."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from eval import distances, tfgan
from eval.distances import Gaussian


def gaussian(x: np.ndarray) -> Gaussian:
    return Gaussian(x.mean(0), np.cov(x.T), len(x))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_frechet_distance_is_the_closed_form_of_two_gaussians(rng):
    """Takes samples with exact moments: m = 0, S = I against m = 2 e_1, S = diag(9, 1, ..)."""
    raw = rng.normal(size=(400, 5))
    white = np.linalg.qr(raw - raw.mean(0))[0] * np.sqrt(399)
    a, b = gaussian(white), gaussian(white * [3, 1, 1, 1, 1] + [2, 0, 0, 0, 0])
    assert distances.frechet_distance(a, b) == pytest.approx(2**2 + (3 - 1) ** 2, rel=1e-12)
    assert distances.frechet_distance(a, a) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("rank", [12, 5])
def test_frechet_distance_is_scipy_s_and_tf_gan_s(rng, rank):
    """Takes covariances of full rank, and some that have none."""
    shape = rng.normal(size=(rank, 12))
    a = gaussian(rng.normal(size=(300, rank)) @ shape)
    b = gaussian(rng.normal(size=(200, rank)) @ shape * 1.5 + 0.5)
    ours = distances.frechet_distance(a, b)
    assert ours == distances.frechet_distance(a, b, distances.square_root(a.covariance))
    assert ours == pytest.approx(tfgan.frechet_distance(a, b), rel=1e-6)
    assert ours > 1
    if rank == 12:
        root = sqrtm(a.covariance @ b.covariance).real
        trace = np.trace(a.covariance + b.covariance - 2 * root)
        assert ours == pytest.approx(((a.mean - b.mean) ** 2).sum() + trace, rel=1e-9)


def test_classifier_score_is_its_definition_and_tf_gan_s(rng):
    logits = rng.normal(size=(50, 4)) * 3
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = np.exp((p * np.log(p / p.mean(0))).sum(1).mean())
    assert distances.classifier_score(logits) == pytest.approx(expected, rel=1e-12)
    assert tfgan.classifier_score(logits.astype(np.float32)) == pytest.approx(expected, rel=1e-5)
    assert expected > 1.5
    certain = np.array([[1e4, 0.0], [0.0, 1e4]])  # no overflow
    assert distances.classifier_score(certain) == pytest.approx(2)


def test_kernel_distance_is_its_definition_in_a_block(rng):
    """Checks the unbiased squared MMD with k(x, y) = (x.y / d + 1)^3."""
    x, y = rng.normal(size=(60, 5)), rng.normal(size=(70, 5)) + 1
    expected = -2 * np.mean([(u @ v / 5 + 1) ** 3 for u in x for v in y])
    for z in (x, y):
        pairs = [(u @ v / 5 + 1) ** 3 for i, u in enumerate(z) for j, v in enumerate(z) if i != j]
        expected += np.mean(pairs)
    assert distances.kernel_distance(x, y) == pytest.approx(expected, rel=1e-12)
    assert expected > 1


@pytest.mark.parametrize(("n", "m"), [(60, 70), (1500, 1200), (2051, 30)])
def test_kernel_distance_is_tf_gan_s(rng, n, m):
    x, y = rng.normal(size=(n, 16)).astype(np.float32), rng.normal(size=(m, 16)).astype(np.float32) + 0.3
    assert distances.kernel_distance(x, y) == pytest.approx(tfgan.kernel_distance(x, y), rel=1e-4)
