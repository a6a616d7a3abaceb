"""What an experiment may know of its data when it is built."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from lib.data.dataset import Dataset
from lib.data.exact_pca import Spectrum, spectrum_for_training
from lib.data.mixtures import Mixture
from lib.data.normalization import channel_moments


@dataclasses.dataclass(frozen=True)
class DataSpec:
    """Facts about the training split.

    Attributes:
      image_shape: (h, w, c), or (d,) of points.
      num_classes: labels are 0 .. num_classes - 1.
      train_size: examples in the training split.
      mixture: what the points are drawn from, where that is known.
      spectrum: `(k, ...) -> Spectrum`: `lib.data.exact_pca.spectrum_for_training` of the training split, which
        reads it all if the answer is not cached. None where there are no data, as in benchmarks.
      channel_moments: `() -> (mean [c], std [c])`: `lib.data.normalization.channel_moments` of the training
        images, all of which it reads. None likewise.
    """

    image_shape: tuple[int, ...]
    num_classes: int
    train_size: int
    mixture: Mixture | None = None
    spectrum: Callable[..., Spectrum] | None = dataclasses.field(default=None, compare=False)
    channel_moments: Callable[[], tuple[np.ndarray, np.ndarray]] | None = dataclasses.field(
        default=None, compare=False
    )

    @classmethod
    def of(cls, train: Dataset) -> "DataSpec":
        return cls(
            train.image_shape,
            train.num_classes,
            train.size,
            train.mixture,
            functools.partial(spectrum_for_training, train),
            functools.partial(channel_moments, train),
        )
