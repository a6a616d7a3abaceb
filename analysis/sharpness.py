"""The largest Hessian eigenvalues along the training of runs of one player, and the edge of stability 2/h.

Gradient descent with rate h oscillates along an eigenvector of the Hessian whose eigenvalue is above 2/h.
Full-batch training raises the largest one, the sharpness, until it hovers there: `./run.sh plot sharpness`.

Cohen, Kaur, Li, Kolter, Talwalkar, 'Gradient Descent on Neural Networks Typically Occurs at the Edge of
Stability', ICLR 2021; with rates that adapt, Rosca, Wu, Qin, Dherin, TMLR 2023, whose stability
coefficients h lam_i and shares (u_i . g)^2 / |g|^2 of the gradient g --k adds.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import pandas as pd
from absl import flags
from jax.flatten_util import ravel_pytree
from tqdm import tqdm

from analysis import history, trained_game
from analysis.command import define_examples, define_out, parse_folders, save
from analysis.curves import Curve, draw_curve, group_by_setting, over_seeds, styles
from analysis.history import History
from lib.errors import ConfigError
from lib.games.eigenvalues import top_eigenpairs
from lib.games.operators import hessian
from lib.games.updates import BoundRule, GameState
from lib.pictures.figures import hide_upper_spines, new_figure
from lib.runtime import checkpoints
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder
from lib.tables import aligned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USAGE = """Draws, and prints, the largest Hessian eigenvalue of runs of one player along training, and 2/h.

  ./run.sh plot sharpness RUN [RUN ...] [--k=1] [--examples=N] [--batches=1] [--out=FILE]

With --k=3 also h lam of the first three eigenvalues, and the gradient's share along their eigenvectors.
"""
_TOLERANCE = 1e-4


def define(values: flags.FlagValues) -> None:
    """Defines the flags of this picture."""
    flags.DEFINE_integer("k", 1, "How many eigenvalues.", lower_bound=1, flag_values=values)
    define_examples(values)
    define_out(values, "sharpness.png")


def run(argv: list[str]) -> None:
    """Draws, and prints, the largest Hessian eigenvalue along training and the edge of stability 2/h.

    Raises:
      ConfigError: unknown flags, or folders that hold no such runs.
    """
    folders, values = parse_folders(argv, define, USAGE, "sharpness")
    curves = read_curves(folders, values.examples, values.k, values.batches)
    print(table(curves))
    save(draw(curves), Path(values.out))


def read_curves(
    paths: Sequence[str | Path], examples: int | None = None, k: int = 1, batches: int = 1
) -> list[Curve]:
    """Reads the records of runs, and computes the sharpness of their checkpoints.

    Args:
      paths: the runs' folders.
      examples: of the training split, that the Hessian is of; by default as many as a step takes, which in
        full-batch training is all.
      k: how many eigenvalues.
      batches: of so many examples, whose mean loss the Hessian is of.

    Returns:
      Tables with the columns step and loss, bound (2/h of the rate that was used), or sharpness of
      checkpoints; with k > 1 also `h lam i` and `share i` of these, i from 1 on.

    Raises:
      ConfigError: no run, one of several players or with fewer than two checkpoints, or examples that do
        not fit.
    """
    runs = [history.read(path) for path in paths]
    return group_by_setting(runs, functools.partial(_records, examples=examples, batches=batches, k=k))


def _records(run: History, examples: int | None, batches: int, k: int) -> pd.DataFrame:
    """Returns records of training, and below them one line for each checkpoint."""
    folder = RunFolder(run.path)
    programs, batch = trained_game.open_game(folder, examples, batches)
    players = programs.experiment.game.rule.dynamics.game.players
    if len(players) > 1:
        raise ConfigError(
            f"'{run.path}' has the players {', '.join(players)}; plot spectrum shows their Hessians"
        )
    (player,) = players
    rates = run.train[f"{player}_learning_rate"]
    bound = 2 / rates.where(rates > 0)  # a warm-up may begin at 0
    train = run.train[["step"]].assign(loss=run.train[f"{player}_loss"], bound=bound)
    saved = _sharpness(programs, folder, player, batch, k)
    for i in range(1, k + 1 if k > 1 else 1):
        saved[f"h lam {i}"] *= np.interp(saved["step"], train["step"], rates)
    return pd.concat([train, saved], ignore_index=True)


def _sharpness(programs: Programs, folder: RunFolder, player: str, batch: Any, k: int) -> pd.DataFrame:
    """Computes the largest Hessian eigenvalues at every checkpoint, and the gradient's shares.

    Returns:
      Columns step and sharpness, and with k > 1 `h lam i`, yet without h, and `share i`.

    Raises:
      ConfigError: there are fewer than two checkpoints, or fewer than k parameters.
    """
    steps = checkpoints.steps(folder.checkpoints)
    if len(steps) < 2:
        raise ConfigError(
            f"'{folder.path}' has {len(steps)} checkpoints; train it with a larger config.keep_checkpoints"
        )
    key = jax.random.key(programs.config.seed)
    rule, lines = programs.experiment.game.rule, []
    for step in tqdm(steps, unit="checkpoint", desc="sharpness", delay=2, disable=None):
        _, state = folder.restore(programs.abstract_state(), step)
        operator = hessian(rule, state, batch, key, player)
        if k > operator.size:
            raise ConfigError(f"{k} eigenvalues of {operator.size} parameters", "--k")
        values, vectors = top_eigenpairs(operator, k, tolerance=_TOLERANCE)
        lines.append({"step": step, "sharpness": values[0]})
        if k > 1:
            shares = (vectors @ _gradient(rule, state, batch, key, player)) ** 2
            lines[-1] |= {f"h lam {i}": value for i, value in enumerate(values, 1)}
            lines[-1] |= {f"share {i}": share for i, share in enumerate(shares, 1)}
    return pd.DataFrame(lines)


def _gradient(rule: BoundRule, state: GameState, batch: Any, key: jax.Array, player: str) -> np.ndarray:
    """Returns the direction of a player's gradient, a flat vector of norm 1; NaN where it is 0."""
    evaluation = rule.dynamics.evaluate(state, rule.dynamics.coefficients(state), batch, key, [player])
    flat = np.asarray(ravel_pytree(evaluation.grads[player])[0], np.float64)
    return flat / (np.linalg.norm(flat) or np.nan)


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
    """Draws a column for each run: the sharpness and, dashed, 2/h; the training loss; what k > 1 adds."""
    columns, k = len(curves), _num_shares(curves)
    rows = 4 if k else 2
    figure = new_figure(1.5 + 2.3 * columns, 1.8 + 1.7 * rows)
    ratios = (2, 1, 1.5, 1.5)[:rows]
    axes = figure.subplots(rows, columns, sharex="col", sharey="row", squeeze=False, height_ratios=ratios)
    for (top, below, *more), curve, style in zip(axes.T, curves, styles(), strict=False):
        draw_curve(top, curve._replace(label="largest eigenvalue"), "step", "sharpness", **style)
        edge = {"color": "black", "marker": "", "ls": "--"}
        draw_curve(top, curve._replace(label="2/h"), "step", "bound", **edge)
        draw_curve(below, curve, "step", "loss", **style | {"marker": ""})
        top.set_title(curve.label.replace(", ", "\n"), fontsize="small")
        top.legend(frameon=False, fontsize="small")
        for axis, name in zip(more, ("h lam", "share"), strict=False):
            for i, each in zip(range(1, k + 1), styles(), strict=False):
                draw_curve(axis, curve._replace(label=f"{name} {i}"), "step", f"{name} {i}", **each)
            axis.legend(frameon=False, fontsize="x-small", ncols=2)
            hide_upper_spines(axis)
        if more:
            more[0].axhline(2, color="black", lw=0.8, ls="--")
        for axis in (top, below):
            axis.set_yscale("log")
            hide_upper_spines(axis)
    for axis in axes[-1]:
        axis.set_xlabel("step")
    labels = ("eigenvalue of the Hessian", "training loss", "h eigenvalue", "share of the gradient")
    for axis, label in zip(axes[:, 0], labels, strict=False):
        axis.set_ylabel(label)
    return figure


def _num_shares(curves: Sequence[Curve]) -> int:
    """Returns of how many eigenvectors the shares are known, 0 of none."""
    return sum(name.startswith("share") for name in curves[0].records[0])
