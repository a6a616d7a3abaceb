"""Mixtures of independent sources: moments, splits, and refusals."""

import numpy as np
import pytest

from lib.data import load, sources
from lib.errors import ConfigError


def test_sources_are_independent_with_the_kurtosis_that_is_said():
    unmixed = load(sources.NAME, "train").image @ np.linalg.inv(sources.mixing(sources.Arguments())).T
    np.testing.assert_allclose(np.cov(unmixed.T), np.eye(8), atol=0.02)
    kurtosis = (unmixed**4).mean(0) - 3
    np.testing.assert_allclose(kurtosis, [3.0] * 4 + [-1.2] * 4, atol=0.25)
    lengths = np.linalg.norm(sources.mixing(sources.Arguments()), axis=0)
    np.testing.assert_allclose(lengths, [2, 5 / 3, 4 / 3, 1] * 2)


def test_splits_share_the_mixing_matrix_alone():
    train, test = (load(sources.NAME, split, kwargs={"d": 3}).image for split in ("train", "test"))
    assert train.shape == (100_000, 3) and test.shape == (10_000, 3)
    assert np.abs(train[:10_000] - test).max() > 1
    np.testing.assert_allclose(np.cov(train.T), np.cov(test.T), atol=0.2)
    other = load(sources.NAME, "train", kwargs={"d": 3, "seed": 1}).image
    assert np.abs(other - train).max() > 1
    np.testing.assert_array_equal(load(sources.NAME, "train[:5]", kwargs={"d": 3}).image, train[:5])


@pytest.mark.parametrize(
    ("split", "kwargs", "text"),
    [("validation", {}, "validation"), ("train", {"d": 1}, "d: "), ("train", {"e": 1}, "e: ")],
)
def test_what_is_none_is_refused(split, kwargs, text):
    with pytest.raises(ConfigError, match=text):
        load(sources.NAME, split, kwargs=kwargs)
