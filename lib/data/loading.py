"""The splits that a config names: what a run trains on, and what it is evaluated on."""

import functools
from typing import NamedTuple

from lib import schema
from lib.data import validation
from lib.data.dataset import Dataset, load
from lib.errors import ConfigError


class Splits(NamedTuple):
    """The data of a run.

    Attributes:
      train: what it trains on.
      held_out: what it is evaluated on.
    """

    train: Dataset
    held_out: Dataset


def load_split(section: schema.Dataset, split: str) -> Dataset:
    """Loads one split: `train_split` is without what is held out of it, which is `validation`.

    Raises:
      ConfigError: see `lib.data.load`; or so many examples cannot be held out, or none are.
    """
    load_named = functools.partial(load, section.name, data_dir=section.data_dir, kwargs=section.kwargs)
    n = section.validation_size
    if n and split in (section.train_split, validation.SPLIT):
        parts = validation.hold_out(load_named(section.train_split), n, section.validation_seed)
        return parts[split == validation.SPLIT]
    try:
        return load_named(split)
    except ConfigError as error:
        if split != validation.SPLIT:
            raise
        raise ConfigError(f"{error}; or hold some out: config.dataset.validation_size") from error
