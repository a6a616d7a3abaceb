"""Statistics of real images that another tool has computed: an npz with `mu` and `sigma`."""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eval.distances import Gaussian
from eval.scores import Reference
from lib.errors import ConfigError, one_line

_FIELD = "config.eval.reference_statistics"
_TOLERANCE = 1e-6  # of a covariance's symmetry and of its eigenvalues' sign, relative to its largest entry


class Statistics(NamedTuple):
    """What samples are compared with, without features of single images, and the file's digest."""

    reference: Reference
    digest: str


def read_statistics(file: str, num_features: int) -> Statistics:
    """Reads what samples are compared with.

    Args:
      file: an npz with `mu` [d] and `sigma` [d, d].
      num_features: d, of the network that scores.

    Raises:
      ConfigError: there is no such file, it has no such arrays, or they are of another number of features.
    """
    try:
        data = Path(file).read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)), np.load(io.BytesIO(data), allow_pickle=False) as saved:
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
    allowed = _TOLERANCE * largest
    if np.abs(covariance - covariance.T).max() > allowed or np.linalg.eigvalsh(covariance)[0] < -allowed:
        raise ConfigError(f"sigma in '{file}' is no covariance: not symmetric, or negative", _FIELD)
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    return Statistics(Reference(Gaussian(mean, covariance, 0), None), digest)
