"""How the methods of a toy game converge near its equilibrium: `./run.sh plot methods`.

The eigenvalues of the field that the players follow, whose flow converges where their real parts are below
0, and of one step of each method, which converges where they are within the unit circle. Or, with --map,
how many steps the distance takes to fall a thousandfold, over rate and momentum.

Mescheder, Nowozin, Geiger, 'The Numerics of GANs', NeurIPS 2017: consensus optimisation moves the field's
eigenvalues to the left. Gidel et al., 'Negative Momentum for Improved Game Dynamics', AISTATS 2019.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from analysis.command import define_out, save
from analysis.toy_config import load_toy
from experiments.games.config import GamesSection, Method
from experiments.games.rates import at_equilibrium, is_linear, step_jacobian, with_numbers
from lib.command_line import parse
from lib.errors import ConfigError
from lib.games.eigenvalues import dense
from lib.games.operators import game_jacobian, update_jacobian
from lib.pictures.colours import COLOURS
from lib.pictures.figures import hide_upper_spines, new_figure
from lib.tables import aligned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

USAGE = """Draws eigenvalues of a toy game's field and of one step of each method; prints a table.

  ./run.sh plot methods [--config=FILE] [--config.FIELD=VALUE ...] [--map] [--out=FILE]

With --map: steps until the distance has fallen a thousandfold, over rate and momentum of SGD.
"""
RATES = np.geomspace(0.01, 2, 47)
MOMENTA = np.linspace(-0.9, 0.9, 37)
_FALL = math.log(1000)
_COLOURED = (3, 30_000)  # steps
_MARKERS = "os^vD<>P*Xph"


class Eigenvalues(NamedTuple):
    """Those of a method at the game's first equilibrium.

    Attributes:
      field: [n], of -dv/dtheta, v with the regularisers of the method.
      step: [m], of the augmented state's Jacobian.
    """

    field: np.ndarray
    step: np.ndarray


def define(values: flags.FlagValues) -> None:
    """Defines the flags of this picture."""
    flags.DEFINE_string("config", None, "A toy game's; default: bilinear.", flag_values=values)
    flags.DEFINE_bool("map", False, "Steps to converge, over rate and momentum.", flag_values=values)
    define_out(values, "methods.png")


def run(argv: list[str]) -> None:
    """Draws eigenvalues, or maps of convergence, of the methods of a toy game, and prints a table.

    Raises:
      ConfigError: unknown flags, a config of another experiment, or one without a method whose steps are
        one linear map.
    """
    values, overrides = parse(argv, define, USAGE)
    section = load_toy(values.config, overrides)
    chosen = _linear_methods(section, "sgd" if values.map else "")
    if values.map:
        chosen = _apart(section, chosen)
        maps = {label: steps_to_converge(section, label, RATES, MOMENTA) for label in chosen}
        print(table_of_maps(maps))
        save(draw_maps(section, maps), Path(values.out))
        return
    found = {label: eigenvalues(section, label) for label in chosen}
    print(table(found))
    save(draw(section, found), Path(values.out))


def _linear_methods(section: GamesSection, optimizer: str) -> list[str]:
    """Returns the labels of methods that have a spectrum, of one optimiser if named; says of others."""
    chosen = [
        label
        for label, method in section.methods.items()
        if is_linear(method) and all(optimizer in ("", o.name) for o in method.optimizers.values())
    ]
    if not chosen:
        raise ConfigError("none is one linear map near the equilibrium; use SGD", "config.games.methods")
    if left_out := [label for label in section.methods if label not in chosen]:
        print(f"left out, since their steps are not one linear map of SGD: {', '.join(left_out)}")
    return chosen


def _apart(section: GamesSection, labels: Sequence[str]) -> list[str]:
    """Returns the methods that differ in more than rate and momentum, the first of each kind."""
    kinds = {}
    for label in labels:
        kind = _with_momentum(section.methods[label], learning_rate=1.0, momentum=0.0)
        kinds.setdefault(kind.model_dump_json(), label)
    return list(kinds.values())


def eigenvalues(section: GamesSection, label: str) -> Eigenvalues:
    """Computes a method's eigenvalues at the first equilibrium, in float64."""
    with jax.enable_x64(True):
        toy, key = section.as_toy(), jax.random.key(0)
        rule, state = at_equilibrium(toy, section.methods[label], label, toy.equilibria[0])
        operators = (game_jacobian(rule, state, None, key), update_jacobian(rule, state, None, key))
        field, step = (np.linalg.eigvals(dense(operator)).astype(complex) for operator in operators)
        return Eigenvalues(0.0 - field, step)


def steps_to_converge(
    section: GamesSection, label: str, rates: np.ndarray, momenta: np.ndarray
) -> np.ndarray:
    """Computes how many steps of a method with SGD the distance takes to fall a thousandfold.

    log(1000) / -log(spectral radius) at the first equilibrium, for all players' rates and momenta in the
    place of their own.

    Returns:
      [momenta, rates], infinite where the method does not converge.
    """
    with jax.enable_x64(True):
        toy = section.as_toy()
        method = _with_momentum(section.methods[label], momentum=0.0)
        rule, state = at_equilibrium(toy, method, label, toy.equilibria[0])

        def jacobian(rate, momentum):
            return step_jacobian(rule, with_numbers(state, learning_rate=rate, momentum=momentum))

        grid = jnp.meshgrid(jnp.asarray(rates), jnp.asarray(momenta))
        matrices = jax.jit(jax.vmap(jax.vmap(jacobian)))(*grid)
        radii = np.abs(np.linalg.eigvals(matrices)).max(-1)
    with np.errstate(divide="ignore"):
        return np.where(radii < 1 - 1e-9, _FALL / -np.log(radii), np.inf)


def _with_momentum(method: Method, momentum: float, **fields: float) -> Method:
    """Returns a method whose SGD has a momentum, and other fields."""
    optimizers = {
        x: section.model_copy(update={"kwargs": dict(section.kwargs) | {"momentum": momentum}, **fields})
        for x, section in method.optimizers.items()
    }
    return method.model_copy(update={"optimizers": optimizers})


def table(found: Mapping[str, Eigenvalues]) -> str:
    """Formats the largest real part of the field and the spectral radius of each method."""
    rows = [("method", "largest Re of the field", "spectral radius of a step")]
    for label, (field, step) in found.items():
        rows.append((label, f"{field.real.max():.6f}", f"{np.abs(step).max():.6f}"))
    return aligned(rows)


def table_of_maps(maps: Mapping[str, np.ndarray]) -> str:
    """Formats where each method is fastest, and how much of the map converges."""
    rows = [("method", "fewest steps", "rate", "momentum", "converges on")]
    for label, steps in maps.items():
        i, j = np.unravel_index(steps.argmin(), steps.shape)
        share = f"{np.isfinite(steps).mean():.0%} of the map"
        where = (f"{RATES[j]:.3g}", f"{MOMENTA[i]:+.2f}") if np.isfinite(steps[i, j]) else ("-", "-")
        rows.append((label, f"{steps[i, j]:.1f}", *where, share))
    return aligned(rows)


def draw(section: GamesSection, found: Mapping[str, Eigenvalues]) -> "Figure":
    """Draws the field's eigenvalues of all methods, and a panel with those of a step of each."""
    columns = min(5, len(found) + 1)
    rows = -(-(len(found) + 1) // columns)
    figure = new_figure(2.5 * columns, 2.5 * rows)
    first, *panels = figure.subplots(rows, columns, squeeze=False).ravel()
    _draw_fields(first, found)
    everything = np.concatenate([step for _, step in found.values()])
    reach = 1.1 * max(1.0, min(np.abs(everything).max(), 2.0))
    for axis, (label, (_, step)) in zip(panels, found.items(), strict=False):
        angle = np.linspace(0, 2 * np.pi, 200)
        axis.plot(np.cos(angle), np.sin(angle), color="black", lw=0.8)
        inside = np.abs(step).max() < 1 - 1e-9
        axis.plot(step.real, step.imag, "o", mfc="none", mew=1.5, color=COLOURS[0 if inside else 1])
        axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="real part")
        axis.set_title(f"{label.replace('_', ' ')}: {np.abs(step).max():.4f}", fontsize="small")
    for axis in panels[len(found) :]:
        axis.remove()
    figure.suptitle(f"{section.game}: eigenvalues of the field, and of a step with its spectral radius")
    return figure


def _draw_fields(axis: "Axes", found: Mapping[str, Eigenvalues]) -> None:
    """Draws the eigenvalues of the fields, once of methods that share theirs."""
    fields: list[tuple[np.ndarray, list[str]]] = []
    for label, (field, _) in found.items():
        for known, labels in fields:
            if np.allclose(np.sort_complex(known), np.sort_complex(field)):
                labels.append(label)
                break
        else:
            fields.append((field, [label]))
    for (field, labels), marker in zip(fields, _MARKERS * len(fields), strict=False):
        others = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
        label = labels[0].replace("_", " ") + others
        axis.plot(field.real, field.imag, marker, mfc="none", mew=1.5, label=label)
    axis.axvline(0, color="black", lw=0.8)
    axis.margins(0.25)
    axis.set(xlabel="real part", ylabel="imaginary part")
    axis.set_title("the field", fontsize="medium")
    axis.legend(frameon=False, fontsize="x-small")
    hide_upper_spines(axis)


def draw_maps(section: GamesSection, maps: Mapping[str, np.ndarray]) -> "Figure":
    """Draws, of each method, the steps to converge over rate and momentum; where it does not, nothing."""
    from matplotlib.colors import LogNorm

    columns = min(5, len(maps))
    rows = -(-len(maps) // columns)
    figure = new_figure(1.2 + 2.2 * columns, 0.5 + 2.2 * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    norm = LogNorm(*_COLOURED)
    for axis, (label, steps) in zip(axes.ravel(), maps.items(), strict=False):
        shown = np.ma.masked_invalid(steps)
        mesh = axis.pcolormesh(RATES, MOMENTA, shown, norm=norm, cmap="viridis_r", shading="nearest")
        axis.set(xscale="log", facecolor="0.85")
        axis.set_title(label.replace("_", " "), fontsize="medium")
        if np.isfinite(steps).any():
            i, j = np.unravel_index(steps.argmin(), steps.shape)
            axis.plot(RATES[j], MOMENTA[i], "*", ms=9, mfc="white", mec="black", mew=0.7)
    used = _label_outside(axes, len(maps))
    figure.colorbar(mesh, ax=used, label="steps to a thousandth", extend="both", aspect=30)
    figure.suptitle(f"{section.game}: grey diverges, the star is the fastest")
    return figure


def _label_outside(axes: np.ndarray, used: int) -> list["Axes"]:
    """Labels the outer panels of a grid, removes those that are not used, and returns the others."""
    columns = axes.shape[1]
    for i, axis in enumerate(axes.ravel()):
        if i >= used:
            axis.remove()
            continue
        if i + columns >= used:
            axis.set_xlabel("rate")
            axis.tick_params(labelbottom=True)
        if i % columns == 0:
            axis.set_ylabel("momentum")
    return list(axes.ravel()[:used])
