"""Learning rates and losses of several runs in one picture: `./run.sh plot compare`.

Laid out as the figures of Baydin et al., 'Online Learning Rate Adaptation with Hypergradient Descent', ICLR 2018:
the learning rate, the training loss and the held-out loss, against epochs and against iterations.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from analysis import curves, history
from analysis.curves import Curve
from analysis.history import History
from lib import tables
from lib.errors import ConfigError

ROWS = {
    "learning_rate": "learning rate",
    "loss": "training loss",
    "held_out_loss": "held-out loss",
}
# Of the data of runs that compare.
_SAME = {"name", "kwargs", "train_split", "eval_split", "validation_size"}
_SLACK = 0.02  # an epoch's last batch may run on into the next


def of_runs(paths: Sequence[str | Path]) -> list[Curve]:
    """The curves of runs of one player: columns step, epoch, seconds, the ones of ROWS, and accuracy if there is one.

    Raises:
      ConfigError: a run has no learning rate or loss of its own, several players', or other data than the first.
    """
    runs = [history.read(path) for path in paths]
    data = lambda run: run.config.dataset.model_dump(include=_SAME)
    for run in runs:
        if data(run) != data(runs[0]):
            raise ConfigError(f"'{run.path}' has other data than '{runs[0].path}'; compare like with like")
    return curves.of(runs, _table)


def _table(run: History) -> pd.DataFrame:
    """Records of training and on held-out data, one below the other."""
    train = run.train.rename(columns={_only(run, end): end for end in ("learning_rate", "loss")})
    names = {"loss": "held_out_loss", "accuracy": "held_out_accuracy"}
    return pd.concat([train, run.held_out.rename(columns=names)], ignore_index=True)


def _only(run: History, end: str) -> str:
    """The one metric of training whose name ends so."""
    found = [name for name in run.train if name.endswith(end)]
    if len(found) != 1:
        what = f"several: {', '.join(found)}" if found else "none"
        raise ConfigError(
            f"plot compare: '{run.path}' must have one metric that ends in {end}; it has {what}"
        )
    return found[0]


def table(methods: Sequence[Curve]) -> str:
    """For each curve, means over seeds of the last epoch's training loss, and of the last held-out metrics."""
    head = ("run", "seeds", "last rate", "training loss", "held-out loss", "best", "accuracy", "steps/s")
    return tables.aligned([head, *map(_row, methods)])


def _row(curve: Curve) -> tuple[str, ...]:
    last = lambda records, name: records[name].dropna().iloc[-1] if name in records else np.nan
    every = lambda function: curves.mean(pd.Series([function(records) for records in curve.records]))
    return (
        curve.label,
        str(len(curve.records)),
        every(lambda r: last(r, "learning_rate")),
        every(lambda r: last(per_epoch(r), "loss")),
        every(lambda r: last(r, "held_out_loss")),
        every(lambda r: r["held_out_loss"].min() if "held_out_loss" in r else np.nan),
        every(lambda r: last(r, "held_out_accuracy")),
        every(lambda r: last(r, "steps_per_second")),
    )


def per_epoch(records: pd.DataFrame) -> pd.DataFrame:
    """Means over the records of each epoch, at its end."""
    epoch = np.ceil(records["epoch"] - _SLACK)
    return records.drop(columns="epoch").groupby(epoch).mean(numeric_only=True).reset_index()


def picture(methods: Sequence[Curve]) -> Figure:
    """A row for each of ROWS: means of epochs on the left, single records on the right."""
    figure = Figure(figsize=(9.5, 8), layout="constrained")
    axes = figure.subplots(len(ROWS), 2, sharey="row")
    epochs = [curve._replace(records=[per_epoch(r) for r in curve.records]) for curve in methods]
    for i, (metric, label) in enumerate(ROWS.items()):
        for axis, along, shown in zip(axes[i], ("epoch", "step"), (epochs, methods), strict=True):
            for curve, style in zip(shown, curves.styles(), strict=False):
                if all(metric in records for records in curve.records):
                    curves.draw(axis, curve, along, metric, **style)
            axis.spines[["top", "right"]].set_visible(False)
        axes[i, 0].set_ylabel(label)
        axes[i, 0].xaxis.get_major_locator().set_params(integer=True)
        axes[i, 1].set_xscale("log")
        axes[i, 1].xaxis.set_minor_formatter(NullFormatter())
        if _positive(methods, metric):  # rates of hypergradient descent may turn negative
            axes[i, 0].set_yscale("log")
    axes[-1, 0].set_xlabel("epoch (means)")
    axes[-1, 1].set_xlabel("iteration")
    curves.legend(figure)
    return figure


def _positive(methods: Sequence[Curve], metric: str) -> bool:
    return all((r[metric].dropna() > 0).all() for curve in methods for r in curve.records if metric in r)
