"""Data by name: a split of a set, and the splits of a config, some examples held out of training."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from lib import schema
from lib.config import validate
from lib.data import digits, gaussian, image_folder, matrix, mixtures, sentence_pairs, sources, tfds_images
from lib.data.dataset import Dataset, unlabelled
from lib.errors import ConfigError
from lib.runtime import streams

NOTHING = "none"  # the name of the set of experiments that read no data
VALIDATION = "validation"  # the name of the split of held-out examples


class Splits(NamedTuple):
    """The data of a run.

    Attributes:
      train: what it trains on.
      held_out: what it is evaluated on.
    """

    train: Dataset
    held_out: Dataset


def load(name: str, split: str, data_dir: str = "", kwargs: Mapping[str, Any] | None = None) -> Dataset:
    """Loads one split of a set.

    Args:
      name: of a built-in set, of a matrix's file, of a folder of images, of any TFDS image set, or NOTHING:
        one example without meaning.
      split: train or test, or what TFDS knows; also slices like `train[:1000]`.
      data_dir: of TFDS; empty for TFDS_DATA_DIR or TFDS's own default.
      kwargs: of a spectrum, of mixed sources, of a folder of images or of a TFDS set; other sets take none.

    Raises:
      ConfigError: unknown name, split or argument, or data that is not prepared here.
    """
    if name in gaussian.SPECTRA:
        return gaussian.load(
            name, split, validate(gaussian.Arguments, kwargs or {}, "config.dataset.kwargs")
        )
    if name == sources.NAME:
        return sources.load(split, validate(sources.Arguments, kwargs or {}, "config.dataset.kwargs"))
    if sentence_pairs.is_one(name):
        arguments = validate(sentence_pairs.Arguments, kwargs or {}, "config.dataset.kwargs")
        return sentence_pairs.load(name, split, data_dir, arguments)
    if kwargs and _takes_no_arguments(name):
        raise ConfigError(
            f"'{name}' takes no arguments; leave it out (only "
            f"{', '.join([*gaussian.SPECTRA, sources.NAME])}, folders of images and TFDS's sets take some)",
            f"config.dataset.kwargs.{next(iter(kwargs))}",
        )
    if name == NOTHING:
        return unlabelled(np.zeros((1, 1), np.float32), name)
    if name == digits.NAME:
        return digits.load(split)
    if name in mixtures.MIXTURES:
        return mixtures.load(name, split)
    if matrix.is_matrix(name):
        return matrix.load(name, split)
    if image_folder.is_folder(name):
        return image_folder.load(name, split, kwargs)
    return tfds_images.load(name, split, data_dir, kwargs)


def _takes_no_arguments(name: str) -> bool:
    """Tells whether a name is that of a set without arguments."""
    return name in (NOTHING, digits.NAME, *mixtures.MIXTURES) or matrix.is_matrix(name)


def load_splits(section: schema.DatasetSection) -> Splits:
    """Loads the splits of a config.

    Raises:
      ConfigError: see `load_split`.
    """
    if section.validation_size and section.eval_split == VALIDATION:  # one whole set, divided once
        whole = load(section.name, section.train_split, section.data_dir, section.kwargs)
        return Splits(*hold_out(whole, section.validation_size, section.validation_seed))
    return Splits(load_split(section, section.train_split), load_split(section, section.eval_split))


def load_split(section: schema.DatasetSection, split: str) -> Dataset:
    """Loads one split of a config: `train_split` without what is held out of it, which is `validation`.

    Raises:
      ConfigError: see `load`; or so many examples cannot be held out, or none are.
    """
    n, train_split = section.validation_size, section.train_split
    if n and split in (train_split, VALIDATION):
        whole = load(section.name, train_split, section.data_dir, section.kwargs)
        return hold_out(whole, n, section.validation_seed)[split == VALIDATION]
    try:
        return load(section.name, split, section.data_dir, section.kwargs)
    except ConfigError as error:
        if split != VALIDATION:
            raise
        text = f"{error.message}; or hold some out: config.dataset.validation_size"
        raise ConfigError(text, error.field) from error


def hold_out(train: Dataset, n: int, seed: int) -> tuple[Dataset, Dataset]:
    """Splits off n validation examples, chosen at random; both parts keep the set's order.

    Where training draws points without end, it goes on to; the validation examples are of its fixed sample.

    Returns:
      (the training examples that are left, the validation examples).

    Raises:
      ConfigError: no example would be left.
    """
    if n >= train.size:
        raise ConfigError(
            f"{n:,} leaves nothing of the {train.size:,} training examples; use at most {train.size - 1:,}",
            "config.dataset.validation_size",
        )
    held_out = np.zeros(train.size, bool)
    held_out[streams.hold_out_generator(seed).permutation(train.size)[:n]] = True
    kept, validation = (train.take(np.flatnonzero(mask)) for mask in (~held_out, held_out))
    return kept, validation._replace(source=None)
