"""What momentum does to a game under two update rules of SGD: `./run.sh plot momentum`.

Spectral radii, eigenvalues and phase portraits. Momentum b makes the state of a step (theta_t, theta_t -
theta_{t-1}); the step x -> F(x) of this state converges locally iff the spectral radius of its Jacobian is
below 1.

Gidel et al., 'Negative Momentum for Improved Game Dynamics', AISTATS 2019.
"""

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from analysis.command import define_out, save
from analysis.toy_config import load_toy
from configs.games.base import method
from experiments.games import pictures
from experiments.games.config import GamesSection, Method
from experiments.games.experiment import state_at_starts, step_all, walk
from experiments.games.rates import make_rule, step_jacobian, with_numbers
from lib.command_line import parse
from lib.config import to_plain
from lib.errors import ConfigError, lookup
from lib.games.updates import UPDATE_RULES, BoundRule
from lib.pictures.colours import COLOURS
from lib.pictures.figures import hide_upper_spines, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

USAGE = """Draws what momentum does to a toy game (spectral radii, eigenvalues, portraits); prints a table.

  ./run.sh plot momentum [--config=FILE] [--config.FIELD=VALUE ...] [--rate=0.3] [--out=FILE]
    [--updates=simultaneous,alternating]
"""
UPDATES = ("simultaneous", "alternating")
MOMENTA = np.linspace(-0.9, 0.9, 73)
SHOWN = (0.5, 0.0, -0.5)  # in the plane and in portraits
_STEPS = 60
_MARKERS = "os^"


class Spectra(NamedTuple):
    """Eigenvalues of a step's Jacobian at the game's first equilibrium.

    Attributes:
      radii: {updates: [momenta]}, spectral radii at MOMENTA.
      shown: {updates: [shown, n]}, eigenvalues at SHOWN.
    """

    radii: dict[str, np.ndarray]
    shown: dict[str, np.ndarray]


def define(values: flags.FlagValues) -> None:
    """Defines the flags of this picture."""
    flags.DEFINE_string("config", None, "A toy game's; default: bilinear.", flag_values=values)
    flags.DEFINE_float("rate", 0.3, "Learning rate of all players.", flag_values=values)
    flags.DEFINE_list("updates", ",".join(UPDATES), "Two update rules.", flag_values=values)
    define_out(values, "momentum.png")


def run(argv: list[str]) -> None:
    """Draws spectral radii, eigenvalues and phase portraits of a game against momentum, and prints a table.

    Raises:
      ConfigError: unknown flags, a config of another experiment, a rate that is not positive, or update
        rules that are not two, not known, or no single map.
    """
    values, overrides = parse(argv, define, USAGE)
    if not 0 < values.rate < math.inf:
        raise ConfigError(f"{values.rate:g} is no learning rate; use one above 0", "--rate")
    section = load_toy(values.config, overrides)
    spectra = analyse(section, values.rate, _two_rules(values.updates))
    print(table(spectra))
    save(draw(section, values.rate, spectra), Path(values.out))


def _two_rules(names: Sequence[str]) -> Sequence[str]:
    """Checks the flag --updates."""
    for name in names:
        if not lookup(UPDATE_RULES, name, "--updates").stationary:
            raise ConfigError(f"'{name}' makes another step each time: it has no one spectrum", "--updates")
    if len(set(names)) != 2:
        raise ConfigError(f"name two rules, not {len(set(names))}", "--updates")
    return names


def sgd_rule(section: GamesSection, updates: str, rate: float, momentum: float = 0.0) -> BoundRule:
    """Builds SGD of one rate and momentum for all players of a section's game."""
    toy = section.as_toy()
    config = method(rate, updates, momentum, tuple(toy.sizes))
    config.allow_unsound = True  # momentum where a rule looks ahead by plain steps
    return make_rule(toy, Method.model_validate(to_plain(config)), updates)


def eigenvalues(section: GamesSection, updates: str, rate: float, momenta: np.ndarray) -> np.ndarray:
    """Computes the eigenvalues of a step's Jacobian at the first equilibrium, in float64.

    Returns:
      Complex [momenta, n].
    """
    with jax.enable_x64(True):
        toy, rule = section.as_toy(), sgd_rule(section, updates, rate)
        state = rule.init(toy.params(toy.equilibria[0]), {})

        def jacobian(momentum):
            return step_jacobian(rule, with_numbers(state, momentum=momentum))

        return np.linalg.eigvals(jax.jit(jax.vmap(jacobian))(jnp.asarray(momenta)))


def analyse(section: GamesSection, rate: float, rules: Sequence[str] = UPDATES) -> Spectra:
    """Computes radii against momentum of two update rules, and the eigenvalues at SHOWN."""
    momenta, n = np.array([*MOMENTA, *SHOWN]), len(MOMENTA)
    values = {updates: eigenvalues(section, updates, rate, momenta) for updates in rules}
    radii = {updates: np.abs(v[:n]).max(-1) for updates, v in values.items()}
    return Spectra(radii, {updates: v[n:] for updates, v in values.items()})


def table(spectra: Spectra) -> str:
    """Formats where each kind of update is best, and whether it converges there."""
    lines, width = [], max(map(len, spectra.radii)) + 1
    for updates, radii in spectra.radii.items():
        best = radii.argmin()
        zero, stable = radii[np.abs(MOMENTA).argmin()], int((radii < 1 - 1e-9).sum())
        lines.append(
            f"{updates:{width}} smallest spectral radius {radii[best]:.6f} "
            f"at momentum {MOMENTA[best]:+.3f}; without momentum {zero:.6f}; "
            f"below 1 for {stable} of {len(radii)} momenta"
        )
    return "\n".join(lines)


def draw(section: GamesSection, rate: float, spectra: Spectra) -> "Figure":
    """Draws radii against momentum, eigenvalues, and a portrait for each kind of update and momentum."""
    figure = new_figure(9.5, 9.2)
    axes = figure.subplots(3, 3)
    _draw_radii(axes[0, 0], spectra)
    for axis, updates in zip(axes[0, 1:], spectra.radii, strict=True):
        _draw_plane(axis, spectra.shown[updates], updates)
    for row, updates in zip(axes[1:], spectra.radii, strict=True):
        for axis, momentum in zip(row, SHOWN, strict=True):
            _draw_portrait(axis, section, updates, rate, momentum)
            axis.set_title(f"{updates}, momentum {momentum:g}", fontsize="medium")
    figure.suptitle(f"{section.game}: SGD with rate {rate:g}")
    return figure


def _draw_radii(axis: "Axes", spectra: Spectra) -> None:
    """Draws the spectral radius of each kind of update against momentum."""
    for (updates, radii), colour, style in zip(spectra.radii.items(), COLOURS, ("-", "--"), strict=False):
        axis.plot(MOMENTA, radii, style, color=colour, label=updates)
    axis.axhline(1, color="black", lw=0.8, ls=":")
    radii = np.concatenate(list(spectra.radii.values()))
    limits = radii.min() - 0.05, min(radii.max() + 0.05, 1.6)
    axis.set(xlabel="momentum", ylabel="spectral radius", ylim=limits)
    axis.legend(frameon=False)
    hide_upper_spines(axis)


def _draw_plane(axis: "Axes", shown: np.ndarray, title: str) -> None:
    """Draws eigenvalues [momenta, n] at SHOWN in the complex plane, with the unit circle."""
    angle = np.linspace(0, 2 * np.pi, 200)
    axis.plot(np.cos(angle), np.sin(angle), color="black", lw=0.8, label="unit circle")
    for momentum, values, colour, marker in zip(SHOWN, shown, COLOURS, _MARKERS, strict=False):
        label = f"momentum {momentum:g}"
        axis.plot(values.real, values.imag, marker, mfc="none", mew=1.5, color=colour, label=label)
    axis.set(xlabel="real part", ylabel="imaginary part", aspect="equal", title=f"{title}: eigenvalues")
    axis.title.set_fontsize("medium")
    axis.margins(0.1)
    # Below: inside the circle its markers would be taken for eigenvalues.
    axis.legend(frameon=False, fontsize="x-small", loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)


def _draw_portrait(axis: "Axes", section: GamesSection, updates: str, rate: float, momentum: float) -> None:
    """Draws some steps from the section's first start over the field."""
    toy, rules = section.as_toy(), {updates: sgd_rule(section, updates, rate, momentum)}
    step = functools.partial(step_all, toy, rules, section.limit)
    start = state_at_starts(toy, rules, section.starts[:1])
    points = walk(toy, step, start, _STEPS)[updates]
    pictures.background(axis, toy, pictures.bounds(section, toy))
    pictures.steps(axis, toy, points)
