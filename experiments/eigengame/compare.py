"""EigenGame runs beside one another, and beside scikit-learn: streaks and distances against epochs and time.

Runs that differ in the seed alone are one curve: its mean, and a band from the least to the largest.
"""

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments import history
from experiments.runs import load_split
from lib import eigengame, tables
from lib.config import ConfigError
from lib.data.order import batch_indices
from lib.data.pipeline import to_rows
from lib.data.spectrum import exact_spectrum
from lib.figures import COLOURS
from lib.logging import Progress

METRICS = {"streak": "longest correct streak", "subspace_distance": "subspace distance"}
_AXES = {"epoch": "epoch", "seconds": "seconds of steps"}
_MARKERS = "osD^vP*X"
_FLOOR = 1e-7  # float32's rounding of distances; 0 has no place on a logarithmic axis


class Curve(NamedTuple):
    """One method.

    Attributes:
      label: what the legend calls it.
      records: one table for each seed: columns epoch, seconds and METRICS.
    """

    label: str
    records: list[pd.DataFrame]


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
    grouped: dict[str, list[pd.DataFrame]] = {}
    for label, run in zip(history.labels(runs), runs, strict=True):
        grouped.setdefault(label, []).append(run.held_out)
    curves = [Curve(label, records) for label, records in grouped.items()]
    return curves + (of_sklearn(runs[0]) if with_sklearn else [])


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
    truth = jnp.asarray(exact_spectrum(data, k).eigenvectors[:k], jnp.float32)
    rows = np.asarray(to_rows(np.asarray(data.image)))
    begun = time.monotonic()
    exact = PCA(k).fit(rows)
    record = {"epoch": 1.0, "seconds": time.monotonic() - begun, **_metrics(exact.components_, truth)}
    curves = [Curve("scikit-learn PCA", [pd.DataFrame([record])])]
    incremental, size = IncrementalPCA(k), config.batch_size
    batches = data.size // size  # one pass, which is what it is for: a batch costs it an SVD
    records, seconds, progress = [], 0.0, Progress(batches, unit="batch", label="IncrementalPCA")
    for step in range(batches):
        batch = rows[batch_indices(data.size, size, config.seed, step)]
        begun = time.monotonic()
        incremental.partial_fit(batch)
        seconds += time.monotonic() - begun
        found = _metrics(incremental.components_, truth)
        records.append({"epoch": (step + 1) * size / data.size, "seconds": seconds, **found})
        progress.advance(1)
    progress.close()
    return [*curves, Curve("scikit-learn IncrementalPCA", [pd.DataFrame(records)])]


def _metrics(components: np.ndarray, truth: jnp.ndarray) -> dict[str, float]:
    vectors = jnp.asarray(components, truth.dtype)
    return {
        "streak": float(eigengame.longest_streak(vectors, truth)),
        "subspace_distance": float(eigengame.subspace_distance(vectors, truth)),
    }


def table(curves: Sequence[Curve]) -> str:
    """For each curve, means over seeds: when the streak is first the longest, and the last streak and distance."""
    k = int(max(records["streak"].max() for curve in curves for records in curve.records))
    head = ("method", "seeds", f"epochs to {k}", f"seconds to {k}", "last streak", "last distance")
    return tables.aligned([head, *(_row(curve, k) for curve in curves)])


def _row(curve: Curve, k: int) -> tuple[str, ...]:
    full = [records[records["streak"] >= k].head(1) for records in curve.records]
    reached = [found for found in full if len(found)]
    first = pd.concat(full)
    of_all = f" ({len(reached)} of {len(full)})" if len(reached) < len(full) else ""
    when = lambda name: _mean(first[name]) + of_all if reached else "not reached"
    last = pd.concat([records.tail(1) for records in curve.records])
    return (
        curve.label,
        str(len(curve.records)),
        when("epoch"),
        when("seconds"),
        _mean(last["streak"]),
        _mean(last["subspace_distance"]),
    )


def _mean(values: pd.Series) -> str:
    return tables.mean_and_spread(values.mean(), values.std())


def picture(curves: Sequence[Curve]) -> Figure:
    """Streak and subspace distance, each against epochs and against seconds."""
    figure = Figure(figsize=(9.5, 6.2), layout="constrained")
    axes = figure.subplots(2, 2, sharey="row")
    styles = zip(itertools.cycle(COLOURS), itertools.cycle(_MARKERS), strict=False)
    for curve, (colour, marker) in zip(curves, styles, strict=False):
        for (i, metric), (j, along) in itertools.product(enumerate(METRICS), enumerate(_AXES)):
            _draw(axes[i, j], curve, along, metric, color=colour, marker=marker)
    for (i, metric), (j, along) in itertools.product(
        enumerate(METRICS.values()), enumerate(_AXES.values())
    ):
        axes[i, j].set(xlabel=along, ylabel=metric if j == 0 else "", yscale=("linear", "log")[i])
        axes[i, j].spines[["top", "right"]].set_visible(False)
        axes[i, j].set_xscale("log")
    axes[0, 0].yaxis.get_major_locator().set_params(integer=True)
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=2, frameon=False)
    return figure


def _draw(axis, curve: Curve, along: str, metric: str, **style) -> None:
    records = [r[[along, metric]].to_numpy().T for r in curve.records]
    n = min(x.shape[1] for x in records)
    at = np.mean([x[0, :n] for x in records], 0)
    values = np.maximum([x[1, :n] for x in records], _FLOOR if metric != "streak" else 0)
    axis.plot(at, values.mean(0), label=curve.label, lw=1.2, ms=4, markevery=max(1, n // 10), **style)
    if len(records) > 1:
        axis.fill_between(at, values.min(0), values.max(0), color=style["color"], alpha=0.18, lw=0)
