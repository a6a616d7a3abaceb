"""The extreme eigenvalues of a trained run's game, update rule and Hessians, at its checkpoints.

On one fixed batch, the first examples of the training split, and one key: of the game's Jacobian at the
parameters, with the regularisers that the rule adds; of the update's Jacobian on the augmented state; and
of each player's own Hessian. The parameters need not be an equilibrium: the eigenvalues say how
trajectories beside this one part from it.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence
from tqdm import tqdm

from analysis import trained_game
from lib.errors import ConfigError
from lib.games.eigenvalues import balanced, eigenvalues, where_differentiable
from lib.games.operators import Operator, game_jacobian, hessian, update_jacobian
from lib.runtime import checkpoints, run_folder
from lib.runtime.programs import Programs
from lib.runtime.run_folder import RunFolder

# Of what is drawn; moduli near 1 must be told apart more finely. The largest in modulus converge soon,
# those of an end of the spectrum may lie in a cluster: fewer of them.
_TOLERANCE, _TOLERANCE_NEAR_1 = 1e-4, 1e-6
_RESTARTS = 20
_END = 4  # a kth of the k, for ends


class Hessian(NamedTuple):
    """A player's curvature: its Hessian's largest eigenvalue, and the learning rate of its next update."""

    top: float
    rate: float


class Spectrum(NamedTuple):
    """The extreme eigenvalues at one checkpoint.

    Attributes:
      name: of the run and the step.
      sizes: numbers of parameters and of the augmented state.
      symmetric: whether the game's Jacobian is a Hessian, so that its eigenvalues are real.
      largest: eigenvalues mu of the game's Jacobian of the largest magnitude; of a symmetric one the
        largest.
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


def compute(restore_path: str, k: int, examples: int | None = None, batches: int = 1) -> Spectrum:
    """Computes the spectrum of a checkpoint: a work directory's newest, or that of one step's folder.

    Args, raises: as of `compute_all`.
    """
    folder, step = run_folder.find(restore_path)
    return _of_steps(folder, [step], k, examples, batches)[0]


def compute_all(restore_path: str, k: int, examples: int | None = None, batches: int = 1) -> list[Spectrum]:
    """Computes the spectra of all checkpoints that a run has kept, the oldest first.

    Args:
      restore_path: a work directory.
      k: how many eigenvalues of the largest magnitude, at most; of the ends of the spectra a quarter.
      examples: of a batch; by default as many as a training step takes.
      batches: of so many examples, whose mean loss is meant.

    Raises:
      ConfigError: no such run or checkpoint, none of a game with an update rule, a k or examples that do
        not fit, or products that are not finite or do not converge.
    """
    folder, step = run_folder.find(restore_path)
    if step is not None:
        raise ConfigError("names one step; name the run's folder for all of them", "config.restore_path")
    if not (steps := checkpoints.steps(folder.checkpoints)):
        raise ConfigError(f"no checkpoint in '{folder.path}'", "config.restore_path")
    return _of_steps(folder, steps, k, examples, batches)


def _of_steps(
    folder: RunFolder, steps: Sequence[int | None], k: int, examples: int | None, batches: int
) -> list[Spectrum]:
    programs, batch = trained_game.open_game(folder, examples, batches)
    return [_of_step(programs, folder, step, k, batch) for step in steps]


def _of_step(programs: Programs, folder: RunFolder, step: int | None, k: int, batch: Any) -> Spectrum:
    step, state = folder.restore(programs.abstract_state(), step)
    rule, key = programs.experiment.game.rule, jax.random.key(programs.config.seed)
    game = game_jacobian(rule, state, batch, key)
    if k > game.size:
        raise ConfigError(f"{k} eigenvalues of {game.size} parameters; use at most {game.size}", "--k")
    end = max(k // _END, 1)
    with _counting_products() as count:
        update, held = where_differentiable(count(update_jacobian(rule, state, batch, key)))
        update, game = balanced(update), count(game)
        hessians = {x: count(hessian(rule, state, batch, key, x)) for x in rule.dynamics.game.players}
        rates = rule.dynamics.rates(state)
        return Spectrum(
            name=f"{folder.path.name}, step {step:,}",
            sizes=(game.size, update.size),
            symmetric=game.symmetric,
            largest=_extreme(game, k, "LR" if game.symmetric else "LM"),
            smallest=_extreme(game, end, "SR"),
            update=_extreme(update, end, "LM", _TOLERANCE_NEAR_1),
            moved=1 + _extreme(_minus_identity(update), k, "LM"),
            held=held,
            hessians={x: Hessian(_extreme(h, 1, "LR")[0], float(rates[x])) for x, h in hessians.items()},
        )


def _extreme(operator: Operator, k: int, which: str, tolerance: float = _TOLERANCE) -> np.ndarray:
    """Returns k eigenvalues of one end of an operator's spectrum."""
    return eigenvalues(operator, k, which, tolerance=tolerance, restarts=_RESTARTS)


def _minus_identity(operator: Operator) -> Operator:
    """Returns A - I."""
    return operator._replace(apply=lambda v: operator.apply(v) - v)


@contextmanager
def _counting_products() -> Iterator[Callable[[Operator], Operator]]:
    """Gives a function of operators whose results move a progress bar with every product.

    Raises:
      ConfigError: the block has found no eigenvalues; the text says why.
    """
    with tqdm(unit=" products", desc="the spectrum", delay=2, disable=None) as bar:

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
            text = f"{error} at this checkpoint; name another"
            raise ConfigError(text, "config.restore_path") from error
        except ArpackNoConvergence as error:
            raise ConfigError("not one eigenvalue has converged; use a larger one", "--k") from error
    for warning in caught:
        print(f"note: {warning.message}")
