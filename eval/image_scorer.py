"""Scores of sets of images against a reference, a split, as the mean over equal parts and its spread."""

import functools
import itertools
from collections.abc import Iterable
from operator import itemgetter

import numpy as np

from eval import sampling
from eval.networks import Network
from eval.reference_cache import cached_records, cached_reference
from eval.scores import Scores, over_splits
from lib.data import Dataset
from lib.runtime.programs import Programs


class ImageScorer:
    """Scores images as a network sees them; the statistics of the reference are computed once."""

    def __init__(self, programs: Programs, network: Network, reference: Dataset):
        """Computes the statistics of what images are compared with, or finds them in the cache."""
        self._train, self._compared = programs.data.train, reference
        self._config, self._network = programs.config, network
        section = self._config.eval
        self._reference = cached_reference(reference, network, section.kernel_samples, section.batch_size)

    @functools.cached_property
    def bounds(self) -> list[dict]:
        """Returns the records of real images, the floor of the distances, and of noise, their ceiling."""
        section, split = self._config.eval, self._config.dataset.train_split
        sizes = (section.num_samples, section.num_splits, section.kernel_samples)
        depends_on = (split, *sizes, self._train.image, self._compared.image)
        return cached_records(self._network, depends_on, self._score_bounds)

    def _score_bounds(self) -> list[dict]:
        """Scores real images and noise."""
        train, split, section = self._train, self._config.dataset.train_split, self._config.eval
        n, b = section.num_samples, section.batch_size
        return [
            self.record(f"real ({split})", sampling.real(train, n, b, 0)),
            self.record("noise", sampling.noise(train.image_shape, n // section.num_splits, b, 0)),
        ]

    def record(self, images: str, batches: Iterable[np.ndarray]) -> dict:
        """Returns the record of a stream of images: their scores over parts, and what these depend on.

        Each part has as many images as the config wants in a split. What is left after the last whole part
        is dropped; images that are fewer than one part are a part of their own.

        Args:
          images: their name.
          batches: float32 [b, h, w, c] in [-1, 1].
        """
        section, names = self._config.eval, self._network.names
        size = section.num_samples // section.num_splits
        values: list[dict[str, float]] = []
        per_split, classes = size, 0
        for _, part in itertools.groupby(sampling.cut(batches, size), itemgetter(0)):
            scores = Scores(self._reference)
            for _, batch in part:
                scores.update(*self._network.apply(batch))
            if scores.n == size or not values:
                values.append(scores.values())
                per_split, classes = scores.n, classes + scores.classes()
        names = {**names, **{f"{score}_std": f"{name}_std" for score, name in names.items()}}
        return {
            "images": images,
            **{names[score]: value for score, value in over_splits(values).items()},
            "per_split": per_split,
            "splits": len(values),
            "num_reference": self._reference.gaussian.n,
            "classes": classes.tolist(),
        }
