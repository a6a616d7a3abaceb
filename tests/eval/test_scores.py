"""Moments and scores of images that come in batches."""

import numpy as np
import pytest

from eval import sampling, scores
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


def test_mean_and_spread_over_splits():
    result = scores.over_splits([{"a": 1.0}, {"a": 3.0}])
    assert result == {"a": 2.0, "a_std": pytest.approx(np.sqrt(2))}
    assert scores.over_splits([{"a": 1.0}]) == {"a": 1.0, "a_std": 0.0}


def test_real_against_real_falls_with_the_number_of_images():
    """Takes pixels as features: the distance's bias falls with the number of images, and noise is far."""

    def distance(batches):
        ours = scores.Scores(reference, kernel_samples=50, neighbours=5)
        for images in batches:
            ours.update(images[:, 0, :5, 0], images.reshape(len(images), -1))
        return ours.values()["frechet"]

    held_out, train = load("digits", "test"), load("digits", "train")
    pixels = np.concatenate(list(sampling.real(held_out, 297, 100, seed=0))).reshape(297, -1)
    reference = scores.Reference(gaussian(pixels), pixels[:50])
    distances = [distance(sampling.real(train, n, 100, seed=1)) for n in (70, 300, 1200)]
    assert distances[0] > 1.5 * distances[1] > 1.5 * distances[2] > 0
    assert distance(sampling.noise((8, 8, 1), 1200, 100, seed=1)) > 10 * distances[0]
