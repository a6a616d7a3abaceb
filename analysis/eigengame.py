"""EigenGame runs beside one another, and beside scikit-learn: `./run.sh plot eigengame`.

Streaks and distances against epochs and time. Runs that differ in the seed alone are one curve: its mean,
and a band from the least to the largest.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from absl import flags

from analysis import history
from analysis.command import define_out, parse_folders, save
from analysis.curves import Curve, draw_curve, draw_legend, group_by_setting, spread, styles
from analysis.history import History
from analysis.sklearn_pca import sklearn_curves
from lib.errors import ConfigError
from lib.pictures.figures import hide_upper_spines, new_figure
from lib.tables import aligned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USAGE = """Draws, and prints, how soon runs of EigenGame find the true eigenvectors.

  ./run.sh plot eigengame RUN [RUN ...] [--sklearn] [--out=FILE]
"""
METRICS = {"streak": "longest correct streak", "subspace_distance": "subspace distance"}
_AXES = {"epoch": "epoch", "seconds": "seconds of steps"}
_LEAST = {"streak": 0, "subspace_distance": 1e-7}  # float32 rounds distances there


def define(values: flags.FlagValues) -> None:
    """Defines the flags of this picture."""
    text = "Also scikit-learn's PCA and IncrementalPCA."
    flags.DEFINE_bool("sklearn", False, text, flag_values=values)
    define_out(values, "eigengame.png")


def run(argv: list[str]) -> None:
    """Draws streaks and subspace distances of runs against epochs and time, and prints a table.

    Raises:
      ConfigError: unknown flags, or folders that hold no comparable runs of EigenGame.
    """
    folders, values = parse_folders(argv, define, USAGE, "eigengame")
    curves = read_curves(folders, values.sklearn)
    print(table(curves))
    save(draw(curves), Path(values.out))


def read_curves(paths: Sequence[str | Path], with_sklearn: bool = False) -> list[Curve]:
    """Reads a curve for every setting among runs, and computes scikit-learn's on the data of the first.

    Raises:
      ConfigError: a run is none of EigenGame, has no true eigenvectors to compare with, or other data or k
        than the first; or see `sklearn_curves`.
    """
    runs = [history.read(path) for path in paths]
    for other in runs:
        _check_comparable(other, runs[0])
    curves = group_by_setting(runs, lambda run: run.held_out)
    return curves + (sklearn_curves(runs[0]) if with_sklearn else [])


def _check_comparable(run: History, first: History) -> None:
    """Checks that a run's metrics are those of EigenGame on the data of the first one.

    Raises:
      ConfigError: they are not.
    """
    if run.config.experiment != "eigengame":
        raise ConfigError(f"'{run.path}' is a run of '{run.config.experiment}', not of eigengame")
    if missing := [name for name in METRICS if name not in run.held_out]:
        raise ConfigError(
            f"'{run.path}' has no {missing[0]}; its data have too many features, or it ran without "
            "eval_every"
        )
    if _problem(run) != _problem(first):
        raise ConfigError(
            f"'{run.path}' has other data or another k than '{first.path}'; compare like with like"
        )


def _problem(run: History) -> tuple:
    """Returns what must be the same of runs whose metrics are compared."""
    data = run.config.dataset
    return data.name, data.kwargs, data.train_split, run.config.eigengame.k


def table(curves: Sequence[Curve]) -> str:
    """Formats, for each curve, when the streak is first the longest, and the last streak and distance."""
    k = int(max(records["streak"].max() for curve in curves for records in curve.records))
    head = ("method", "seeds", f"epochs to {k}", f"seconds to {k}", "last streak", "last distance")
    return aligned([head, *(_row(curve, k) for curve in curves)])


def _row(curve: Curve, k: int) -> tuple[str, ...]:
    first_full = pd.concat([records[records["streak"] >= k].head(1) for records in curve.records])
    last = pd.concat([records.tail(1) for records in curve.records])
    seeds, reached = len(curve.records), len(first_full)
    part = f" ({reached} of {seeds})" if reached < seeds else ""
    when = [spread(first_full[name]) + part if reached else "not reached" for name in ("epoch", "seconds")]
    return curve.label, str(seeds), *when, spread(last["streak"]), spread(last["subspace_distance"])


def draw(curves: Sequence[Curve]) -> "Figure":
    """Draws streak and subspace distance, each against epochs and against seconds."""
    figure = new_figure(9.5, 6.2)
    axes = figure.subplots(2, 2, sharey="row")
    for i, (metric, label) in enumerate(METRICS.items()):
        for axis, (along, below) in zip(axes[i], _AXES.items(), strict=True):
            for curve, style in zip(curves, styles(), strict=False):
                draw_curve(axis, curve, along, metric, _LEAST[metric], **style)
            axis.set(xlabel=below, xscale="log")
            hide_upper_spines(axis)
        axes[i, 0].set_ylabel(label)
    axes[0, 0].yaxis.get_major_locator().set_params(integer=True)
    axes[1, 0].set_yscale("log")
    draw_legend(figure)
    return figure
