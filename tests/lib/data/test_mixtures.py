"""Mixtures of Gaussians in the plane."""

import numpy as np
import pytest

from lib.data import DataSpec, load
from lib.data.mixtures import MIXTURES
from lib.errors import ConfigError

SIZES = {"train": 100_000, "test": 10_000}
MODES = {"ring8": 8, "grid16": 16}


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("split", SIZES)
def test_points_are_of_their_mode_s_gaussian(name, split):
    data = load(name, split)
    assert (data.size, data.image.shape, data.image_shape) == (SIZES[split], (SIZES[split], 2), (2,))
    assert (data.image.dtype, data.label.dtype, data.num_classes) == (np.float32, np.int32, MODES[name])
    counts = np.bincount(data.label, minlength=MODES[name])
    np.testing.assert_allclose(counts, data.size / MODES[name], rtol=0.15)
    noise = (data.image - np.asarray(data.mixture.means)[data.label]) / data.mixture.std
    assert np.abs(noise.mean(0)).max() < 4 / np.sqrt(data.size)
    np.testing.assert_allclose(np.cov(noise.T), np.eye(2), atol=5 / np.sqrt(data.size))


def test_the_means():
    ring, grid = np.asarray(MIXTURES["ring8"].means), np.asarray(MIXTURES["grid16"].means)
    np.testing.assert_allclose(np.hypot(*ring.T), 2, rtol=1e-12)
    distances = np.linalg.norm(ring[:, None] - ring, axis=-1)
    np.testing.assert_allclose(np.sort(distances, 1)[:, 1:3], 4 * np.sin(np.pi / 8), rtol=1e-12)
    assert {tuple(m) for m in grid} == {(x / 2, y / 2) for x in (-3, -1, 1, 3) for y in (-3, -1, 1, 3)}


def test_a_split_is_always_the_same_and_shares_no_noise_with_the_other():
    first, second, test = load("ring8", "train"), load("ring8", "train"), load("ring8", "test")
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.label, second.label)
    assert not set(map(tuple, test.image)) & set(map(tuple, first.image))


def test_the_spec_tells_the_mixture():
    assert DataSpec.of(load("grid16", "train")) == DataSpec((2,), 16, 100_000, MIXTURES["grid16"])


def test_an_unknown_split_is_an_error_that_names_the_known_ones():
    with pytest.raises(ConfigError) as error:
        load("ring8", "valid")
    assert str(error.value).startswith("config.dataset: ring8 has no split 'valid'; known: train, test, ")
