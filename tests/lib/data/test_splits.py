"""Slices of splits, by themselves and of every kind of set that is not TFDS's."""

import numpy as np
import pytest

from lib.data import load, splits
from lib.errors import ConfigError

SIZES = {"train": 1030, "test": 7}


@pytest.mark.parametrize(
    "split, expected",
    [
        ("train", ("train", range(1030))),
        ("test", ("test", range(7))),
        ("train[:]", ("train", range(1030))),
        ("train[:1000]", ("train", range(1000))),
        ("train[5:7]", ("train", range(5, 7))),
        ("train[-30:]", ("train", range(1000, 1030))),
        ("train[10%:]", ("train", range(103, 1030))),
        ("train[-10%:]", ("train", range(927, 1030))),
        ("train[25%:-50%]", ("train", range(258, 515))),  # 257.5: the nearest even one, as in TFDS
        ("test[:50%]", ("test", range(4))),
    ],
)
def test_a_slice(split, expected):
    base, rows = splits.parse(split, SIZES, "tiny")
    assert (base, range(SIZES[base])[rows]) == expected


@pytest.mark.parametrize(
    "split", ["valid", "", "train[", "train[5]", "train[a:]", "train+test", "train[:1.5%]"]
)
def test_an_unknown_split_gets_the_known_ones(split):
    with pytest.raises(ConfigError) as error:
        splits.parse(split, SIZES, "tiny")
    expected = f"config.dataset: tiny has no split '{split}'; known: train, test, and slices of them like "
    assert str(error.value) == expected + "train[:1000]"


@pytest.mark.parametrize(
    "split", ["train[:1031]", "train[5:5]", "train[7:5]", "train[-1031:]", "train[:101%]"]
)
def test_an_impossible_slice_gets_the_size(split):
    with pytest.raises(ConfigError) as error:
        splits.parse(split, SIZES, "tiny")
    expected = f"config.dataset: '{split}' of tiny is empty or out of range; train has 1,030 examples"
    assert str(error.value) == expected


@pytest.mark.parametrize("name", ["digits", "ring8", "linear_spectrum", "FILE"])
def test_every_set_has_slices(name, tmp_path):
    if name == "FILE":
        name = str(tmp_path / "x.npy")
        np.save(name, np.arange(2000.0).reshape(1000, 2))
    whole, part = load(name, "train"), load(name, "train[10:30]")
    np.testing.assert_array_equal(part.image, whole.image[10:30])
    np.testing.assert_array_equal(part.label, whole.label[10:30])
    assert (part.size, part.num_classes) == (20, whole.num_classes)
