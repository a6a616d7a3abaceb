"""EigenGame runs beside one another, and beside scikit-learn: streaks and distances against epochs and time.

Runs that differ in the seed alone are one curve: its mean, and a band from the least to the largest.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import curves, history
from analysis.curves import Curve
from lib import eigengame, tables
from lib.data import load_split
from lib.data.exact_pca import exact_spectrum
from lib.data.order import batch_indices
from lib.data.pipeline import to_rows
from lib.errors import ConfigError
from lib.runtime.progress import Progress

METRICS = {"streak": "longest correct streak", "subspace_distance": "subspace distance"}
_AXES = {"epoch": "epoch", "seconds": "seconds of steps"}
_LEAST = {"streak": 0, "subspace_distance": 1e-7}  # float32 rounds distances there


def of_runs(paths: Sequence[str | Path], with_sklearn: bool = False) -> list[Curve]:
    """A curve for every setting among runs, and those of scikit-learn on the data of the first.

    Raises:
      ConfigError: a run is none of EigenGame, has no true eigenvectors to compare with, or other data or k than
        the first.
    """
    runs = [history.read(path) for path in paths]
    for run in runs:
        if run.config.experiment != "eigengame":
            raise ConfigError(f"'{run.path}' is a run of '{run.config.experiment}', not of eigengame")
        if missing := [name for name in METRICS if name not in run.held_out]:
            raise ConfigError(
                f"'{run.path}' has no {missing[0]}; its data have too many features, or it ran without eval_every"
            )
        if _subject(run) != _subject(runs[0]):
            raise ConfigError(
                f"'{run.path}' has other data or another k than '{runs[0].path}'; compare like with like"
            )
    return curves.of(runs, lambda run: run.held_out) + (of_sklearn(runs[0]) if with_sklearn else [])


def _subject(run: history.History) -> tuple:
    """What must be the same of runs whose metrics are compared."""
    data = run.config.dataset
    return data.name, data.kwargs, data.train_split, run.config.eigengame.k


def of_sklearn(run: history.History) -> list[Curve]:
    """scikit-learn's exact PCA, and one pass of its incremental PCA over a run's batches.

    Raises:
      ConfigError: the run's rows are centred elsewhere than at their mean, or k is more than a batch has rows.
    """
    from sklearn.decomposition import PCA, IncrementalPCA  # takes two seconds to import

    config = run.config
    data, k = load_split(config.dataset, config.dataset.train_split), config.eigengame.k
    if not data.source and config.eigengame.mean not in ("data", "online"):
        raise ConfigError(
            f"plot eigengame: --sklearn centres rows by their mean, and '{run.path}' does not; leave it out"
        )
    if k > min(config.batch_size, data.size):
        raise ConfigError(f"plot eigengame: --sklearn needs batches of at least k = {k} rows; leave it out")
    if data.image.nbytes > config.dataset.device_limit_gb * 1e9:
        raise ConfigError(
            "plot eigengame: --sklearn needs all rows in memory, and they are more than "
            f"config.dataset.device_limit_gb = {config.dataset.device_limit_gb:g}; leave it out"
        )
    truth = jnp.asarray(exact_spectrum(data, k).eigenvectors[:k], jnp.float32)
    rows = np.asarray(to_rows(np.asarray(data.image)))
    begun = time.monotonic()
    exact = PCA(k).fit(rows)
    record = {"epoch": 1.0, "seconds": time.monotonic() - begun, **_metrics(exact.components_, truth)}
    found = [Curve("scikit-learn PCA", [pd.DataFrame([record])])]
    incremental, size = IncrementalPCA(k), config.batch_size
    batches = data.size // size  # one pass, which is what it is for: a batch costs it an SVD
    records, seconds, progress = [], 0.0, Progress(batches, unit="batch", label="IncrementalPCA")
    for step in range(batches):
        batch = rows[batch_indices(data.size, size, config.seed, step)]
        begun = time.monotonic()
        incremental.partial_fit(batch)
        seconds += time.monotonic() - begun
        metrics = _metrics(incremental.components_, truth)
        records.append({"epoch": (step + 1) * size / data.size, "seconds": seconds, **metrics})
        progress.advance(1)
    progress.close()
    return [*found, Curve("scikit-learn IncrementalPCA", [pd.DataFrame(records)])]


def _metrics(components: np.ndarray, truth: jnp.ndarray) -> dict[str, float]:
    vectors = jnp.asarray(components, truth.dtype)
    return {
        "streak": float(eigengame.longest_streak(vectors, truth)),
        "subspace_distance": float(eigengame.subspace_distance(vectors, truth)),
    }


def table(methods: Sequence[Curve]) -> str:
    """For each curve, means over seeds: when the streak is first the longest, and the last streak and distance."""
    k = int(max(records["streak"].max() for curve in methods for records in curve.records))
    head = ("method", "seeds", f"epochs to {k}", f"seconds to {k}", "last streak", "last distance")
    return tables.aligned([head, *(_row(curve, k) for curve in methods)])


def _row(curve: Curve, k: int) -> tuple[str, ...]:
    full = [records[records["streak"] >= k].head(1) for records in curve.records]
    reached = [found for found in full if len(found)]
    first = pd.concat(full)
    of_all = f" ({len(reached)} of {len(full)})" if len(reached) < len(full) else ""
    when = lambda name: curves.mean(first[name]) + of_all if reached else "not reached"
    last = pd.concat([records.tail(1) for records in curve.records])
    return (
        curve.label,
        str(len(curve.records)),
        when("epoch"),
        when("seconds"),
        curves.mean(last["streak"]),
        curves.mean(last["subspace_distance"]),
    )


def picture(methods: Sequence[Curve]) -> Figure:
    """Streak and subspace distance, each against epochs and against seconds."""
    figure = Figure(figsize=(9.5, 6.2), layout="constrained")
    axes = figure.subplots(2, 2, sharey="row")
    for i, (metric, label) in enumerate(METRICS.items()):
        for axis, (along, below) in zip(axes[i], _AXES.items(), strict=True):
            for curve, style in zip(methods, curves.styles(), strict=False):
                curves.draw(axis, curve, along, metric, _LEAST[metric], **style)
            axis.set(xlabel=below, xscale="log")
            axis.spines[["top", "right"]].set_visible(False)
        axes[i, 0].set_ylabel(label)
    axes[0, 0].yaxis.get_major_locator().set_params(integer=True)
    axes[1, 0].set_yscale("log")
    curves.legend(figure)
    return figure
