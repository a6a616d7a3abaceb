"""Examples that are held out of training."""

import numpy as np
import pytest

from lib.data import Dataset, load_split
from lib.data.loading import hold_out
from lib.errors import ConfigError
from lib.schema import DatasetSection


def numbered(n: int) -> Dataset:
    """Returns n points whose labels are their numbers."""
    image = np.arange(n * 6, dtype=np.float32).reshape(n, 6)
    return Dataset(image, np.arange(n, dtype=np.int32), n)


def section(name: str = "digits", **fields) -> DatasetSection:
    """Returns a config's section of data with 300 examples held out."""
    known = {
        "train_split": "train",
        "eval_split": "validation",
        "validation_size": 300,
        "validation_seed": 0,
    }
    return DatasetSection(name=name, kwargs={}, data_dir="", device_limit_gb=4.0, **(known | fields))


@pytest.mark.parametrize("n", [1, 30, 99])
def test_every_example_is_in_one_of_the_two_parts(n):
    parts = hold_out(numbered(100), n, seed=3)
    assert [part.size for part in parts] == [100 - n, n]
    np.testing.assert_array_equal(np.sort(np.concatenate([p.label for p in parts])), np.arange(100))
    for part in parts:
        assert (np.diff(part.label) > 0).all()
        np.testing.assert_array_equal(np.asarray(part.image), numbered(100).image[part.label])


def test_which_ones_depends_on_the_seed_alone():
    one, again, other = (hold_out(numbered(100), 30, seed)[1].label for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    shared = len(np.intersect1d(one, other))
    assert 0 < shared < 25  # 9 are to be expected


@pytest.mark.parametrize("n", [100, 101])
def test_something_must_be_left(n):
    with pytest.raises(ConfigError) as error:
        hold_out(numbered(100), n, 0)
    assert str(error.value) == (
        f"config.dataset.validation_size: {n} leaves nothing of the 100 training examples; use at most 99"
    )


@pytest.mark.parametrize("name", ["digits", "ring8", "linear_spectrum", "FILE"])
def test_every_set_has_validation_examples(name, tmp_path):
    if name == "FILE":
        name = str(tmp_path / "x.npy")
        np.save(name, np.random.default_rng(0).normal(size=(1000, 2)))
    whole = load_split(section(name, validation_size=0), "train")
    train, held_out = (load_split(section(name), split) for split in ("train", "validation"))
    assert (train.size, held_out.size) == (whole.size - 300, 300)
    rows = {row.tobytes() for row in np.asarray(whole.image)}
    parts = [{row.tobytes() for row in np.asarray(part.image)} for part in (train, held_out)]
    assert parts[0] | parts[1] == rows
    assert len(parts[0] & parts[1]) <= whole.size - len(rows)
    assert (train.source, held_out.source) == (whole.source, None)
    assert train.mixture == held_out.mixture == whole.mixture


def test_they_are_of_the_slice_that_is_trained_on():
    labels = load_split(section(validation_size=0), "train[:400]").label
    parts = [
        load_split(section(train_split="train[:400]"), split) for split in ("train[:400]", "validation")
    ]
    assert [part.size for part in parts] == [100, 300]
    np.testing.assert_array_equal(np.sort(np.concatenate([p.label for p in parts])), np.sort(labels))


def test_test_examples_are_whole_and_validation_needs_a_size():
    assert load_split(section(), "test").size == 297
    with pytest.raises(ConfigError) as error:
        load_split(section(validation_size=0), "validation")
    assert str(error.value) == (
        "config.dataset: digits has no split 'validation'; known: train, test, and slices of them like "
        "train[:1000]; or hold some out: config.dataset.validation_size"
    )
