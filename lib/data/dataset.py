"""A set of labelled images or points in memory (or memory-mapped), by name."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from lib.config import validate
from lib.data import digits, gaussian, matrix, mixtures, tfds_images
from lib.data.gaussian import Normal
from lib.data.mixtures import Mixture
from lib.data.rows import Rows
from lib.errors import ConfigError

NOTHING = "none"  # the name of the set of experiments that read no data


class Dataset(NamedTuple):
    """One split.

    Attributes:
      image: uint8 [n, h, w, c], or points [n, d] of any real type. May be a memory map, or `Rows` of one.
      label: int32 [n].
      num_classes: labels are 0 .. num_classes - 1.
      mixture: what the points are drawn from, where that is known.
      source: what training draws points from without end; `image` is then one sample of it.
      name: for messages.
    """

    image: np.ndarray | Rows
    label: np.ndarray
    num_classes: int
    mixture: Mixture | None = None
    source: Normal | None = None
    name: str = "the data"

    @property
    def size(self) -> int:
        return len(self.label)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(h, w, c), or (d,) of points."""
        return self.image.shape[1:]


def load(name: str, split: str, data_dir: str = "", kwargs: Mapping[str, Any] | None = None) -> Dataset:
    """Loads one split of a set.

    Args:
      name: of a built-in set, of a matrix's file, of any TFDS image set, or NOTHING: one example without meaning.
      split: train or test, or what TFDS knows; also slices like `train[:1000]`.
      data_dir: of TFDS; empty for TFDS_DATA_DIR or TFDS's own default.
      kwargs: of a spectrum; other sets take none.

    Raises:
      lib.config.ConfigError: unknown name, split or argument, or data that is not prepared here.
    """
    if name in gaussian.SPECTRA:
        arguments = validate(gaussian.Arguments, kwargs or {}, "config.dataset.kwargs")
        image, label, source = gaussian.load(name, split, arguments)
        return Dataset(image, label, 1, source=source, name=name)
    if kwargs:
        raise ConfigError(
            f"config.dataset.kwargs.{next(iter(kwargs))}: '{name}' takes no arguments; leave it out "
            f"(only {' and '.join(gaussian.SPECTRA)} take some)"
        )
    if name == NOTHING:
        return Dataset(np.zeros((1, 1), np.float32), np.zeros(1, np.int32), 1, name=name)
    if name == "digits":
        return Dataset(*digits.load(split), name=name)
    if mixture := mixtures.MIXTURES.get(name):
        return Dataset(*mixtures.load(name, split), len(mixture.means), mixture, name=name)
    if matrix.is_matrix(name):
        return Dataset(*matrix.load(name, split), name=name)
    return Dataset(*tfds_images.load(name, split, data_dir), name=name)
