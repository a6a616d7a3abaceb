"""The largest Hessian eigenvalue along the training of runs of one player, and the edge of stability 2/h.

Gradient descent with rate h oscillates along an eigenvector of the Hessian whose eigenvalue is above 2/h. Full-batch
training raises the largest one, the sharpness, until it hovers there.

Cohen, Kaur, Li, Kolter, Talwalkar, 'Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability',
ICLR 2021; with rates that adapt, Rosca, Wu, Qin, Dherin, TMLR 2023.
"""

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from analysis import curves, history, trained_game
from analysis.curves import Curve
from analysis.history import History
from lib import tables
from lib.errors import ConfigError
from lib.games.spectrum import eigenvalues, hessian
from lib.runtime import checkpoints
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder

_TOLERANCE = 1e-4


def of_runs(paths: Sequence[str | Path], examples: int | None = None) -> list[Curve]:
    """The curves of runs: columns step and loss, bound (2/h of the rate that was used), or sharpness of checkpoints.

    Args:
      examples: of the training split, that the Hessian is of; by default as many as a step takes, which in
        full-batch training is all.

    Raises:
      ConfigError: no run, one of several players or with fewer than two checkpoints, or examples that do not fit.
    """
    return curves.of([history.read(path) for path in paths], lambda run: _table(run, examples))


def _table(run: History, examples: int | None) -> pd.DataFrame:
    """Records of training, and below them one line for each checkpoint."""
    folder = RunFolder(run.path)
    programs = trained_game.open_run(folder)
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
    steps = checkpoints.steps(folder.checkpoints)
    if len(steps) < 2:
        raise ConfigError(
            f"'{folder.path}' has {len(steps)} checkpoints; train it with a larger config.keep_checkpoints"
        )
    batch, key = trained_game.first_examples(programs, examples), jax.random.key(programs.config.seed)
    found = []
    for step in tqdm(steps, unit="checkpoint", desc="sharpness", delay=2, disable=None):
        _, state = folder.restore(programs.abstract_state(), step)
        operator = hessian(programs.experiment.game.rule, state, batch, key, player)
        found.append(eigenvalues(operator, 1, "LR", tolerance=_TOLERANCE)[0])
    return pd.DataFrame({"step": steps, "sharpness": found})


def table(methods: Sequence[Curve]) -> str:
    """The sharpness of every run, or the mean of runs over seeds, and how often it was at or above 2/h."""
    head = ("run", "seeds", "checkpoints", "largest sharpness", "last", "last 2/h", "at or above 2/h")
    return tables.aligned([head, *map(_row, methods)])


def _row(curve: Curve) -> tuple[str, ...]:
    every = lambda function: curves.mean(pd.Series([function(r) for r in curve.records]))
    sharpness = lambda r: r["sharpness"].dropna()
    return (
        curve.label,
        str(len(curve.records)),
        every(lambda r: len(sharpness(r))),
        every(lambda r: sharpness(r).max()),
        every(lambda r: sharpness(r).iloc[-1]),
        every(lambda r: r["bound"].dropna().iloc[-1]),
        every(lambda r: int((sharpness(r).to_numpy() >= _bound(r)).sum())),
    )


def _bound(records: pd.DataFrame) -> np.ndarray:
    """2/h at the checkpoints."""
    train = records.dropna(subset="bound")
    return np.interp(records.dropna(subset="sharpness")["step"], train["step"], train["bound"])


def picture(methods: Sequence[Curve]) -> Figure:
    """A column for each run: above the sharpness and, dashed, 2/h; below the training loss."""
    columns = len(methods)
    figure = Figure(figsize=(1.5 + 2.3 * columns, 5.2), layout="constrained")
    axes = figure.subplots(2, columns, sharex="col", sharey="row", squeeze=False, height_ratios=(2, 1))
    for (top, below), curve, style in zip(axes.T, methods, curves.styles(), strict=False):
        curves.draw(top, curve._replace(label="largest eigenvalue"), "step", "sharpness", **style)
        edge = {"color": "black", "marker": "", "ls": "--"}
        curves.draw(top, curve._replace(label="2/h"), "step", "bound", **edge)
        curves.draw(below, curve, "step", "loss", **style | {"marker": ""})
        top.set_title(curve.label.replace(", ", "\n"), fontsize="small")
        top.legend(frameon=False, fontsize="small")
        below.set_xlabel("step")
        for axis in (top, below):
            axis.set_yscale("log")
            axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("eigenvalue of the Hessian")
    axes[1, 0].set_ylabel("training loss")
    return figure
