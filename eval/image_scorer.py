"""Scores of sets of images against a reference, as the mean over equal parts and its spread."""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from types import ModuleType

import numpy as np

from eval import distances, sampling
from eval.networks import Network
from eval.networks.network import Array
from eval.reference_cache import cached_records, cached_reference
from eval.scores import Scores, over_splits
from eval.statistics_file import Statistics
from lib.data import Dataset
from lib.pipelining import ahead
from lib.runtime.programs import Programs


class ImageScorer:
    """Scores images as a network sees them; the statistics of the reference are computed once."""

    def __init__(
        self,
        programs: Programs,
        network: Network,
        reference: Dataset | Statistics,
        functions: ModuleType = distances,
    ):
        """Finds the statistics of what images are compared with, or computes them.

        Args:
          programs: of the run that is evaluated.
          network: what images are scored by.
          reference: what images are compared with: real ones, or the statistics of a file.
          functions: the module of the distances, see `eval.scores.Scores`.
        """
        self._train, self._config = programs.data.train, programs.config
        self._network, self._functions = network, functions
        section = self._config.eval
        if isinstance(reference, Statistics):
            self._reference, self._identity = reference
        else:
            sizes = (section.kernel_samples, section.batch_size)
            self._reference, self._identity = cached_reference(reference, network, *sizes), reference.image

    @functools.cached_property
    def bounds(self) -> list[dict]:
        """Returns the records of real images, the floor of the distances, and of noise, their ceiling."""
        section, split = self._config.eval, self._config.dataset.train_split
        sizes = (section.num_samples, section.num_splits, section.kernel_samples, section.neighbours)
        depends_on = (split, *sizes, self._functions.__name__, self._train.image, self._identity)
        return cached_records(self._network, depends_on, self._score_bounds)

    def _score_bounds(self) -> list[dict]:
        """Scores real images and noise."""
        train, split, section = self._train, self._config.dataset.train_split, self._config.eval
        n, b = section.num_samples, section.batch_size
        return [
            self.record(f"real ({split})", sampling.real(train, n, b, 0)),
            self.record("noise", sampling.noise(train.image_shape, n // section.num_splits, b, 0)),
        ]

    def record(self, images: str, batches: Iterable[Array]) -> dict:
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
        for _, part in itertools.groupby(_outputs(self._network.apply, batches, size), itemgetter(0)):
            scores = Scores(self._reference, section.kernel_samples, section.neighbours, self._functions)
            for _, logits, features in part:
                scores.update(logits, features)
            if scores.n == size or not values:
                values.append(scores.values())
                per_split, classes = scores.n, classes + scores.classes()
        names = {**names, **{f"{score}_std": f"{name}_std" for score, name in names.items()}}
        return {
            "images": images,
            **{names[score]: value for score, value in over_splits(values).items()},
            "per_split": per_split,
            "splits": len(values),
            "num_reference": self._reference.gaussian.n or None,
            "classes": classes.tolist(),
        }


def _outputs(
    apply: Callable, batches: Iterable[Array], size: int
) -> Iterator[tuple[int, np.ndarray | None, np.ndarray]]:
    """Yields (number of the part, logits or None, features) of batches that are cut into parts of `size`.

    The device draws and sees the next batch meanwhile.
    """
    seen = ((number, *apply(batch)) for number, batch in sampling.cut(batches, size))
    for number, logits, features in ahead(seen):
        yield number, None if logits is None else np.asarray(logits), np.asarray(features)
