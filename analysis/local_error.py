"""How far one update is from the flow, and from the modified flows of both clocks.

`./run.sh plot local_error`

Against the step size, of a smooth game of two scalars, in float64. The slope in the picture is the order:
an update whose drift is known follows the modified flow to O(h^3), and the original one to O(h^2). The
flows are read on one shared clock,

    theta_x' = -h_x grad_x (L_x + drift of x),   one update is one unit of time.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from analysis.command import define_out, parse_flags, save
from lib import optimizers
from lib.errors import ConfigError
from lib.games import updates
from lib.games.drift import Clock
from lib.games.flows import DRIFTS, game_positions
from lib.games.game import Aux, Game
from lib.pictures.colours import COLOURS
from lib.pictures.figures import hide_upper_spines, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USAGE = """Draws how far one update of a game is from its flow and its modified flows, against the rate.

  ./run.sh plot local_error [--ratio=0.4] [--out=FILE]
"""
PLAYERS = ("disc", "gen")
START = {"disc": 1.1, "gen": -0.4}
SIZES = np.geomspace(0.1, 0.002, 8)
_NO_DATA = jnp.zeros((1, 0))
_FITTED = 4  # the order is fitted to so many of the smallest sizes


def define(values: flags.FlagValues) -> None:
    """Defines the flags of this picture."""
    flags.DEFINE_float("ratio", 0.4, "Generator's rate over discriminator's.", flag_values=values)
    define_out(values, "local_error.png")


def run(argv: list[str]) -> None:
    """Draws local errors of updates against flows on both clocks.

    Raises:
      ConfigError: unknown flags, or a ratio that is not positive.
    """
    values = parse_flags(argv, define, USAGE, "local_error")
    if not 0 < values.ratio < math.inf:
        raise ConfigError(f"{values.ratio:g} is no ratio of learning rates; use one above 0", "--ratio")
    save(draw(values.ratio), Path(values.out))


def _losses(params, net_state, batch, key):
    """Returns the losses of a game that is not zero-sum, whose second derivatives all differ from zero."""
    x, y = (params[player] for player in PLAYERS)
    disc = jnp.sin(x) * jnp.exp(0.3 * y) + 0.4 * x**2
    gen = -jnp.cos(x) * jnp.sin(1.3 * y) + 0.3 * x * y**2
    return {"disc": disc, "gen": gen}, Aux(net_state, {})


GAME = Game(PLAYERS, _losses)


def errors(rule: str, ratio: float) -> dict[str, np.ndarray]:
    """Computes the distance of one update from the flows that model it.

    Args:
      rule: an update rule whose drift is known.
      ratio: of gen's rate to disc's, which is the step size.

    Returns:
      {flow: |update - flow| at each of SIZES}.
    """
    distances: dict[str, list[float]] = {}
    for size in SIZES:
        rates = dict(zip(PLAYERS, (size, ratio * size), strict=True))
        update = _update_once(rule, rates)
        drifts = {f"drift, {clock}": DRIFTS[rule](rates, clock) for clock in get_args(Clock)}
        for name, drift in ({"original flow": None} | drifts).items():
            # Whatever clock its coefficients are of, the flow is read on the shared one.
            flow = game_positions(GAME, START, rates, 1, drift, "shared")[-1]
            distances.setdefault(name, []).append(float(np.linalg.norm(update - flow)))
    return {name: np.array(values) for name, values in distances.items()}


def fitted_order(values: np.ndarray) -> float:
    """Returns the slope of errors at SIZES, fitted where the sizes are smallest."""
    return np.polyfit(np.log(SIZES[-_FITTED:]), np.log(values[-_FITTED:]), 1)[0]


def _update_once(rule: str, rates: dict[str, float]) -> np.ndarray:
    """Returns where one update of lib/games leads from START."""
    optimizer = {x: optimizers.make("sgd", h, {}) for x, h in rates.items()}
    bound_rule = updates.make(rule, GAME, optimizer, updates.Regularizers.none(PLAYERS))
    first = bound_rule.init(jax.tree.map(jnp.asarray, START), {})
    state, _ = bound_rule.step(first, _NO_DATA, jax.random.key(0))
    return np.array([state.params[x] for x in PLAYERS])


def draw(ratio: float = 0.4) -> "Figure":
    """Draws local errors against the step size, a panel for each rule; legends give the fitted slopes."""
    figure = new_figure(9, 4)
    with jax.enable_x64(True):
        for axis, rule in zip(figure.subplots(1, 2, sharey=True), DRIFTS, strict=True):
            curves = errors(rule, ratio).items()
            for (name, values), colour, marker in zip(curves, COLOURS, "os^", strict=False):
                label = f"{name}: slope {fitted_order(values):.2f}"
                axis.loglog(SIZES, values, marker=marker, color=colour, label=label)
            axis.set_title(rule, fontsize="medium")
            axis.set_xlabel("learning rate h of the discriminator")
            axis.legend(frameon=False)
            hide_upper_spines(axis)
        figure.axes[0].set_ylabel("|one update - flow|")
    figure.suptitle(f"generator's learning rate {ratio:g} h", fontsize="medium")
    return figure
