"""What momentum does to a game: spectral radii, eigenvalues and phase portraits, for simultaneous and alternating SGD.

Gidel et al., 'Negative Momentum for Improved Game Dynamics', AISTATS 2019. Momentum b makes the state of a step
(theta_t, theta_t - theta_{t-1}); the step x -> F(x) of this state converges locally iff the spectral radius of its
Jacobian is below 1.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from configs.games.base import method
from experiments.games import pictures
from experiments.games.config import GamesSection, Method
from experiments.games.experiment import first_state, step_all, walk
from experiments.games.rates import make_rule
from lib.config import to_plain
from lib.games import spectrum
from lib.games.updates import GameState, Rule
from lib.pictures.colours import COLOURS

UPDATES = ("simultaneous", "alternating")
MOMENTA = np.linspace(-0.9, 0.9, 73)
SHOWN = (0.5, 0.0, -0.5)  # in the plane and in portraits
_STEPS = 60
_MARKERS = "os^"


class Found(NamedTuple):
    """Attributes:
    radii: {updates: [momenta]}, spectral radii at MOMENTA.
    shown: {updates: [shown, n]}, eigenvalues at SHOWN.
    """

    radii: dict[str, np.ndarray]
    shown: dict[str, np.ndarray]


def with_momentum(state: GameState, momentum: jax.Array | float) -> GameState:
    """The state with another momentum of all players' SGD, which may be traced."""
    changed = {
        x: s._replace(hyperparams=s.hyperparams | {"momentum": jnp.asarray(momentum, float)})
        for x, s in state.opt_state.items()
    }
    return state._replace(opt_state=changed)


def sgd_rule(section: GamesSection, updates: str, rate: float, momentum: float = 0.0) -> Rule:
    """SGD of one rate and momentum for all players of a section's game."""
    toy = section.as_toy()
    made = method(rate, updates, momentum, tuple(toy.sizes))
    return make_rule(toy, Method.model_validate(to_plain(made)), updates)


def eigenvalues(section: GamesSection, updates: str, rate: float, momenta: np.ndarray) -> np.ndarray:
    """Of a step's Jacobian at the first equilibrium, [momenta, n], in float64."""
    with jax.enable_x64(True):
        toy, rule = section.as_toy(), sgd_rule(section, updates, rate)
        state = rule.init(toy.params(toy.equilibria[0]), {})

        def jacobian(momentum):
            moving = spectrum.update_jacobian(rule, with_momentum(state, momentum), None, jax.random.key(0))
            return jax.vmap(moving.apply)(jnp.eye(moving.size)).T

        return np.linalg.eigvals(jax.jit(jax.vmap(jacobian))(jnp.asarray(momenta)))


def analyse(section: GamesSection, rate: float) -> Found:
    """Radii against momentum, and eigenvalues of SHOWN."""
    found = {u: eigenvalues(section, u, rate, np.array([*MOMENTA, *SHOWN])) for u in UPDATES}
    n = len(MOMENTA)
    radii = {u: np.abs(values[:n]).max(-1) for u, values in found.items()}
    return Found(radii, {u: values[n:] for u, values in found.items()})


def table(found: Found) -> str:
    """Where each kind of update is best, and whether it converges there."""
    lines = []
    for updates, radii in found.radii.items():
        best = radii.argmin()
        zero = radii[np.abs(MOMENTA).argmin()]
        lines.append(
            f"{updates:13} smallest spectral radius {radii[best]:.6f} at momentum {MOMENTA[best]:+.3f}; without momentum "
            f"{zero:.6f}; below 1 for {int((radii < 1 - 1e-9).sum())} of {len(radii)} momenta"
        )
    return "\n".join(lines)


def picture(section: GamesSection, rate: float, found: Found) -> Figure:
    """Top: radii against momentum, eigenvalues in the plane. Below: a portrait for each update and momentum."""
    figure = Figure(figsize=(9.5, 9.2), layout="constrained")
    axes = figure.subplots(3, 3)
    _draw_radii(axes[0, 0], found)
    for axis, updates in zip(axes[0, 1:], UPDATES, strict=True):
        _draw_plane(axis, found.shown[updates], updates)
    for row, updates in zip(axes[1:], UPDATES, strict=True):
        for axis, momentum in zip(row, SHOWN, strict=True):
            _draw_portrait(axis, section, updates, rate, momentum)
            axis.set_title(f"{updates}, momentum {momentum:g}", fontsize="medium")
    figure.suptitle(f"{section.game}: SGD with rate {rate:g}")
    return figure


def _draw_radii(axis: Axes, found: Found) -> None:
    for (updates, radii), colour, style in zip(found.radii.items(), COLOURS, ("-", "--"), strict=False):
        axis.plot(MOMENTA, radii, style, color=colour, label=updates)
    axis.axhline(1, color="black", lw=0.8, ls=":")
    low, high = (pick([pick(r) for r in found.radii.values()]) for pick in (np.min, np.max))
    axis.set(xlabel="momentum", ylabel="spectral radius", ylim=(low - 0.05, min(high + 0.05, 1.6)))
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)


def _draw_plane(axis: Axes, shown: np.ndarray, title: str) -> None:
    turn = np.linspace(0, 2 * np.pi, 200)
    axis.plot(np.cos(turn), np.sin(turn), color="black", lw=0.8, label="unit circle")
    for momentum, values, colour, marker in zip(SHOWN, shown, COLOURS, _MARKERS, strict=False):
        label = f"momentum {momentum:g}"
        axis.plot(values.real, values.imag, marker, mfc="none", mew=1.5, color=colour, label=label)
    axis.set(xlabel="real part", ylabel="imaginary part", aspect="equal", title=f"{title}: eigenvalues")
    axis.title.set_fontsize("medium")
    axis.margins(0.1)
    # Below: inside the circle its markers would be taken for eigenvalues.
    axis.legend(frameon=False, fontsize="x-small", loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)


def _draw_portrait(axis: Axes, section: GamesSection, updates: str, rate: float, momentum: float) -> None:
    toy, rule = section.as_toy(), sgd_rule(section, updates, rate, momentum)
    rules = {updates: rule}
    move = lambda state: step_all(toy, rules, section.limit, state)
    start = first_state(toy, rules, section.starts[:1])
    points = walk(toy, move, start, _STEPS)[updates]
    pictures.background(axis, toy, pictures.bounds(section, toy))
    pictures.steps(axis, toy, points)
