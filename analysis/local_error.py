"""How far one update is from the flow, and from the modified flows of both clocks, against the step size.

A smooth game of two scalars, in float64. The slope in the picture is the order: an update whose drift is known
follows the modified flow to O(h^3), and the original one to O(h^2). The flows are read on one shared clock,

    theta_x' = -h_x grad_x (L_x + drift of x),   one update is one unit of time.
"""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from lib import optimizers
from lib.games import updates
from lib.games.drift import Clock
from lib.games.flows import DRIFTS, game_positions
from lib.games.game import Aux, Game
from lib.pictures.colours import COLOURS

PLAYERS = ("disc", "gen")
START = {"disc": 1.1, "gen": -0.4}
SIZES = np.geomspace(0.1, 0.002, 8)
_NO_DATA = jnp.zeros((1, 0))


def _losses(params, net_state, batch, key):
    """Not zero-sum, every second derivative differs from zero."""
    x, y = (params[player] for player in PLAYERS)
    disc = jnp.sin(x) * jnp.exp(0.3 * y) + 0.4 * x**2
    gen = -jnp.cos(x) * jnp.sin(1.3 * y) + 0.3 * x * y**2
    return {"disc": disc, "gen": gen}, Aux(net_state, {})


GAME = Game(PLAYERS, _losses)


def errors(rule: str, ratio: float) -> dict[str, np.ndarray]:
    """{flow: |update - flow| at each of SIZES}; gen's rate is `ratio` times disc's, which is the size."""
    found: dict[str, list[float]] = {}
    for size in SIZES:
        rates = dict(zip(PLAYERS, (size, ratio * size), strict=True))
        update = _updated(rule, rates)
        drifts = {f"drift, {clock}": DRIFTS[rule](rates, clock) for clock in get_args(Clock)}
        for name, drift in ({"original flow": None} | drifts).items():
            # Whatever clock its coefficients are of, the flow is read on the shared one.
            flow = game_positions(GAME, START, rates, 1, drift, "shared")[-1]
            found.setdefault(name, []).append(float(np.linalg.norm(update - flow)))
    return {name: np.array(values) for name, values in found.items()}


def _updated(rule: str, rates: dict[str, float]) -> np.ndarray:
    """Where one update of lib/games leads from START."""
    optimizer = {x: optimizers.make("sgd", h, {}) for x, h in rates.items()}
    made = updates.make(rule, GAME, optimizer, updates.Regularizers.none(PLAYERS))
    first = made.init(jax.tree.map(jnp.asarray, START), {})
    state, _ = made.step(first, _NO_DATA, jax.random.key(0))
    return np.array([state.params[x] for x in PLAYERS])


def picture(ratio: float = 0.4) -> Figure:
    """Local errors against the step size, a panel for each order of update; legends tell the fitted slopes."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    with jax.enable_x64(True):
        for axis, rule in zip(figure.subplots(1, 2, sharey=True), DRIFTS, strict=True):
            for (name, values), colour, marker in zip(
                errors(rule, ratio).items(), COLOURS, "os^", strict=False
            ):
                order = np.polyfit(np.log(SIZES[-4:]), np.log(values[-4:]), 1)[0]
                axis.loglog(SIZES, values, marker=marker, color=colour, label=f"{name}: slope {order:.2f}")
            axis.set_title(rule, fontsize="medium")
            axis.set_xlabel("learning rate h of the discriminator")
            axis.legend(frameon=False)
            axis.spines[["top", "right"]].set_visible(False)
        figure.axes[0].set_ylabel("|one update - flow|")
    figure.suptitle(f"generator's learning rate {ratio:g} h", fontsize="medium")
    return figure
