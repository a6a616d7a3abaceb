"""How far one update is from the flow, and from the modified flows of both clocks, against the step size.

A smooth game of two scalars, in float64. The slope in the picture is the order: an update whose drift is known
follows the modified flow to O(h^3), and the original one to O(h^2). The flows are read on one shared clock,

    theta_x' = -h_x grad_x (L_x + drift of x),   one update is one unit of time.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from scipy.integrate import solve_ivp

from lib import figures, optimizers
from lib.games import drift, updates
from lib.games.game import Aux, Game

PLAYERS = ("disc", "gen")
START = np.array([1.1, -0.4])
SIZES = np.geomspace(0.1, 0.002, 8)
DRIFTS: dict[str, Callable] = {
    "simultaneous": drift.simultaneous,
    "alternating": lambda rates, clock: drift.alternating(rates, dict.fromkeys(rates, 1), clock),
}
_NO_DATA = jnp.zeros((1, 0))


def losses(point: jax.Array) -> jax.Array:
    """(L_disc, L_gen) at (theta_disc, theta_gen); not zero-sum, every second derivative differs from zero."""
    x, y = point
    return jnp.stack(
        [jnp.sin(x) * jnp.exp(0.3 * y) + 0.4 * x**2, -jnp.cos(x) * jnp.sin(1.3 * y) + 0.3 * x * y**2]
    )


def modified_gradients(point: jax.Array, c_self: jax.Array, c_dot: jax.Array) -> jax.Array:
    """grad_x (L_x + drift of x) for both players, [2], from dense derivatives.

    c_self, c_dot: the coefficients of each player, [2].
    """
    own = lambda p: jnp.diagonal(jax.jacobian(losses)(p))
    gradients, jacobian = own(point), jax.jacobian(own)(point)
    interaction = jnp.stack([jacobian[0, 1] * gradients[1], jacobian[1, 0] * gradients[0]])
    return gradients + c_self * jnp.diagonal(jacobian) * gradients + c_dot * interaction


def errors(rule: str, ratio: float) -> dict[str, np.ndarray]:
    """{flow: |update - flow| at each of SIZES}; gen's rate is `ratio` times disc's, which is the size."""
    slope = jax.jit(modified_gradients)
    found: dict[str, list[float]] = {"original flow": [], "drift, per_player": [], "drift, shared": []}
    for size in SIZES:
        rates = dict(zip(PLAYERS, (size, ratio * size), strict=True))
        update = _updated(rule, rates)
        for name, values in found.items():
            c_self, c_dot = _coefficients(rule, rates, name)
            velocity = lambda t, p, a=c_self, b=c_dot, h=rates: (
                -np.array([h[x] for x in PLAYERS]) * np.asarray(slope(p, a, b))
            )
            flow = solve_ivp(velocity, (0, 1), START, method="DOP853", rtol=1e-12, atol=1e-14).y[:, -1]
            values.append(float(np.linalg.norm(update - flow)))
    return {name: np.array(values) for name, values in found.items()}


def _coefficients(rule: str, rates: dict[str, float], name: str) -> tuple[np.ndarray, np.ndarray]:
    """(self_norm, other_dot_prod) of both players, zero for the original flow."""
    if name == "original flow":
        return np.zeros(2), np.zeros(2)
    terms = DRIFTS[rule](rates, name.removeprefix("drift, "))
    return tuple(np.array([getattr(terms[x], term) for x in PLAYERS]) for term in drift.DRIFTING)


def _updated(rule: str, rates: dict[str, float]) -> np.ndarray:
    """Where one update of lib/games leads from START."""

    def both(params, net_state, batch, key):
        values = losses(jnp.stack([params[x] for x in PLAYERS]))
        return dict(zip(PLAYERS, values, strict=True)), Aux(net_state, {})

    optimizer = {x: optimizers.make("sgd", h, {}, x) for x, h in rates.items()}
    made = updates.make(rule, Game(PLAYERS, both), optimizer, updates.Regularizers.none(PLAYERS))
    first = made.init({x: jnp.asarray(v) for x, v in zip(PLAYERS, START, strict=True)}, {})
    state, _ = made.step(first, _NO_DATA, jax.random.key(0))
    return np.array([state.params[x] for x in PLAYERS])


def picture(ratio: float = 0.4) -> Figure:
    """Local errors against the step size, a panel for each order of update; legends tell the fitted slopes."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    with jax.enable_x64(True):
        for axis, rule in zip(figure.subplots(1, 2, sharey=True), DRIFTS, strict=True):
            for (name, values), colour, marker in zip(
                errors(rule, ratio).items(), figures.COLOURS, "os^", strict=False
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
