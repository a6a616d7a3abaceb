"""What a scoring network is: a score is only as good as its network, so its name goes with it."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lib.data import Dataset
from lib.errors import ConfigError

Array = np.ndarray | jax.Array

_OF_MOMENTS = ("score", "frechet")
_OF_FEATURES = ("frechet", "kernel", "precision", "recall", "density", "coverage")


class Network(NamedTuple):
    """What scores images.

    Attributes:
      name: begins the names of its scores.
      checksum: of its weights.
      resize: how images are brought to its size, in words.
      apply: images float32 [n, h, w, c] in [-1, 1] to (logits [n, classes] or None, features [n, d]). It
        need not wait for the device.
      names: what its scores are called: of those in `score_names`.
    """

    name: str
    checksum: str
    resize: str
    apply: Callable[[Array], tuple[Array | None, Array]]
    names: Mapping[str, str]


class UnloadedNetwork(NamedTuple):
    """A network that is there and fits the images, before it is read or trained.

    Attributes:
      names: as of `Network`.
      num_features: of an image.
      load: makes it ready, which may take minutes of training.
    """

    names: Mapping[str, str]
    num_features: int
    load: Callable[[], Network]

    def of_moments(self) -> "UnloadedNetwork":
        """Returns the same network without the scores that need features of single real images."""
        names = {score: name for score, name in self.names.items() if score in _OF_MOMENTS}
        return self._replace(names=names, load=lambda: self.load()._replace(names=names))


def score_names(name: str, has_logits: bool = True) -> dict[str, str]:
    """Returns the names of the scores of any network but Inception: they carry the network's name.

    Args:
      name: of the network.
      has_logits: whether it tells classes apart; else there is no classifier score.
    """
    return {score: f"{name}_{score}" for score in (*(["score"] * has_logits), *_OF_FEATURES)}


def as_rgb(images: jax.Array) -> jax.Array:
    """Returns images [n, h, w, 1 or 3] with three channels: grey ones are repeated."""
    return jnp.broadcast_to(images, (*images.shape[:3], 3))


def check_channels(data: Dataset, network: str) -> str:
    """Checks that images can be RGB, and says so of grey ones; returns what is to be said with `resize`.

    Raises:
      ConfigError: they are neither grey nor of three colours.
    """
    channels = data.image_shape[2]
    if channels not in (1, 3):
        reason = f"'{network}' takes images of 1 or 3 channels, not {channels}"
        raise ConfigError(reason, "config.eval.network")
    if channels == 3:
        return ""
    print(f"grey images are repeated over the three channels that {network} takes")
    return ", grey as RGB"


INCEPTION_NAMES = score_names("inception") | {"score": "IS", "frechet": "FID", "kernel": "KID"}
