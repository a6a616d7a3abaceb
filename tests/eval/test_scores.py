"""Scores against closed forms, float64 references and TF-GAN on all activations at once."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from eval import sampling, scores
from eval.tfgan import tfgan_eval
from lib.data import load

rng = np.random.default_rng(0)


def gaussian(x, batches=1):
    """Returns the moments of the rows of x, added in so many batches."""
    moments = scores.FeatureMoments()
    for part in np.array_split(x, batches):
        moments.update(part)
    return moments.gaussian()


@pytest.mark.parametrize("batches", [1, 7])
def test_moments_of_batches_are_those_of_all_even_far_from_zero(batches):
    x = rng.normal(size=(400, 6)) @ rng.normal(size=(6, 6)) + 1e6
    result = gaussian(x, batches)
    np.testing.assert_allclose(result.mean, x.mean(0), rtol=1e-14)
    np.testing.assert_allclose(result.covariance, np.cov(x.T), rtol=1e-8)
    assert result.n == 400


def test_frechet_distance_is_the_closed_form_of_two_gaussians():
    """Takes samples with exact moments: m = 0, S = I against m = 2 e_1, S = diag(9, 1, ..)."""
    raw = rng.normal(size=(400, 5))
    white = np.linalg.qr(raw - raw.mean(0))[0] * np.sqrt(399)
    other = white * [3, 1, 1, 1, 1] + [2, 0, 0, 0, 0]
    distance = scores.frechet_distance(gaussian(white), gaussian(other))
    assert distance == pytest.approx(2**2 + (3 - 1) ** 2, rel=1e-9)
    assert scores.frechet_distance(gaussian(white), gaussian(white)) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_is_tf_gan_s_and_a_float64_reference_s():
    a, b = rng.normal(size=(300, 8)), rng.normal(size=(200, 8)) @ rng.normal(size=(8, 8)) + 0.5
    ours = scores.frechet_distance(gaussian(a), gaussian(b))
    root = sqrtm(np.cov(a.T) @ np.cov(b.T)).real
    reference = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root)
    assert ours == pytest.approx(reference, rel=1e-9)
    assert ours == pytest.approx(
        float(tfgan_eval().frechet_classifier_distance_from_activations(a, b)), rel=1e-9
    )
    assert ours > 1


def test_classifier_score_against_its_definition():
    logits = rng.normal(size=(50, 4)) * 3
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    kl = (p * np.log(p / p.mean(0))).sum(1)
    assert scores.classifier_score(logits.astype(np.float32)) == pytest.approx(np.exp(kl.mean()), rel=1e-5)
    assert np.exp(kl.mean()) > 1.5


def test_kernel_distance_against_its_definition():
    """Checks the unbiased squared MMD with k(x, y) = (x.y / d + 1)^3."""
    x, y = rng.normal(size=(60, 5)), rng.normal(size=(60, 5)) + 1
    xx, yy, xy = ((a @ b.T / 5 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    unbiased = sum((k.sum() - np.trace(k)) / (60 * 59) for k in (xx, yy))
    expected = unbiased - 2 * xy.mean()
    assert scores.kernel_distance(x, y) == pytest.approx(expected, rel=1e-4)
    assert expected > 1


def test_mean_and_spread_over_splits():
    result = scores.over_splits([{"a": 1.0}, {"a": 3.0}])
    assert result == {"a": 2.0, "a_std": pytest.approx(np.sqrt(2))}
    assert scores.over_splits([{"a": 1.0}]) == {"a": 1.0, "a_std": 0.0}


def test_real_against_real_falls_with_the_number_of_images():
    """Takes pixels as features: the distance's bias falls with the number of images, and noise is far."""

    def distance(batches):
        ours = scores.Scores(reference)
        for images in batches:
            ours.update(images[:, 0, :5, 0], images.reshape(len(images), -1))
        return ours.values()["frechet"]

    held_out, train = load("digits", "test"), load("digits", "train")
    pixels = np.concatenate(list(sampling.real(held_out, 297, 100, seed=0))).reshape(297, -1)
    reference = scores.Reference(gaussian(pixels), pixels[:50])
    distances = [distance(sampling.real(train, n, 100, seed=1)) for n in (70, 300, 1200)]
    assert distances[0] > 1.5 * distances[1] > 1.5 * distances[2] > 0
    assert distance(sampling.noise((8, 8, 1), 1200, 100, seed=1)) > 10 * distances[0]
