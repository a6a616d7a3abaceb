"""Statistics of real images that another tool has computed: an npz with `mu` and `sigma`."""

import hashlib
from pathlib import Path

import numpy as np

from eval.distances import Gaussian
from eval.scores import Reference
from lib.errors import ConfigError, one_line

_FIELD = "config.eval.reference_statistics"
_TOLERANCE = 1e-6  # of a covariance's symmetry, relative to its largest entry


def read_statistics(file: str, num_features: int) -> Reference:
    """Reads what samples are compared with; it has no features of single images.

    Args:
      file: an npz with `mu` [d] and `sigma` [d, d].
      num_features: d, of the network that scores.

    Raises:
      ConfigError: there is no such file, it has no such arrays, or they are of another number of features.
    """
    try:
        with np.load(file, allow_pickle=False) as saved:
            if missing := {"mu", "sigma"} - set(saved.files):
                raise ConfigError(f"'{file}' has no {' and no '.join(sorted(missing))}", _FIELD)
            mean, covariance = (np.asarray(saved[name], np.float64) for name in ("mu", "sigma"))
    except ConfigError:
        raise
    except Exception as error:  # NumPy and zip files each have their own
        raise ConfigError(f"cannot read '{file}': {one_line(error)[:200]}", _FIELD) from error
    d = num_features
    if mean.shape != (d,) or covariance.shape != (d, d):
        raise ConfigError(
            f"'{file}' has mu of shape {mean.shape} and sigma of {covariance.shape}, and the scoring "
            f"network has {d} features: the statistics are of another network",
            _FIELD,
        )
    largest = np.abs(covariance).max()
    if not (np.isfinite(mean).all() and np.isfinite(largest)):
        raise ConfigError(f"'{file}' has numbers that are not finite", _FIELD)
    if np.abs(covariance - covariance.T).max() > _TOLERANCE * largest or covariance.diagonal().min() < 0:
        raise ConfigError(f"sigma in '{file}' is no covariance: not symmetric, or negative", _FIELD)
    return Reference(Gaussian(mean, covariance, 0), None)


def digest(file: str) -> str:
    """Returns what tells the file from others."""
    return hashlib.blake2b(Path(file).read_bytes(), digest_size=16).hexdigest()
