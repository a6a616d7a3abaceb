"""Pictures that several papers' files draw: bars of means over seeds, and curves of runs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from analysis.reproduce.results import Curve, Mean
from lib.pictures.colours import COLOURS
from lib.pictures.figures import hide_upper_spines, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def bars(groups: Mapping[str, Mapping[str, Mean]], x: str, y: str) -> "Figure":
    """Draws a panel of bars for each group: means, with the intervals of bootstraps.

    Args:
      groups: {title: {label: mean}}.
      x, y: labels of the axes.
    """
    most = max(map(len, groups.values()))
    figure = new_figure(1.0 + max(2.6, 0.5 * most) * len(groups), 3.0)
    axes = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for axis, (title, means) in zip(axes, groups.items(), strict=True):
        for i, (mean, colour) in enumerate(zip(means.values(), COLOURS * len(means), strict=False)):
            spread = [[mean.mean - mean.low], [mean.high - mean.mean]]
            axis.bar(i, mean.mean, color=colour, yerr=np.maximum(np.nan_to_num(spread), 0), capsize=3)
        turn = {"rotation": 30, "ha": "right"} if max(map(len, means)) > 6 else {}
        axis.set_xticks(range(len(means)), list(means), **turn)
        axis.set(title=title, xlabel=x)
        hide_upper_spines(axis)
    axes[0].set_ylabel(y)
    return figure


def curves(
    panels: Mapping[str, Mapping[str, Sequence[Curve]]], x: str, y: str, log: bool = True
) -> "Figure":
    """Draws a panel of curves for each group: the mean over seeds, and thin lines of each.

    Args:
      panels: {title: {label: the curves of its seeds}}.
      x, y: labels of the axes.
      log: whether y is logarithmic.
    """
    figure = new_figure(1.0 + 3.4 * len(panels), 3.4)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        for (label, runs), colour in zip(lines.items(), COLOURS * len(lines), strict=False):
            for run in runs:
                axis.plot(run.steps, run.values, color=colour, lw=0.5, alpha=0.5)
            n = min((len(run.steps) for run in runs), default=0)
            if n:
                mean = np.mean([run.values[:n] for run in runs], 0)
                axis.plot(runs[0].steps[:n], mean, color=colour, lw=1.5, label=label)
        axis.set(title=title, xlabel=x)
        if log:
            axis.set_yscale("log")
        axis.legend(frameon=False, fontsize="small")
        hide_upper_spines(axis)
    axes[0].set_ylabel(y)
    return figure
