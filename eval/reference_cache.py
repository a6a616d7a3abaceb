"""Statistics and scores of real data, computed once and kept in the cache.

Their keys are digests of all that they depend on. What is damaged there is computed again.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from eval import sampling
from eval.networks import Network
from eval.scores import Gaussian, Reference
from lib.data import Dataset
from lib.data.dataset import Rows
from lib.runtime.cache import cache_dir, kept
from lib.runtime.json_files import read_json, write_json

_VERSION = 1  # raise it when what is computed changes


def cached_reference(dataset: Dataset, network: Network, kernel_samples: int, batch_size: int) -> Reference:
    """Returns the statistics of all images of a split, as a network sees them.

    Args:
      dataset: the split.
      network: what computes features.
      kernel_samples: how many features are kept for the kernel distance.
      batch_size: images in one call of the network; the statistics do not depend on it.
    """

    def read(file: Path) -> Reference:
        with np.load(file) as saved:
            mean, covariance, n, features = (saved[name] for name in (*Gaussian._fields, "features"))
        d = len(mean)
        if (covariance.shape, int(n), features.shape[1:]) != ((d, d), dataset.size, (d,)):
            raise ValueError("statistics of another shape")
        return Reference(Gaussian(mean, covariance, int(n)), features)

    def make(file: Path) -> None:
        batches = sampling.real(dataset, dataset.size, batch_size, seed=0)
        reference = Reference.of(network, batches, kernel_samples)
        with file.open("wb") as stream:
            np.savez(stream, **reference.gaussian._asdict(), features=reference.features)

    return kept(_file(network, "npz", kernel_samples, dataset.image), read, make)


def cached_records(network: Network, depends_on: tuple, compute: Callable[[], list[dict]]) -> list[dict]:
    """Returns the records that `compute` makes, or made before for the same arguments.

    Args:
      network: what scores the images of the records.
      depends_on: all else that the records depend on: arrays, and values with a repr.
      compute: makes them where the cache has none.
    """

    def read(file: Path) -> list[dict]:
        records = read_json(file, list[dict[str, Any]])
        names = network.names.values()
        if not records or any(
            not isinstance(record.get(name), float) for record in records for name in names
        ):
            raise ValueError("records of other scores")
        return records

    return kept(_file(network, "json", *depends_on), read, lambda file: write_json(file, compute()))


def _file(network: Network, ending: str, *depends_on) -> Path:
    """Returns a file in the cache, named by a digest of a network and what else its content depends on."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (_VERSION, network.checksum, network.resize, sorted(network.names.items()), *depends_on):
        if isinstance(part, np.ndarray | Rows):
            digest.update(f"{part.dtype}{part.shape};".encode())
            digest.update(np.ascontiguousarray(part))
        else:
            digest.update(f"{part!r};".encode())
    return cache_dir() / "statistics" / f"{network.name}-{digest.hexdigest()}.{ending}"
