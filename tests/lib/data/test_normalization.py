"""Inputs of networks: moments against NumPy, and what they make of images."""

import functools

import numpy as np
import pytest

from lib.data import Dataset, normalization
from lib.data.pipeline import to_signed
from lib.errors import ConfigError


@pytest.fixture
def dataset():
    """Images of two channels with other means and spreads."""
    rng = np.random.default_rng(0)
    image = np.stack([rng.integers(0, 50, (13, 5, 4)), rng.integers(20, 256, (13, 5, 4))], -1)
    return Dataset(image.astype(np.uint8), np.zeros(13, np.int32), 1)


@pytest.mark.parametrize("chunk", [1, 200, 2**24])
def test_moments_are_those_of_all_pixels(dataset, chunk, monkeypatch):
    monkeypatch.setattr(normalization, "_CHUNK", chunk)
    mean, std = normalization.channel_moments(dataset)
    signed = dataset.image.astype(float) / 127.5 - 1
    np.testing.assert_allclose(mean, signed.mean((0, 1, 2)), rtol=1e-13)
    np.testing.assert_allclose(std, signed.std((0, 1, 2)), rtol=1e-13)
    assert abs(mean[0] - mean[1]) > 0.1


def test_standard_images_have_mean_0_and_standard_deviation_1(dataset):
    constants = normalization.constants(
        "standard", functools.partial(normalization.channel_moments, dataset)
    )
    inputs = np.asarray(normalization.apply(constants, to_signed(dataset.image)), float)
    np.testing.assert_allclose(inputs.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(inputs.std((0, 1, 2)), 1, rtol=1e-6)


@pytest.mark.parametrize("name, scale", [("signed", lambda x: x / 127.5 - 1), ("unit", lambda x: x / 255)])
def test_the_other_forms_do_not_read_the_data(dataset, name, scale):
    inputs = normalization.apply(normalization.constants(name, None), to_signed(dataset.image))
    assert inputs.dtype == np.float32
    np.testing.assert_allclose(inputs, scale(dataset.image.astype(float)), rtol=0, atol=2e-7)


def test_a_constant_channel_is_refused(dataset):
    dataset.image[..., 1] = 7
    with pytest.raises(ConfigError, match="^channel 1 of the training images is constant"):
        normalization.constants("standard", functools.partial(normalization.channel_moments, dataset))
