"""Statistics and scores of real data, computed once and kept in the cache.

Their keys are digests of all that they depend on. What is damaged there is computed again.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from eval import sampling
from eval.networks import Network
from eval.scores import Gaussian, Reference
from lib.data import Dataset
from lib.data.rows import Rows
from lib.runtime.cache import cache_dir
from lib.runtime.files import replacing

_VERSION = 1  # raise it when what is computed changes


def reference(dataset: Dataset, network: Network, kernel_samples: int, batch_size: int) -> Reference:
    """A split's statistics by a network; they do not depend on the size of the batches."""
    file = _file(network, "npz", kernel_samples, dataset.image)
    try:
        kept = np.load(file)
        return Reference(Gaussian(kept["mean"], kept["covariance"], int(kept["n"])), kept["features"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        batches = sampling.real(dataset, dataset.size, batch_size, seed=0)
        made = Reference.of(network, batches, kernel_samples)
        with replacing(file) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **made.gaussian._asdict(), features=made.features)
        return made


def records(network: Network, depends_on: tuple, make: Callable[[], list[dict]]) -> list[dict]:
    """Records that depend on nothing but a network and `depends_on`: arrays, and what has a repr."""
    file = _file(network, "json", *depends_on)
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        made = make()
        with replacing(file) as temporary:
            temporary.write_text(json.dumps(made))
        return made


def _file(network: Network, ending: str, *depends_on) -> Path:
    digest = hashlib.blake2b(digest_size=16)
    for part in (_VERSION, network.checksum, network.resize, sorted(network.names.items()), *depends_on):
        if isinstance(part, np.ndarray | Rows):
            digest.update(f"{part.dtype}{part.shape};".encode())
            digest.update(np.ascontiguousarray(part))
        else:
            digest.update(f"{part!r};".encode())
    folder = cache_dir() / "statistics"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{network.name}-{digest.hexdigest()}.{ending}"
