"""scikit-learn's digits."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from lib.data import DataSpec, digits, load
from lib.errors import ConfigError

SIZES = {"train": 1500, "test": 297}


@pytest.mark.parametrize("split", SIZES)
def test_a_split_has_its_size_types_range_and_all_classes(split):
    data = load("digits", split)
    assert data.size == SIZES[split]
    assert data.image.shape == (SIZES[split], 8, 8, 1)
    assert data.label.shape == (SIZES[split],)
    assert data.image.dtype == np.uint8
    assert data.label.dtype == np.int32
    assert (data.image.min(), data.image.max()) == (0, 255)
    assert data.num_classes == 10
    assert set(data.label) == set(range(10))


def rows(image, label) -> list[tuple]:
    """Returns (label, pixels) of every image, sorted."""
    return sorted((int(y), *x.ravel().tolist()) for x, y in zip(image, label, strict=True))


def test_the_splits_are_disjoint_and_together_the_whole_set():
    whole = load_digits()
    ours = [load("digits", split) for split in SIZES]

    # All images of the whole set differ, so that equal multisets mean that the splits share none.
    expected = rows(np.round(whole.images * 255 / 16).astype(np.uint8), whole.target)
    assert len(set(expected)) == len(expected) == 1797
    both = rows(np.concatenate([d.image for d in ours]), np.concatenate([d.label for d in ours]))
    assert both == expected


def test_the_file_is_read_as_scikit_learn_reads_it():
    pixels, labels = digits._read()
    whole = load_digits()
    np.testing.assert_array_equal(pixels, whole.images)
    np.testing.assert_array_equal(labels, whole.target)
    assert labels.dtype == np.int32


def test_a_split_is_always_the_same():
    first, second = load("digits", "train"), load("digits", "train")
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.label, second.label)


def test_the_spec_of_the_training_split():
    assert DataSpec.of(load("digits", "train")) == DataSpec((8, 8, 1), 10, 1500)


def test_an_unknown_split_is_an_error_that_names_the_known_ones():
    with pytest.raises(ConfigError) as error:
        load("digits", "valid")
    assert str(error.value).startswith("config.dataset: digits has no split 'valid'; known: train, test, ")
