"""A slice of a trained player's loss along two directions: `./run.sh plot landscape RUN`.

    L(theta_x + a u_1 + b u_2),  u_1, u_2 the top eigenvectors of player x's Hessian at a checkpoint,

the other players held, with the projections of the run's checkpoints: how the path bounces along the
sharpest directions. Directions can be saved, and used on another checkpoint or run of the same network.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jax.flatten_util import ravel_pytree

from analysis import trained_game
from analysis.command import define_examples, define_file, define_out, parse_folders, save
from lib.errors import ConfigError, lookup
from lib.games.eigenvalues import top_eigenpairs
from lib.games.operators import hessian
from lib.games.updates import BoundRule, GameState
from lib.pictures.colours import COLOURS
from lib.pictures.figures import new_figure
from lib.runtime import checkpoints, run_folder
from lib.runtime.files import asked_for
from lib.runtime.npy_files import write_npy
from lib.runtime.progress import Progress
from lib.tables import aligned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USAGE = """Draws a player's loss along the top two eigenvectors of its Hessian, and the run's path there.

  ./run.sh plot landscape PATH [--player=NAME] [--points=41] [--examples=N] [--batches=1]
    [--directions=FILE.npy] [--save_directions=FILE.npy] [--out=FILE]

PATH is a work directory, for its newest checkpoint, or one step's folder: the slice's origin. Directions
that were saved take the eigenvectors' place.
"""
_TOLERANCE = 1e-4  # of eigenvalues
_SHOWN = 11  # checkpoints in the table
_ROOM = 0.25  # beside the path, a share of its extent


class Landscape(NamedTuple):
    """A slice, and a path.

    Attributes:
      name: of the run, the step and the player.
      curvature: [2], u_i^T H u_i at the origin.
      along: ([points], [points]), a and b.
      losses: [points, points], at (b, a).
      steps: of the checkpoints.
      path: [checkpoints, 2], their a and b.
      share: [checkpoints], which share of their squared distance from the origin the slice has; NaN there.
    """

    name: str
    curvature: np.ndarray
    along: tuple[np.ndarray, np.ndarray]
    losses: np.ndarray
    steps: list[int]
    path: np.ndarray
    share: np.ndarray


def define(values: flags.FlagValues) -> None:
    """Defines the flags of this picture."""
    flags.DEFINE_string("player", None, "Whose loss; default: the first.", flag_values=values)
    flags.DEFINE_integer("points", 41, "On a side.", lower_bound=3, flag_values=values)
    flags.DEFINE_string("directions", None, "A file that was saved.", flag_values=values)
    define_file(values, "save_directions", None, "The file of the directions.", ".npy")
    define_examples(values)
    define_out(values, "landscape.png")


def run(argv: list[str]) -> None:
    """Draws a slice of a player's loss, and prints the curvatures and the path's share.

    Raises:
      ConfigError: unknown flags, a folder that holds no such run, or directions that do not fit.
    """
    folders, values = parse_folders(argv, define, USAGE, "landscape")
    if len(folders) > 1:
        raise ConfigError(f"'{folders[1]}': name one run", "plot landscape")
    folder, step = run_folder.find(folders[0])
    programs, batch = trained_game.open_game(folder, values.examples, values.batches)
    step, origin = folder.restore(programs.abstract_state(), step)
    rule, key = programs.experiment.game.rule, jax.random.key(programs.config.seed)
    players = rule.dynamics.game.players
    player = lookup({x: x for x in players}, values.player or players[0], "--player")
    where = (rule, origin, batch, key, player)
    directions = _read(values.directions, where) if values.directions else _top_two(where)
    if values.save_directions:
        file = Path(values.save_directions)
        with asked_for(file, "--save_directions"):
            write_npy(file, directions)
    steps = checkpoints.steps(folder.checkpoints)
    states = (folder.restore(programs.abstract_state(), s)[1] for s in steps)
    points = np.stack([_flat(state, player) for state in states])
    name = f"{folder.path.name}, step {step:,}, {player}"
    landscape = compute(name, where, directions, steps, points, values.points)
    print(table(landscape))
    save(draw(landscape), Path(values.out))


def compute(
    name: str,
    where: tuple[BoundRule, GameState, Any, jax.Array, str],
    directions: np.ndarray,
    steps: list[int],
    points: np.ndarray,
    size: int,
) -> Landscape:
    """Computes a slice through a state, and where a run's checkpoints are beside it.

    Args:
      name: of the picture.
      where: (rule, state, batch, key, player), as of `lib.games.operators.hessian`.
      directions: [2, n], orthonormal.
      steps: of the checkpoints.
      points: [checkpoints, n], their parameters of the player, flat.
      size: of the grid, points on a side.
    """
    rule, state, batch, key, player = where
    apart = points - _flat(state, player)
    path = apart @ directions.T
    squares = (apart**2).sum(1)
    with np.errstate(invalid="ignore"):
        share = (path**2).sum(1) / np.where(squares > 0, squares, np.nan)
    loss = _own_loss(where, directions)
    operator = hessian(*where)
    curvature = [u @ np.asarray(operator.apply(jnp.asarray(u, operator.dtype)), float) for u in directions]
    reach = np.sqrt(abs(float(loss(0.0, 0.0))) / np.maximum(np.abs(curvature), 1e-12))
    along = tuple(_range(path[:, i], reach[i], size) for i in range(2))
    losses, progress = [], Progress(size, unit="row", label="landscape")
    for b in along[1]:
        losses.append([float(loss(a, b)) for a in along[0]])
        progress.advance(1)
        progress.show({})
    progress.close()
    return Landscape(name, np.array(curvature), along, np.array(losses), list(steps), path, share)


def _own_loss(where: tuple, directions: np.ndarray) -> Callable:
    """Returns `(a, b) -> the player's loss` there, compiled."""
    rule, state, batch, key, player = where
    flat, unravel = ravel_pytree(state.params[player])
    directions = jnp.asarray(directions, flat.dtype)
    coefficients = rule.dynamics.coefficients(state)

    @jax.jit
    def loss(a, b):
        evaluation = rule.dynamics.evaluate(state, coefficients, batch, key, [player])
        return evaluation.own_loss[player](unravel(flat + a * directions[0] + b * directions[1]))

    return loss


def _range(path: np.ndarray, reach: float, size: int) -> np.ndarray:
    """Returns where to look along a direction: around the path, and as far as the loss about doubles."""
    low, high = min(path.min(), -reach), max(path.max(), reach)
    room = _ROOM * (high - low)
    return np.linspace(low - room, high + room, size)


def _flat(state: GameState, player: str) -> np.ndarray:
    return np.asarray(ravel_pytree(state.params[player])[0], np.float64)


def _top_two(where: tuple) -> np.ndarray:
    """Returns the top two eigenvectors [2, n] of a player's Hessian."""
    operator = hessian(*where)
    if operator.size < 2:
        raise ConfigError("one parameter has no two directions", "plot landscape")
    return top_eigenpairs(operator, 2, tolerance=_TOLERANCE)[1]


def _read(file: str, where: tuple) -> np.ndarray:
    """Reads two directions, made orthonormal."""
    _, state, _, _, player = where
    n = _flat(state, player).size
    text = f"'{file}' holds no directions; name a file that was saved"
    try:
        directions = np.asarray(np.load(file, allow_pickle=False)).astype(np.float64)
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise ConfigError(text, "--directions") from error
    if directions.shape != (2, n):
        raise ConfigError(f"'{file}' has shape {directions.shape}; {player} needs (2, {n})", "--directions")
    if not np.isfinite(directions).all() or np.linalg.matrix_rank(directions) < 2:
        raise ConfigError(text, "--directions")
    return np.linalg.qr(directions.T)[0].T


def table(landscape: Landscape) -> str:
    """Formats the curvatures, and where checkpoints are, the first, the last and some between."""
    first, second = landscape.curvature
    title = f"{landscape.name}: curvature {first:.4g} and {second:.4g} along the two directions"
    rows = [("step", "along 1", "along 2", "share of the squared distance")]
    shown = np.unique(np.linspace(0, len(landscape.steps) - 1, _SHOWN).round().astype(int))
    for i in shown:
        a, b = landscape.path[i]
        share = "the origin" if np.isnan(landscape.share[i]) else f"{landscape.share[i]:.2%}"
        rows.append((f"{landscape.steps[i]:,}", f"{a:.4g}", f"{b:.4g}", share))
    return "\n".join([title, aligned(rows)])


def draw(landscape: Landscape) -> "Figure":
    """Draws the losses as levels, and the path over them."""
    figure = new_figure(5.2, 4.2)
    axis = figure.subplots()
    losses, label = landscape.losses, "loss"
    if losses.min() > 0:
        losses, label = np.log10(losses), "log10 of the loss"
    levels = axis.contourf(*landscape.along, losses, 16, cmap="viridis")
    axis.contour(*landscape.along, losses, 12, colors="white", linewidths=0.4, linestyles="solid")
    axis.plot(*landscape.path.T, ".-", color=COLOURS[1], lw=1, ms=4, label="checkpoints")
    begin = {"mfc": "white", "mec": COLOURS[1], "ms": 7, "label": f"step {landscape.steps[0]:,}"}
    axis.plot(*landscape.path[0], "o", **begin)
    axis.plot(0, 0, "*", color="black", ms=10, label="the origin")
    curvatures = (f"curvature {c:.3g}" for c in landscape.curvature)
    first, second = (f"along direction {i}, {text}" for i, text in enumerate(curvatures, 1))
    axis.set(xlabel=first, ylabel=second, title=landscape.name)
    axis.legend(frameon=True, fontsize="small")
    figure.colorbar(levels, ax=axis, label=label)
    return figure
