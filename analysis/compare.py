"""Learning rates and losses of several runs in one picture: `./run.sh plot compare`.

Laid out as the figures of Baydin et al., 'Online Learning Rate Adaptation with Hypergradient Descent', ICLR
2018: the learning rate, the training loss and the held-out loss, against epochs and against iterations.
"""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from absl import flags

from analysis import history, published_csv
from analysis.command import define_out, parse_folders, save
from analysis.curves import Curve, draw_curve, draw_legend, group_by_setting, over_seeds, styles
from analysis.history import History
from lib.errors import ConfigError
from lib.optimizers.registry import kind_of
from lib.pictures.figures import hide_upper_spines, new_figure
from lib.tables import aligned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USAGE = """Draws, and prints, learning rates and losses of runs; runs over seeds are one curve.

  ./run.sh plot compare RUN [RUN ...] [--out=FILE] [--csv=FOLDER]

RUN is a work directory, or a CSV file of the published code of hypergradient descent; --csv writes such
files.
"""
ROWS = {
    "learning_rate": "learning rate",
    "loss": "training loss",
    "held_out_loss": "held-out loss",
}
# Fields of the data that runs must share to be compared.
_SAME = {"name", "kwargs", "train_split", "eval_split", "validation_size"}
_CSV = ".csv"


def define(values: flags.FlagValues) -> None:
    """Defines the flags of this picture."""
    define_out(values, "compare.png")
    text = "A folder: also write each run's curves there, with the published code's columns."
    flags.DEFINE_string("csv", "", text, flag_values=values)


def run(argv: list[str]) -> None:
    """Draws learning rates and losses of runs against epochs and iterations, and prints a table.

    Raises:
      ConfigError: unknown flags, or folders that hold no comparable runs.
    """
    folders, values = parse_folders(argv, define, USAGE, "compare")
    curves = read_curves(folders)
    print(table(curves))
    save(draw(curves), Path(values.out))
    if values.csv:
        write_csv(folders, Path(values.csv))


def read_curves(paths: Sequence[str | Path]) -> list[Curve]:
    """Reads the curves of runs of one player.

    Returns:
      Tables with the columns step, epoch, seconds, those of ROWS, and held_out_accuracy where a run has
      one. Published files are curves of their own.

    Raises:
      ConfigError: a run has no learning rate or loss of its own, several players', or other data than the
        first.
    """
    files = [path for path in paths if str(path).endswith(_CSV)]
    runs = [history.read(path) for path in paths if path not in files]
    for other in runs:
        if _data(other) != _data(runs[0]):
            raise ConfigError(
                f"'{other.path}' has other data than '{runs[0].path}'; compare like with like"
            )
    published = [Curve(f"{Path(file).stem} (published)", [published_csv.read(file)]) for file in files]
    return (group_by_setting(runs, _records) if runs else []) + published


def write_csv(paths: Sequence[str | Path], folder: Path) -> None:
    """Writes the curves of each run, FOLDER/<the run's name>.csv."""
    runs = [history.read(path) for path in paths if not str(path).endswith(_CSV)]
    names = [run.path.name for run in runs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"two runs are called '{twice[0]}'; write their curves one at a time", "--csv")
    folder.mkdir(parents=True, exist_ok=True)
    for run in runs:
        published_csv.write(_records(run), _beta(run), folder / f"{run.path.name}{_CSV}")
    print(f"curves in {folder}")


def _beta(run: History) -> float:
    """Returns the rate of a run's rate; 0 where its optimiser has none."""
    name = next(v for field, v in run.fields.items() if field.endswith(".optimizer.name"))
    given = {f.rpartition(".")[2]: v for f, v in run.fields.items() if ".optimizer.kwargs." in f}
    default = inspect.signature(kind_of(name).factory).parameters.get("beta")
    return given.get("beta", default.default if default else 0.0)


def _data(run: History) -> dict:
    """Returns the fields of a run's data that decide whether runs can be compared."""
    return run.config.dataset.model_dump(include=_SAME)


def _records(run: History) -> pd.DataFrame:
    """Returns the records of training and, below them, of held-out data and of means over epochs."""
    metrics = {_only_metric(run, end): end for end in published_csv.OF_EPOCHS}
    names = {"loss": "held_out_loss", "accuracy": "held_out_accuracy"}
    parts = [run.train.rename(columns=metrics), run.held_out.rename(columns=names)]
    if not run.epochs.empty:
        names = {metric: published_csv.OF_EPOCHS[end] for metric, end in metrics.items()}
        columns = ["step", "epoch", "seconds", *names.values()]
        parts.append(run.epochs.rename(columns=names).reindex(columns=columns))
    return pd.concat(parts, ignore_index=True)


def _only_metric(run: History, end: str) -> str:
    """Returns the one metric of training whose name ends so.

    Raises:
      ConfigError: there is none, or there are several.
    """
    names = [name for name in run.train if name.endswith(end)]
    if len(names) != 1:
        what = f"several: {', '.join(names)}" if names else "none"
        text = f"'{run.path}' must have one metric that ends in {end}; it has {what}"
        raise ConfigError(text, "plot compare")
    return names[0]


def table(curves: Sequence[Curve]) -> str:
    """Formats means over seeds of each curve: the last epoch's training loss, and the held-out metrics."""
    head = ("run", "seeds", "last rate", "training loss", "held-out loss", "best", "accuracy", "steps/s")
    return aligned([head, *map(_row, curves)])


def _row(curve: Curve) -> tuple[str, ...]:
    return (
        curve.label,
        str(len(curve.records)),
        over_seeds(curve, lambda records: _last(records, "learning_rate")),
        over_seeds(curve, lambda records: _last(per_epoch(records), "loss")),
        over_seeds(curve, lambda records: _last(records, "held_out_loss")),
        over_seeds(curve, _best_held_out_loss),
        over_seeds(curve, lambda records: _last(records, "held_out_accuracy")),
        over_seeds(curve, lambda records: _last(records, "steps_per_second")),
    )


def _last(records: pd.DataFrame, name: str) -> float:
    """Returns the last value of a column; NaN where there is no such column."""
    return records[name].dropna().iloc[-1] if name in records else np.nan


def _best_held_out_loss(records: pd.DataFrame) -> float:
    return records["held_out_loss"].min() if "held_out_loss" in records else np.nan


def per_epoch(records: pd.DataFrame) -> pd.DataFrame:
    """Returns means over each epoch, at its end: those that a run has recorded, else of its records."""
    last = records.loc[records["loss"].last_valid_index()]
    epoch = published_csv.epochs(records, last["epoch"] / last["step"])
    means = records.drop(columns="epoch").groupby(epoch).mean(numeric_only=True)
    for metric, recorded in published_csv.OF_EPOCHS.items():
        if recorded in means:  # an epoch after the last one that is recorded is not whole
            whole = means.loc[: means[recorded].last_valid_index(), metric]
            means[metric] = means[recorded].fillna(whole)
    return means.rename_axis("epoch").reset_index()


def draw(curves: Sequence[Curve]) -> "Figure":
    """Draws a row for each of ROWS: means of epochs on the left, single records on the right."""
    from matplotlib.ticker import NullFormatter

    figure = new_figure(9.5, 8)
    axes = figure.subplots(len(ROWS), 2, sharey="row")
    epochs = [curve._replace(records=[per_epoch(r) for r in curve.records]) for curve in curves]
    for i, (metric, label) in enumerate(ROWS.items()):
        for axis, along, shown in zip(axes[i], ("epoch", "step"), (epochs, curves), strict=True):
            for curve, style in zip(shown, styles(), strict=False):
                if all(metric in records for records in curve.records):
                    draw_curve(axis, curve, along, metric, **style)
            hide_upper_spines(axis)
        axes[i, 0].set_ylabel(label)
        axes[i, 0].xaxis.get_major_locator().set_params(integer=True)
        axes[i, 1].set_xscale("log")
        axes[i, 1].xaxis.set_minor_formatter(NullFormatter())
        if _is_positive(curves, metric):  # rates of hypergradient descent may turn negative
            axes[i, 0].set_yscale("log")
    axes[-1, 0].set_xlabel("epoch (means)")
    axes[-1, 1].set_xlabel("iteration")
    draw_legend(figure)
    return figure


def _is_positive(curves: Sequence[Curve], metric: str) -> bool:
    """Tells whether all values of a metric can stand on a logarithmic axis."""
    return all((r[metric].dropna() > 0).all() for curve in curves for r in curve.records if metric in r)
