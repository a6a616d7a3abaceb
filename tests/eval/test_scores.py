"""Scores against closed forms, float64 references and TF-GAN on all activations at once."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from eval import reference_cache, sampling, scores
from eval.networks.network import Network, prefixed
from eval.tfgan import tfgan_eval
from lib.data import Dataset

rng = np.random.default_rng(0)


def gaussian(x, batches=1):
    moments = scores.Moments()
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
    """Samples with exact moments: m = 0, S = I against m = 2 e_1, S = diag(9, 1, ..)."""
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
    """Unbiased squared MMD with k(x, y) = (x.y / d + 1)^3."""
    x, y = rng.normal(size=(60, 5)), rng.normal(size=(60, 5)) + 1
    k = lambda a, b: (a @ b.T / 5 + 1) ** 3
    off = lambda m: (m.sum() - np.trace(m)) / (60 * 59)
    expected = off(k(x, x)) + off(k(y, y)) - 2 * k(x, y).mean()
    assert scores.kernel_distance(x, y) == pytest.approx(expected, rel=1e-4)
    assert expected > 1


def test_mean_and_spread():
    result = scores.mean_and_spread([{"a": 1.0}, {"a": 3.0}])
    assert result == {"a": 2.0, "a_std": pytest.approx(np.sqrt(2))}
    assert scores.mean_and_spread([{"a": 1.0}]) == {"a": 1.0, "a_std": 0.0}


def test_parts_cut_a_stream_anywhere():
    batches = np.split(np.arange(11), [4, 8])
    pieces = list(sampling.parts(batches, 5))
    for number, expected in enumerate((range(5), range(5, 10), range(10, 11))):
        np.testing.assert_array_equal(np.concatenate([b for i, b in pieces if i == number]), list(expected))


def tiny_network(checksum="a"):
    apply = lambda images: (images.reshape(len(images), -1)[:, :3], images.reshape(len(images), -1))
    return Network("tiny", checksum, "none", apply, prefixed("tiny"))


def test_statistics_are_cached_by_all_that_they_depend_on(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIENT_DYNAMICS_CACHE", str(tmp_path))
    image = rng.integers(0, 256, (30, 2, 2, 1), np.uint8)
    data = Dataset(image, np.zeros(30, np.int32), 10)
    made = reference_cache.reference(data, tiny_network(), 10, 7)
    assert made.gaussian.n == 30
    assert made.features.shape == (10, 4)

    def refuse(*args):
        raise AssertionError("computed again")

    again = reference_cache.reference(data, tiny_network()._replace(apply=refuse), 10, 7)
    np.testing.assert_array_equal(again.gaussian.covariance, made.gaussian.covariance)
    np.testing.assert_array_equal(again.features, made.features)
    others = [
        (data._replace(image=255 - image), tiny_network(), 10),
        (data, tiny_network("b"), 10),
        (data, tiny_network()._replace(resize="bilinear"), 10),
        (data, tiny_network(), 11),
    ]
    for other, network, kernel_samples in others:
        with pytest.raises(AssertionError, match="computed again"):
            reference_cache.reference(other, network._replace(apply=refuse), kernel_samples, 7)
