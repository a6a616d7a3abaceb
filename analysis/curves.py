"""Curves of runs in one picture: one for each setting, its mean and range over seeds."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from analysis import history
from analysis.history import History
from lib.pictures.colours import COLOURS
from lib.tables import mean_and_spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "osD^vP*X"
_MARKED = 10  # markers on a curve, about


class Curve(NamedTuple):
    """One method or setting.

    Attributes:
      label: what the legend calls it.
      records: one table for each seed.
    """

    label: str
    records: list[pd.DataFrame]


def group_by_setting(runs: Sequence[History], records: Callable[[History], pd.DataFrame]) -> list[Curve]:
    """Returns the curves of runs, in their order; runs that differ in the seed alone are one.

    Args:
      runs: all of one experiment.
      records: a run's table.
    """
    grouped: dict[str, list[pd.DataFrame]] = {}
    for label, run in zip(history.labels(runs), runs, strict=True):
        grouped.setdefault(label, []).append(records(run))
    return [Curve(label, tables) for label, tables in grouped.items()]


def styles() -> Iterator[dict[str, str]]:
    """Yields colours and markers without end; either tells curves apart."""
    for colour, marker in zip(itertools.cycle(COLOURS), itertools.cycle(_MARKERS), strict=False):
        yield {"color": colour, "marker": marker}


def draw_curve(
    axis: "Axes", curve: Curve, along: str, metric: str, least: float = -np.inf, **style
) -> None:
    """Draws the mean of a metric over seeds, and a band from the least to the largest.

    Args:
      axis: where.
      curve: its tables have the columns `along` and `metric`; what is missing is left out.
      along: the column of the x axis.
      metric: the column of the y axis.
      least: smaller values are drawn as this one, where a logarithmic axis has no place for them.
      style: colour and marker.
    """
    records = [r[[along, metric]].dropna().to_numpy().T for r in curve.records]
    n = min(x.shape[1] for x in records)
    at = np.mean([x[0, :n] for x in records], 0)
    values = np.maximum([x[1, :n] for x in records], least)
    every = max(1, n // _MARKED)
    axis.plot(at, values.mean(0), label=curve.label, lw=1.2, ms=4, markevery=every, **style)
    if len(records) > 1:
        axis.fill_between(at, values.min(0), values.max(0), color=style["color"], alpha=0.18, lw=0)


def draw_legend(figure: "Figure", columns: int = 2) -> None:
    """Draws one legend above all axes, of the first one's curves."""
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=columns, frameon=False)


def over_seeds(curve: Curve, number: Callable[[pd.DataFrame], float]) -> str:
    """Returns mean and standard deviation over a curve's seeds of a number of each table, as text."""
    return spread(pd.Series([number(records) for records in curve.records]))


def spread(values: pd.Series) -> str:
    """Returns mean and standard deviation of values as text."""
    return mean_and_spread(values.mean(), values.std())
