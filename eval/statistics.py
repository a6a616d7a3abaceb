"""Statistics of real data, computed once for every network and kept in the cache."""

import hashlib
import os

import numpy as np

from eval import sampling
from eval.moments import Gaussian
from eval.networks import Network
from eval.scores import Reference
from lib.data import Dataset
from lib.devices import cache_dir


def reference(dataset: Dataset, network: Network, kernel_samples: int, batch_size: int) -> Reference:
    """The split's statistics by a network, from the cache where they are there.

    The key is a digest of all that they depend on: the images, the network's weights and how it resizes.
    """
    digest = hashlib.blake2b(
        f"{network.checksum} {network.resize} {kernel_samples}".encode(), digest_size=16
    )
    digest.update(np.ascontiguousarray(dataset.image))
    file = cache_dir() / "statistics" / f"{network.name}-{digest.hexdigest()}.npz"
    if file.is_file():
        kept = np.load(file)
        return Reference(Gaussian(kept["mean"], kept["covariance"], int(kept["n"])), kept["features"])
    batches = sampling.real(dataset, dataset.size, batch_size, seed=0)
    made = Reference.of(network, batches, kernel_samples)
    file.parent.mkdir(exist_ok=True)
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as stream:
        np.savez(stream, **made.gaussian._asdict(), features=made.features)
    temporary.replace(file)
    return made
