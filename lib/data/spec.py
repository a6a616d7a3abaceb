"""What an experiment may know of its data when it is built."""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import numpy as np

from lib.data.dataset import Dataset, Vocabulary
from lib.data.distributions import Mixture
from lib.data.moments import chunks
from lib.data.normalization import channel_moments
from lib.data.principal_components import PrincipalComponents, exact_pca_for_training


@dataclasses.dataclass(frozen=True)
class DataSpec:
    """Facts about the training split.

    Attributes:
      image_shape: (h, w, c), (d,) of points, or (2, t) of pairs of sentences.
      num_classes: labels are 0 .. num_classes - 1.
      train_size: examples in the training split.
      mixture: what the points are drawn from, where that is known.
      principal_components: `(k, ...) -> PrincipalComponents` of the training split, all of which it reads
        if the answer is not cached: `lib.data.principal_components.exact_pca_for_training`. None where
        there are no data, as in benchmarks.
      rows: `(what) -> chunks` of the training rows, [n, d] of float64: `lib.data.moments.chunks`. None
        likewise.
      vocabulary: of sentences.
      channel_moments: `() -> (mean [c], std [c])`: `lib.data.normalization.channel_moments` of the training
        images, all of which it reads. None likewise.
    """

    image_shape: tuple[int, ...]
    num_classes: int
    train_size: int
    mixture: Mixture | None = None
    vocabulary: Vocabulary | None = dataclasses.field(default=None, compare=False)
    principal_components: Callable[..., PrincipalComponents] | None = dataclasses.field(
        default=None, compare=False
    )
    channel_moments: Callable[[], tuple[np.ndarray, np.ndarray]] | None = dataclasses.field(
        default=None, compare=False
    )
    rows: Callable[[str], Iterator[np.ndarray]] | None = dataclasses.field(default=None, compare=False)

    @classmethod
    def of(cls, train: Dataset) -> "DataSpec":
        """Returns the facts of a training split."""
        return cls(
            train.image_shape,
            train.num_classes,
            train.size,
            train.mixture,
            train.vocabulary,
            functools.partial(exact_pca_for_training, train),
            functools.cache(functools.partial(channel_moments, train)),
            functools.partial(chunks, train),
        )
