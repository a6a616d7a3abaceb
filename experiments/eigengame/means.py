"""What rows are centred by: nothing, the data's mean, the mean so far, or one that a file holds."""

from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from lib.data import DataSpec, PrincipalComponents
from lib.errors import ConfigError
from lib.runtime.devices import pmean

ONLINE = "online"
_FIELD = "config.eigengame.mean"


class Mean(NamedTuple):
    """What rows are centred by: the mean so far, or a constant.

    Attributes:
      value: [d].
      count: batches seen, float32.
    """

    value: jax.Array
    count: jax.Array

    def updated(self, rows: jax.Array) -> "Mean":
        """Returns the mean over this batch [b, d], of all devices, and all before it."""
        count = self.count + 1
        return Mean(self.value + (pmean(rows.mean(0)) - self.value) / count, count)


def first_mean(
    name: str, spec: DataSpec, d: int, k: int, exact_limit: int
) -> tuple[np.ndarray, PrincipalComponents | None]:
    """Returns what rows are centred by at first, [d], and their exact k components about it.

    Args:
      name: `none`, `data`, `online`, or a .npy file.
      spec: of the data.
      d: features.
      k: components.
      exact_limit: features up to which components are computed; else they are None.

    Raises:
      ConfigError: the name is unknown, the file holds no mean, or the data have no components.
    """
    centres = {"none": np.zeros(d), "data": None, ONLINE: None}
    centre = centres[name] if name in centres else _read(Path(name), d)
    exact = spec.principal_components(k, centre, exact_limit)
    start = np.zeros(d) if name == ONLINE else exact.mean if centre is None else centre
    return start, exact if exact.eigenvectors is not None else None


def _read(path: Path, d: int) -> np.ndarray:
    """Reads a mean of d features from a .npy file."""
    if path.suffix != ".npy":
        raise ConfigError(f"unknown '{path}'; known: none, data, online, or a .npy file", _FIELD)
    try:
        with path.open("rb") as file:
            mean = np.lib.format.read_array(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read '{path}' ({error})", _FIELD) from error
    if mean.shape != (d,) or mean.dtype.kind not in "buif" or not np.isfinite(mean).all():
        raise ConfigError(
            f"'{path}' must hold {d} finite real numbers, not shape {mean.shape} of type {mean.dtype}",
            _FIELD,
        )
    return mean
