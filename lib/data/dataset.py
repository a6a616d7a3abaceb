"""A set of labelled images or points in memory (or memory-mapped), by name."""

from typing import NamedTuple

import numpy as np

from lib.data import digits, gaussians, tfds_images
from lib.data.gaussians import Mixture


class Dataset(NamedTuple):
    """One split.

    Attributes:
      image: uint8 [n, h, w, c], or float32 points [n, d]. May be a memory map.
      label: int32 [n].
      num_classes: labels are 0 .. num_classes - 1.
      mixture: what the points are drawn from, where that is known.
    """

    image: np.ndarray
    label: np.ndarray
    num_classes: int
    mixture: Mixture | None = None

    @property
    def size(self) -> int:
        return len(self.label)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(h, w, c), or (d,) of points."""
        return self.image.shape[1:]


class DataSpec(NamedTuple):
    """What an experiment may know of its data when it is built.

    Attributes:
      image_shape: (h, w, c), or (d,) of points.
      num_classes: labels are 0 .. num_classes - 1.
      train_size: examples in the training split.
      mixture: what the points are drawn from, where that is known.
    """

    image_shape: tuple[int, ...]
    num_classes: int
    train_size: int
    mixture: Mixture | None = None

    @classmethod
    def of(cls, train: Dataset) -> "DataSpec":
        return cls(train.image_shape, train.num_classes, train.size, train.mixture)


def load(name: str, split: str, data_dir: str = "") -> Dataset:
    """Loads one split of `digits` or a mixture of Gaussians (built in), or of any TFDS image set.

    Raises:
      lib.config.ConfigError: unknown name or split, or data that is not prepared here.
    """
    if name == "digits":
        return Dataset(*digits.load(split))
    if mixture := gaussians.MIXTURES.get(name):
        return Dataset(*gaussians.load(name, split), len(mixture.means), mixture)
    return Dataset(*tfds_images.load(name, split, data_dir))
