"""The largest Hessian eigenvalue along the training of runs of one player, and the edge of stability 2/h.

Gradient descent with rate h oscillates along an eigenvector of the Hessian whose eigenvalue is above 2/h.
Full-batch training raises the largest one, the sharpness, until it hovers there: `./run.sh plot sharpness`.

Cohen, Kaur, Li, Kolter, Talwalkar, 'Gradient Descent on Neural Networks Typically Occurs at the Edge of
Stability', ICLR 2021; with rates that adapt, Rosca, Wu, Qin, Dherin, TMLR 2023.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
import pandas as pd
from absl import flags
from tqdm import tqdm

from analysis import history, trained_game
from analysis.command import define_examples, define_out, parse_folders, save
from analysis.curves import Curve, draw_curve, group_by_setting, over_seeds, styles
from analysis.history import History
from lib.errors import ConfigError
from lib.games.eigenvalues import eigenvalues
from lib.games.operators import hessian
from lib.pictures.figures import hide_upper_spines, new_figure
from lib.runtime import checkpoints
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder
from lib.tables import aligned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USAGE = """Draws, and prints, the largest Hessian eigenvalue of runs of one player along training, and 2/h.

  ./run.sh plot sharpness RUN [RUN ...] [--examples=N] [--out=FILE]
"""
_TOLERANCE = 1e-4


def define(values: flags.FlagValues) -> None:
    """Defines the flags of this picture."""
    define_examples(values)
    define_out(values, "sharpness.png")


def run(argv: list[str]) -> None:
    """Draws, and prints, the largest Hessian eigenvalue along training and the edge of stability 2/h.

    Raises:
      ConfigError: unknown flags, or folders that hold no such runs.
    """
    folders, values = parse_folders(argv, define, USAGE, "sharpness")
    curves = read_curves(folders, values.examples)
    print(table(curves))
    save(draw(curves), Path(values.out))


def read_curves(paths: Sequence[str | Path], examples: int | None = None) -> list[Curve]:
    """Reads the records of runs, and computes the sharpness of their checkpoints.

    Args:
      paths: the runs' folders.
      examples: of the training split, that the Hessian is of; by default as many as a step takes, which in
        full-batch training is all.

    Returns:
      Tables with the columns step and loss, bound (2/h of the rate that was used), or sharpness of
      checkpoints.

    Raises:
      ConfigError: no run, one of several players or with fewer than two checkpoints, or examples that do
        not fit.
    """
    runs = [history.read(path) for path in paths]
    return group_by_setting(runs, functools.partial(_records, examples=examples))


def _records(run: History, examples: int | None) -> pd.DataFrame:
    """Returns records of training, and below them one line for each checkpoint."""
    folder = RunFolder(run.path)
    programs = trained_game.open_game(folder)
    players = programs.experiment.game.rule.dynamics.game.players
    if len(players) > 1:
        raise ConfigError(
            f"'{run.path}' has the players {', '.join(players)}; plot spectrum shows their Hessians"
        )
    (player,) = players
    train = run.train[["step"]].assign(
        loss=run.train[f"{player}_loss"], bound=2 / run.train[f"{player}_learning_rate"]
    )
    return pd.concat([train, _sharpness(programs, folder, player, examples)], ignore_index=True)


def _sharpness(programs: Programs, folder: RunFolder, player: str, examples: int | None) -> pd.DataFrame:
    """Computes the largest Hessian eigenvalue at every checkpoint: columns step and sharpness."""
    steps = checkpoints.steps(folder.checkpoints)
    if len(steps) < 2:
        raise ConfigError(
            f"'{folder.path}' has {len(steps)} checkpoints; train it with a larger config.keep_checkpoints"
        )
    batch, key = trained_game.first_examples(programs, examples), jax.random.key(programs.config.seed)
    largest = []
    for step in tqdm(steps, unit="checkpoint", desc="sharpness", delay=2, disable=None):
        _, state = folder.restore(programs.abstract_state(), step)
        operator = hessian(programs.experiment.game.rule, state, batch, key, player)
        largest.append(eigenvalues(operator, 1, "LR", tolerance=_TOLERANCE)[0])
    return pd.DataFrame({"step": steps, "sharpness": largest})


def table(curves: Sequence[Curve]) -> str:
    """Formats the sharpness of every run, or the mean over seeds, and how often it was at or above 2/h."""
    head = ("run", "seeds", "checkpoints", "largest sharpness", "last", "last 2/h", "at or above 2/h")
    return aligned([head, *map(_row, curves)])


def _row(curve: Curve) -> tuple[str, ...]:
    return (
        curve.label,
        str(len(curve.records)),
        over_seeds(curve, lambda records: records["sharpness"].count()),
        over_seeds(curve, lambda records: records["sharpness"].max()),
        over_seeds(curve, lambda records: records["sharpness"].dropna().iloc[-1]),
        over_seeds(curve, lambda records: records["bound"].dropna().iloc[-1]),
        over_seeds(curve, _times_at_the_edge),
    )


def _times_at_the_edge(records: pd.DataFrame) -> int:
    """Counts the checkpoints whose sharpness is at or above 2/h."""
    train, saved = records.dropna(subset="bound"), records.dropna(subset="sharpness")
    bound = np.interp(saved["step"], train["step"], train["bound"])
    return int((saved["sharpness"].to_numpy() >= bound).sum())


def draw(curves: Sequence[Curve]) -> "Figure":
    """Draws a column for each run: above the sharpness and, dashed, 2/h; below the training loss."""
    columns = len(curves)
    figure = new_figure(1.5 + 2.3 * columns, 5.2)
    axes = figure.subplots(2, columns, sharex="col", sharey="row", squeeze=False, height_ratios=(2, 1))
    for (top, below), curve, style in zip(axes.T, curves, styles(), strict=False):
        draw_curve(top, curve._replace(label="largest eigenvalue"), "step", "sharpness", **style)
        edge = {"color": "black", "marker": "", "ls": "--"}
        draw_curve(top, curve._replace(label="2/h"), "step", "bound", **edge)
        draw_curve(below, curve, "step", "loss", **style | {"marker": ""})
        top.set_title(curve.label.replace(", ", "\n"), fontsize="small")
        top.legend(frameon=False, fontsize="small")
        below.set_xlabel("step")
        for axis in (top, below):
            axis.set_yscale("log")
            hide_upper_spines(axis)
    axes[0, 0].set_ylabel("eigenvalue of the Hessian")
    axes[1, 0].set_ylabel("training loss")
    return figure
