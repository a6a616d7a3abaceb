"""How a network's inputs are scaled: (x - mean) / std of images x in [-1, 1], channel by channel."""

from collections.abc import Callable, Mapping
from typing import Literal

import jax
import numpy as np

from lib.data.dataset import Dataset
from lib.errors import ConfigError

Normalization = Literal["signed", "unit", "standard"]
_CHUNK = 2**24  # numbers read at a time


def channel_moments(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Computes mean and standard deviation of each channel of uint8 images, scaled to [-1, 1].

    Exact but for the last rounding: pixels are counted by their level.

    Returns:
      (mean [c], standard deviation [c]), float64.
    """
    h, w, c = dataset.image_shape
    counts = np.zeros((c, 256), np.int64)
    step = max(1, _CHUNK // (h * w * c))
    for start in range(0, dataset.size, step):
        pixels = dataset.image[start : start + step].reshape(-1, c)
        counts += [np.bincount(pixels[:, i], minlength=256) for i in range(c)]
    levels = np.arange(256) / 127.5 - 1
    frequency = counts / counts.sum(1, keepdims=True)
    mean = frequency @ levels
    variance = np.einsum("cl,cl->c", frequency, (levels - mean[:, None]) ** 2)
    return mean, np.sqrt(variance)


def constants(
    name: Normalization, moments: Callable[[], tuple[np.ndarray, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Returns the numbers that `apply` needs: {"mean", "std"}, float32 [1, 1, 1, c or 1]; {} for `signed`.

    Args:
      name: `signed` leaves images in [-1, 1], `unit` scales them to [0, 1], `standard` to mean 0 and
        standard deviation 1 of each channel over the data set.
      moments: `channel_moments` of that set; only called where it is needed.

    Raises:
      ConfigError: a channel does not vary, and so has no standard form.
    """
    if name == "signed":
        return {}
    mean, std = moments() if name == "standard" else (np.full(1, -1.0), np.full(1, 2.0))
    if not std.all():
        raise ConfigError(
            f"channel {int(np.argmin(std))} of the training images is constant and cannot be scaled to a "
            "standard deviation of 1; use 'signed' or 'unit'"
        )
    return {k: v.astype(np.float32).reshape(1, 1, 1, -1) for k, v in {"mean": mean, "std": std}.items()}


def apply(constants: Mapping[str, jax.Array], image: jax.Array) -> jax.Array:
    """Scales images [b, h, w, c] in [-1, 1] to what a network takes."""
    return (image - constants["mean"]) / constants["std"] if constants else image
