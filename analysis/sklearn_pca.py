"""scikit-learn's PCA and IncrementalPCA on the data of an EigenGame run, measured as the run is."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from analysis.curves import Curve
from analysis.history import History
from lib import eigengame
from lib.data import Dataset, exact_pca, load_split
from lib.data.order import batch_indices
from lib.data.pipeline import to_rows
from lib.errors import ConfigError
from lib.runtime.progress import Progress


def sklearn_curves(run: History) -> list[Curve]:
    """Fits scikit-learn's exact PCA, and one pass of its incremental PCA over a run's batches.

    Returns:
      Two curves, of tables with the columns epoch, seconds, streak and subspace_distance.

    Raises:
      ConfigError: the run's rows are centred elsewhere than at their mean, k is more than a batch has rows,
        or the rows do not fit in memory.
    """
    data = load_split(run.config.dataset, run.config.dataset.train_split)
    _check_fits(run, data)
    k = run.config.eigengame.k
    eigenvectors = jnp.asarray(exact_pca(data, k).eigenvectors[:k], jnp.float32)
    rows = np.asarray(to_rows(np.asarray(data.image)))
    return [
        Curve("scikit-learn PCA", [_exact(rows, eigenvectors)]),
        Curve("scikit-learn IncrementalPCA", [_incremental(rows, eigenvectors, run)]),
    ]


def _check_fits(run: History, data: Dataset) -> None:
    """Checks that scikit-learn can solve the problem of a run.

    Raises:
      ConfigError: it cannot.
    """
    config = run.config
    text = None
    if not data.source and config.eigengame.mean not in ("data", "online"):
        text = f"--sklearn centres rows by their mean, and '{run.path}' does not"
    elif config.eigengame.k > min(config.batch_size, data.size):
        text = f"--sklearn needs batches of at least k = {config.eigengame.k} rows"
    elif data.image.nbytes > config.dataset.device_limit_gb * 1e9:
        text = (
            "--sklearn needs all rows in memory, and they are more than "
            f"config.dataset.device_limit_gb = {config.dataset.device_limit_gb:g}"
        )
    if text:
        raise ConfigError(f"{text}; leave it out", "plot eigengame")


def _exact(rows: np.ndarray, eigenvectors: jax.Array) -> pd.DataFrame:
    """Fits PCA to rows [n, d]; returns one record, of one epoch."""
    from sklearn.decomposition import PCA  # takes two seconds to import

    begun = time.monotonic()
    exact = PCA(len(eigenvectors)).fit(rows)
    seconds = time.monotonic() - begun
    return pd.DataFrame([{"epoch": 1.0, "seconds": seconds, **_metrics(exact.components_, eigenvectors)}])


def _incremental(rows: np.ndarray, eigenvectors: jax.Array, run: History) -> pd.DataFrame:
    """Fits IncrementalPCA to one epoch of a run's batches of rows [n, d]; returns a record per batch."""
    from sklearn.decomposition import IncrementalPCA

    incremental, size, n = IncrementalPCA(len(eigenvectors)), run.config.batch_size, len(rows)
    batches = n // size  # one pass, which is what it is for: a batch costs it an SVD
    records, seconds, progress = [], 0.0, Progress(batches, unit="batch", label="IncrementalPCA")
    for step in range(batches):
        batch = rows[batch_indices(n, size, run.config.seed, step)]
        begun = time.monotonic()
        incremental.partial_fit(batch)
        seconds += time.monotonic() - begun
        metrics = _metrics(incremental.components_, eigenvectors)
        records.append({"epoch": (step + 1) * size / n, "seconds": seconds, **metrics})
        progress.advance(1)
    progress.close()
    return pd.DataFrame(records)


def _metrics(components: np.ndarray, eigenvectors: jax.Array) -> dict[str, float]:
    """Measures components [k, d] as EigenGame's runs measure their own, against the eigenvectors [k, d]."""
    vectors = jnp.asarray(components, eigenvectors.dtype)
    return {
        "streak": float(eigengame.longest_streak(vectors, eigenvectors)),
        "subspace_distance": float(eigengame.subspace_distance(vectors, eigenvectors)),
    }
