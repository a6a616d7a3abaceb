"""The extreme eigenvalues of a trained run's game and update rule, and whether they are stable: one checkpoint.

On one fixed batch, the first examples of the training split, and one key: of the game's Jacobian at the parameters,
with the regularisers that the rule adds; of the update's Jacobian on the augmented state; and of each player's own
Hessian. The parameters need not be an equilibrium: what is found is how trajectories beside this one part from it.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import jax
import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence
from tqdm import tqdm

from analysis import trained_game
from lib import tables
from lib.errors import ConfigError
from lib.games import spectrum
from lib.games.spectrum import Operator, eigenvalues
from lib.runtime import run_folder

# Of what is drawn; moduli near 1 must be told apart more finely. The largest in modulus converge soon, those of an
# end of the spectrum may lie in a cluster: fewer of them.
_TOLERANCE, _TOLERANCE_NEAR_1 = 1e-4, 1e-6
_RESTARTS = 20
_END = 4  # a kth of the k, for ends


class Hessian(NamedTuple):
    """A player's curvature: its Hessian's largest eigenvalue, and the learning rate that its next update uses."""

    top: float
    rate: float


class Spectrum(NamedTuple):
    """What was found of one checkpoint.

    Attributes:
      name: of the run and the step.
      sizes: numbers of parameters and of the augmented state.
      symmetric: whether the game's Jacobian is a Hessian, so that its eigenvalues are real.
      largest: eigenvalues mu of the game's Jacobian of the largest magnitude; of a symmetric one the largest.
      smallest: those of the smallest real part.
      update: eigenvalues of the update's Jacobian, of the largest magnitude.
      moved: those that are farthest from 1.
      held: coordinates of the augmented state in which the update has no derivative.
      hessians: {player: its own}.
    """

    name: str
    sizes: tuple[int, int]
    symmetric: bool
    largest: np.ndarray
    smallest: np.ndarray
    update: np.ndarray
    moved: np.ndarray
    held: int
    hessians: dict[str, Hessian]


def of_run(restore_path: str, k: int, examples: int | None = None) -> Spectrum:
    """The spectrum of a checkpoint.

    Args:
      restore_path: a work directory, for its newest checkpoint, or one step's folder.
      k: how many eigenvalues of the largest magnitude, at most; of the ends of the spectra a quarter.
      examples: of the batch; by default as many as a training step takes.

    Raises:
      ConfigError: no such run or checkpoint, none of a game with an update rule, a k or examples that do not fit,
        or products that are not finite or do not converge.
    """
    folder, step = run_folder.find(restore_path)
    programs = trained_game.open_run(folder)
    batch = trained_game.first_examples(programs, examples)
    step, state = folder.restore(programs.abstract_state(), step)
    rule, key = programs.experiment.game.rule, jax.random.key(programs.config.seed)
    game = spectrum.game_jacobian(rule, state, batch, key)
    if k > game.size:
        raise ConfigError(f"--k: {k} eigenvalues of {game.size} parameters; use at most {game.size}")
    end = max(k // _END, 1)
    with _counted("the spectrum") as count:
        update, held = spectrum.where_differentiable(
            count(spectrum.update_jacobian(rule, state, batch, key))
        )
        update, game = spectrum.balanced(update), count(game)
        hessians = {
            x: count(spectrum.hessian(rule, state, batch, key, x)) for x in rule.dynamics.game.players
        }
        rates = rule.dynamics.rates(state)
        return Spectrum(
            name=f"{folder.path.name}, step {step:,}",
            sizes=(game.size, update.size),
            symmetric=game.symmetric,
            largest=_some(game, k, "LR" if game.symmetric else "LM"),
            smallest=_some(game, end, "SR"),
            update=_some(update, end, "LM", _TOLERANCE_NEAR_1),
            moved=1 + _some(_minus_identity(update), k, "LM"),
            held=held,
            hessians={x: Hessian(_some(h, 1, "LR")[0], float(rates[x])) for x, h in hessians.items()},
        )


def _some(operator: Operator, k: int, which: str, tolerance: float = _TOLERANCE) -> np.ndarray:
    return eigenvalues(operator, k, which, tolerance=tolerance, restarts=_RESTARTS)


def _minus_identity(operator: Operator) -> Operator:
    return operator._replace(apply=lambda v: operator.apply(v) - v)


@contextmanager
def _counted(what: str) -> Iterator:
    """Gives `(operator) -> operator` whose products move a bar, and says in one line why there are no eigenvalues."""
    with tqdm(unit=" products", desc=what, delay=2, disable=None) as bar:

        def count(operator: Operator) -> Operator:
            def apply(v):
                bar.update()
                return operator.apply(v)

            return operator._replace(apply=apply)

        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                yield count
        except FloatingPointError as error:
            raise ConfigError(f"config.restore_path: {error} at this checkpoint; name another") from error
        except ArpackNoConvergence as error:
            raise ConfigError("--k: not one eigenvalue has converged; use a larger one") from error
    for warning in caught:
        print(f"note: {warning.message}")


def table(found: Spectrum) -> str:
    """Sizes, radii and curvatures, with the bounds within which the flow and the update are stable."""
    radius = spectrum.spectral_radius(np.concatenate([found.update, found.moved]))
    smallest, magnitude = found.smallest.real.min(), np.abs([*found.largest, *found.smallest]).max()
    rows = [
        ("parameters", f"{found.sizes[0]:,}", "", ""),
        ("augmented state", f"{found.sizes[1]:,}", "", ""),
        *([("held, without derivative", f"{found.held:,}", "", "")] if found.held else []),
        ("largest |mu| of the game", f"{magnitude:.4g}", "", ""),
        ("smallest Re mu of the game", f"{smallest:.4g}", "> 0", _holds(smallest > 0)),
        ("spectral radius of the update", f"{radius:.6g}", "< 1", _holds(radius < 1)),
    ]
    for player, (top, rate) in found.hessians.items():
        bound = 2 / rate
        rows.append(
            (
                f"top Hessian eigenvalue, {player}",
                f"{top:.4g}",
                f"< 2/h = {bound:.4g}, plain descent",
                _holds(top < bound),
            )
        )
    return tables.aligned([("", found.name, "stable if", ""), *rows])


def _holds(stable: bool) -> str:
    return "stable" if stable else "unstable"
