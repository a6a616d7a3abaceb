"""Scores of a set of images that come in batches, from a network's logits and features."""

import functools
from collections.abc import Iterable, Sequence

import numpy as np

from eval import distances
from eval.distances import Gaussian, square_root
from eval.neighbours import neighbour_scores, squared_radii
from eval.networks import Network
from lib.pipelining import ahead
from lib.runtime.interval_means import NotFiniteError


class FeatureMoments:
    """Mean and covariance of features, in float64, in memory that does not grow with their number.

    Sums are of x - c, c the mean of the first batch: so nothing is lost where means are large.
    """

    def __init__(self):
        self._n, self._centre, self._sum, self._outer = 0, 0.0, 0.0, 0.0

    def update(self, features: np.ndarray) -> None:
        """Adds features [b, d] to the sums."""
        x = np.asarray(features, np.float64)
        if self._n == 0:
            self._centre = x.mean(0)
        x = x - self._centre
        self._n += len(x)
        self._sum = self._sum + x.sum(0)
        self._outer = self._outer + x.T @ x

    def gaussian(self) -> Gaussian:
        """Returns the mean and the covariance of all features so far, which must be at least two."""
        mean = self._sum / self._n
        covariance = (self._outer - self._n * np.outer(mean, mean)) / (self._n - 1)
        return Gaussian(self._centre + mean, covariance, self._n)


class Reference:
    """What samples are compared with: statistics of all images of a split, as a network sees them.

    Attributes:
      gaussian: moments of all features.
      features: of the first `kernel_samples` images, float32 [k, d]; None where only moments are known.
    """

    def __init__(self, gaussian: Gaussian, features: np.ndarray | None):
        self.gaussian, self.features = gaussian, features
        self._radii: dict[int, np.ndarray] = {}

    @functools.cached_property
    def root(self) -> np.ndarray:
        """Returns the square root of the covariance, which all distances share."""
        return square_root(self.gaussian.covariance)

    def squared_radii(self, k: int) -> np.ndarray:
        """Returns those of the features, see `eval.neighbours`; computed once."""
        if k not in self._radii:
            self._radii[k] = squared_radii(self.features, k)
        return self._radii[k]

    @classmethod
    def of(cls, network: Network, batches: Iterable[np.ndarray], kernel_samples: int) -> "Reference":
        """Computes the statistics of a stream of images, float32 [b, h, w, c] in [-1, 1]."""
        moments, kept, missing = FeatureMoments(), [], kernel_samples
        for _, features in ahead(map(network.apply, batches)):
            features = np.asarray(features)
            moments.update(features)
            kept.append(features[:missing].copy())  # a view would keep the whole batch alive
            missing -= len(kept[-1])
        return cls(moments.gaussian(), np.concatenate(kept))


class Scores:
    """Scores of one set of images, fed in batches.

    Memory: logits of all, features of `kernel_samples`, and one matrix [d, d].

    Attributes:
      n: how many images it has.
    """

    def __init__(self, reference: Reference, kernel_samples: int, neighbours: int, functions=distances):
        """Holds no image yet.

        Args:
          reference: what they are compared with.
          kernel_samples: how many features are kept, for the kernel distance and the neighbours' scores.
          neighbours: how many a ball reaches to, see `eval.neighbours`.
          functions: the module that has the distances: `eval.distances`, or `eval.tfgan`.
        """
        self._reference, self._k, self._functions = reference, neighbours, functions
        self._moments, self._logits, self._features = FeatureMoments(), [], []
        self._missing, self.n = kernel_samples if reference.features is not None else 0, 0

    def update(self, logits: np.ndarray | None, features: np.ndarray) -> None:
        """Adds a batch: logits [b, classes], if the network has any, and features [b, d].

        Raises:
          NotFiniteError: one of them is NaN or infinite, as of images that are.
        """
        if not all(np.isfinite(x).all() for x in (logits, features) if x is not None):
            raise NotFiniteError("what the scoring network sees is not finite")
        self.n += len(features)
        self._moments.update(features)
        if logits is not None:
            self._logits.append(logits)
        self._features.append(features[: self._missing].copy())
        self._missing -= len(self._features[-1])

    def values(self) -> dict[str, float]:
        """Returns the scores of all images so far.

        These are "frechet"; "score" where there are logits; and "kernel", "precision", "recall", "density"
        and "coverage" where the reference has features.
        """
        of, reference, scores = self._functions, self._reference, {}
        if self._logits:
            scores["score"] = of.classifier_score(np.concatenate(self._logits))
        gaussian = self._moments.gaussian()
        scores["frechet"] = of.frechet_distance(reference.gaussian, gaussian, reference.root)
        if reference.features is not None:
            features = np.concatenate(self._features)
            scores["kernel"] = of.kernel_distance(reference.features, features)
            radii = reference.squared_radii(self._k)
            scores |= neighbour_scores(reference.features, features, self._k, radii)
        return scores

    def classes(self) -> np.ndarray:
        """Counts how often each class is the most likely one, [classes]; [0] where there are no logits."""
        if not self._logits:
            return np.zeros(0, int)
        logits = np.concatenate(self._logits)
        return np.bincount(logits.argmax(1), minlength=logits.shape[1])


def over_splits(splits: Sequence[dict[str, float]]) -> dict[str, float]:
    """Returns the mean of each score over splits, and its standard deviation as `<name>_std`.

    The standard deviation is that of a sample; 0 for one split.
    """
    values = {name: np.array([split[name] for split in splits]) for name in splits[0]}
    means = {name: float(v.mean()) for name, v in values.items()}
    spreads = {f"{name}_std": float(v.std(ddof=1)) if len(v) > 1 else 0.0 for name, v in values.items()}
    return means | spreads
