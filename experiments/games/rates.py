"""How fast a method nears an equilibrium: measured along a trajectory, and as its linearisation says."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.games.config import GamesSection, Method
from lib.errors import within
from lib.games import eigenvalues
from lib.games.operators import update_jacobian
from lib.games.toys import Toy
from lib.games.updates import UPDATE_RULES, BoundRule, GameState
from lib.optimizers.schedules import CONSTANT

_FLOOR = 1e-6  # distances below are rounding
_LINEAR = ("sgd", "sgd_complex")  # optimisers whose updates are linear in gradients


def measured(distances: np.ndarray, limit: float) -> float:
    """Returns the factor by which the distance changes in a step.

    It is exp of the slope of log distance over the later half of what can be trusted.

    Args:
      distances: [steps + 1], from the equilibrium.
      limit: at which trajectories are stopped.

    Returns:
      NaN where too little is left to fit.
    """
    trusted = (distances > _FLOOR) & (distances < limit / 10)
    end = len(distances) if trusted.all() else int(np.argmin(trusted))
    part = distances[end // 2 : end]
    if len(part) < 3:
        return float("nan")
    slope, _ = np.polyfit(np.arange(len(part)), np.log(part), 1)
    return float(np.exp(slope))


def spectral_radius(section: GamesSection, label: str, equilibrium: np.ndarray) -> float:
    """Returns the spectral radius of one step of a method, its optimisers' memory included, in float64.

    Args:
      equilibrium: [d], where the step's Jacobian is taken.

    Returns:
      NaN for methods whose steps are not one linear map there.
    """
    if not is_linear(section.methods[label]):
        return float("nan")
    with jax.enable_x64(True):
        rule, state = at_equilibrium(section.as_toy(), section.methods[label], label, equilibrium)
        jacobian = update_jacobian(rule, state, None, jax.random.key(0))
        return eigenvalues.spectral_radius(eigenvalues.eigenvalues(jacobian))


def is_linear(method: Method) -> bool:
    """Tells whether a method's steps are one linear map near an equilibrium.

    They are not of optimisers that adapt to gradients, which vanish there, of schedules, and of rules that
    are not stationary.
    """
    linear = all(o.name in _LINEAR and o.schedule.name == CONSTANT for o in method.optimizers.values())
    return linear and UPDATE_RULES[method.updates].stationary


def at_equilibrium(
    toy: Toy, method: Method, label: str, equilibrium: np.ndarray
) -> tuple[BoundRule, GameState]:
    """Returns the update rule of a method of the config, and its first state at an equilibrium [d].

    Raises:
      ConfigError: as of `make_rule`.
    """
    rule = make_rule(toy, method, label)
    return rule, rule.init(toy.params(equilibrium), {})


def with_numbers(state: GameState, **numbers: jax.Array | float) -> GameState:
    """Returns a state with other numbers, which may be traced, of all players' optimisers."""
    numbers = {name: jnp.asarray(value, float) for name, value in numbers.items()}
    opt_state = {x: s._replace(hyperparams=s.hyperparams | numbers) for x, s in state.opt_state.items()}
    return state._replace(opt_state=opt_state)


def step_jacobian(rule: BoundRule, state: GameState) -> jax.Array:
    """Returns the Jacobian [n, n] of a step on the augmented state, which may be traced."""
    operator = update_jacobian(rule, state, None, jax.random.key(0))
    return jax.vmap(operator.apply)(jnp.eye(operator.size, dtype=operator.dtype)).T


def make_rule(toy: Toy, method: Method, label: str) -> BoundRule:
    """Returns the update rule of a method of the config.

    Raises:
      ConfigError: an unknown optimiser or argument, or a value that an optimiser refuses.
    """
    with within(f"config.games.methods.{label}"):
        return method.as_rule(toy.game)
