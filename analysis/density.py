"""The whole spectrum of a trained player's curvature: `./run.sh plot density RUN`.

How many eigenvalues the Hessian and the Gauss-Newton matrix of a player's loss have where, at one
checkpoint: by stochastic Lanczos quadrature, lib/games/density.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
from absl import flags

from analysis import trained_game
from analysis.command import define_examples, define_out, parse_folders, save
from lib.errors import ConfigError, lookup
from lib.games.density import Density, spectral_density
from lib.games.operators import gauss_newton, hessian
from lib.pictures.colours import COLOURS
from lib.pictures.figures import hide_upper_spines, new_figure
from lib.runtime import run_folder
from lib.runtime.progress import Progress
from lib.tables import aligned, mean_and_spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USAGE = """Draws the density of a player's curvature at a checkpoint; prints trace, spread and extremes.

  ./run.sh plot density PATH [--player=NAME] [--probes=8] [--depth=80] [--examples=N] [--batches=1]
    [--out=FILE]

PATH is a work directory, for its newest checkpoint, or one step's folder. The matrices are of the mean loss
of --batches batches of --examples each, the first of the training split.
"""
MATRICES = {"Hessian": hessian, "Gauss-Newton": gauss_newton}
_POINTS, _WIDTH = 2_000, 0.005  # of a curve; of its smoothing, a share of the range


def define(values: flags.FlagValues) -> None:
    """Defines the flags of this picture."""
    flags.DEFINE_string("player", None, "Whose loss; default: the first.", flag_values=values)
    flags.DEFINE_integer("probes", 8, "Random vectors.", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("depth", 80, "Products for each of them.", lower_bound=2, flag_values=values)
    define_examples(values)
    define_out(values, "density.png")


def run(argv: list[str]) -> None:
    """Draws the densities of a checkpoint's Hessian and Gauss-Newton matrix, and prints their moments.

    Raises:
      ConfigError: unknown flags, a folder that holds no such run, or products that are not finite.
    """
    folders, values = parse_folders(argv, define, USAGE, "density")
    if len(folders) > 1:
        raise ConfigError(f"'{folders[1]}': name one run", "plot density")
    densities = compute(
        folders[0], values.player, values.probes, values.depth, values.examples, values.batches
    )
    print(table(densities))
    save(draw(densities), Path(values.out))


def compute(
    path: str, player: str | None, probes: int, depth: int, examples: int | None, batches: int
) -> dict[str, Density]:
    """Computes the densities of both matrices at a checkpoint.

    Args:
      path: a work directory, or one step's folder.
      player: whose loss; None: the first's.
      probes: random vectors.
      depth: products for each.
      examples: of a batch; None: as many as a training step takes.
      batches: whose mean loss is meant.

    Raises:
      ConfigError: no such run, player or number of examples, or products that are not finite.
    """
    folder, step = run_folder.find(path)
    programs, batch = trained_game.open_game(folder, examples, batches)
    _, state = folder.restore(programs.abstract_state(), step)
    rule, key = programs.experiment.game.rule, jax.random.key(programs.config.seed)
    players = rule.dynamics.game.players
    chosen = lookup({x: x for x in players}, player or players[0], "--player")
    densities, progress = {}, Progress(len(MATRICES) * probes, unit="probe", label="density")
    try:
        for name, matrix in MATRICES.items():
            operator = matrix(rule, state, batch, key, chosen)
            densities[name] = spectral_density(operator, probes, depth, progress=progress)
    except FloatingPointError as error:
        raise ConfigError(f"{error} at this checkpoint; name another", "plot density") from error
    finally:
        progress.close()
    return densities


def table(densities: Mapping[str, Density]) -> str:
    """Formats trace, mean, root mean square and extreme nodes of each matrix."""
    rows = [("matrix", "size", "trace", "mean", "root mean square", "smallest", "largest")]
    for name, density in densities.items():
        (trace, error), (squares, _) = density.moment(1), density.moment(2)
        n = density.size
        ends = f"{density.nodes.min():.4g}", f"{density.nodes.max():.4g}"
        spread = mean_and_spread(trace, error), f"{trace / n:.4g}", f"{np.sqrt(squares / n):.4g}"
        rows.append((name, f"{n:,}", *spread, *ends))
    return aligned(rows)


def draw(densities: Mapping[str, Density]) -> "Figure":
    """Draws the densities, smoothed, on a logarithmic axis."""
    figure = new_figure(8, 4)
    axis = figure.subplots()
    ends = [f(density.nodes) for density in densities.values() for f in (np.min, np.max)]
    span = max(ends) - min(ends) or 1.0  # of a matrix that is 0
    room = 0.05 * span
    at = np.linspace(min(ends) - room, max(ends) + room, _POINTS)
    for (name, density), colour, style in zip(densities.items(), COLOURS, ("-", "--"), strict=False):
        values = density.at(at, _WIDTH * span)
        axis.semilogy(at, np.maximum(values, 1e-3), style, color=colour, lw=1.4, label=name)
    axis.set(xlabel="eigenvalue", ylabel="eigenvalues per unit", ylim=(1e-2, None))
    axis.legend(frameon=False)
    hide_upper_spines(axis)
    return figure
