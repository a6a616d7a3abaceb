"""An image-classification set in memory (or memory-mapped), by name."""

from typing import NamedTuple

import numpy as np

from lib.data import digits, tfds_images


class Dataset(NamedTuple):
    """One split.

    Attributes:
      image: uint8 [n, h, w, c]. May be a memory map.
      label: int32 [n].
      num_classes: labels are 0 .. num_classes - 1.
    """

    image: np.ndarray
    label: np.ndarray
    num_classes: int

    @property
    def size(self) -> int:
        return len(self.label)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c)."""
        return self.image.shape[1:]


class DataSpec(NamedTuple):
    """What an experiment may know of its data when it is built.

    Attributes:
      image_shape: (h, w, c).
      num_classes: labels are 0 .. num_classes - 1.
      train_size: examples in the training split.
    """

    image_shape: tuple[int, int, int]
    num_classes: int
    train_size: int

    @classmethod
    def of(cls, train: Dataset) -> "DataSpec":
        return cls(train.image_shape, train.num_classes, train.size)


def load(name: str, split: str, data_dir: str = "") -> Dataset:
    """Loads one split of `digits` (built in) or of any TFDS image-classification set.

    Raises:
      lib.config.ConfigError: unknown name or split, or data that is not prepared here.
    """
    if name == "digits":
        return Dataset(*digits.load(split))
    return Dataset(*tfds_images.load(name, split, data_dir))
