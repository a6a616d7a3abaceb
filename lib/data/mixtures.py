"""Mixtures of Gaussians in the plane: points that show at a glance which modes a GAN has dropped."""

import itertools
import math

import numpy as np

from lib.data import splits
from lib.data.dataset import Dataset
from lib.data.distributions import Mixture

_SIZES = {"train": 100_000, "test": 10_000}


def _ring(k: int, radius: float) -> tuple[tuple[float, float], ...]:
    """Returns k points (x, y) evenly spaced on a circle."""
    angles = [2 * math.pi * i / k for i in range(k)]
    return tuple((radius * math.cos(a), radius * math.sin(a)) for a in angles)


MIXTURES = {
    # Metz et al., 'Unrolled Generative Adversarial Networks', ICLR 2017.
    "ring8": Mixture(_ring(8, radius=2.0), std=0.02),
    # Qin et al., 'Training Generative Adversarial Networks by Solving Ordinary Differential Equations',
    # NeurIPS 2020, in its public code.
    "grid16": Mixture(tuple(itertools.product((-1.5, -0.5, 0.5, 1.5), repeat=2)), std=0.02),
}


def load(name: str, split: str) -> Dataset:
    """Draws float32 points [n, 2] labelled by mode; train (100,000) and test (10,000) share no noise.

    Raises:
      ConfigError: another split.
    """
    base, rows = splits.parse(split, _SIZES, name)
    mixture, n = MIXTURES[name], _SIZES[base]
    generator = np.random.Generator(np.random.Philox(key=[0, list(_SIZES).index(base)]))
    mode = generator.integers(len(mixture.means), size=n, dtype=np.int32)
    points = np.asarray(mixture.means)[mode] + mixture.std * generator.standard_normal((n, 2))
    return Dataset(points.astype(np.float32)[rows], mode[rows], len(mixture.means), mixture, name=name)
