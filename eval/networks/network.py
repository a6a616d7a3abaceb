"""What a scoring network is: a score is only as good as its network, so its name goes with it."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np


class Network(NamedTuple):
    """What scores images.

    Attributes:
      name: begins the names of its scores.
      checksum: of its weights.
      resize: how images are brought to its size, in words.
      apply: images float32 [n, h, w, c] in [-1, 1] to (logits [n, classes], features [n, d]).
      names: what its scores are called: of "score", "frechet" and "kernel".
    """

    name: str
    checksum: str
    resize: str
    apply: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    names: Mapping[str, str]


class UnloadedNetwork(NamedTuple):
    """A network that is there and fits the images, before it is read or trained.

    Attributes:
      names: as of `Network`.
      load: makes it ready, which may take minutes of training.
    """

    names: Mapping[str, str]
    load: Callable[[], Network]


INCEPTION_NAMES = {"score": "IS", "frechet": "FID", "kernel": "KID"}


def score_names(name: str) -> dict[str, str]:
    """Returns the names of the scores of any network but Inception: they carry the network's name."""
    return {score: f"{name}_{score}" for score in ("score", "frechet", "kernel")}
